"""Batch prediction over Postgres: plan, predict, check, publish, report."""
