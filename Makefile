# make help

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-down env test lint clean
export MESSAGES

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

setup:  ## .venv with the versions of requirements.txt; nothing to do if they are there
	@scripts/setup

demo: setup  ## the whole pipeline on this machine, until Ctrl-C; MESSAGES=file.csv (id,text) for your own
	@exec .venv/bin/python -m demo $${MESSAGES:+--messages "$$MESSAGES"}

demo-down:  ## stop a demo that runs in another terminal
	@if [ -e .venv/requirements.installed ]; then .venv/bin/python -m demo down; fi

env:  ## .env for docker-compose.yaml, with passwords of its own; then: docker compose up
	@$${PYTHON:-python3} -m services.compose_env

test: setup  ## all checks and tests, as CI runs them
	@scripts/test

lint: setup  ## the checks without the tests
	@scripts/lint

clean: demo-down  ## remove the demo's data and .venv
	@if [ -L .state/postgres/data ]; then rm -rf "$$(dirname "$$(readlink .state/postgres/data)")"; fi
	rm -rf .state .venv
