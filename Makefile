# make help

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-down env test release e2e-frameworks e2e-flavors chaos bench scaling lint clean
export MESSAGES QUICK FIGURES SEEDS SEED MUTANTS

help:  ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

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

release:  ## what is too heavy for CI: three versions of PyTorch, all flavours, 200 seeds of faults, the mutants, all benchmarks: hours
	@$(MAKE) e2e-frameworks
	@$(MAKE) e2e-flavors
	@$(MAKE) chaos SEEDS=200
	@$(MAKE) chaos MUTANTS=1
	@$(MAKE) bench

e2e-frameworks: setup  ## models of PyTorch 1.10, 1.11 and the current one side by side: minutes, 8 GB, a Docker engine
	@.venv/bin/python -m pytest tests/frameworks

e2e-flavors: setup  ## a model of each flavour of MLflow, compared with the model called directly: half an hour, 8 GB, a Docker engine
	@.venv/bin/python -m pytest tests/e2e/flavors

chaos: setup  ## runs under faults, 20 seeds of them; SEEDS=200, SEED=17 alone, MUTANTS=1 (or names) checks the harness itself
	@.venv/bin/python -m chaos

bench: setup  ## ours beside what people would use instead; QUICK=1 for a short run, FIGURES=8,9 for a part
	@scripts/bench-setup
	@.state/benchmarks/venv/bin/python -m benchmarks

scaling: setup  ## measure how a run grows with rows and shards: docs/scaling.md
	@.venv/bin/python -m benchmarks.scaling

lint: setup  ## the checks without the tests
	@scripts/lint

clean: demo-down  ## remove the demo's data and .venv
	@if [ -L .state/postgres/data ]; then rm -rf "$$(dirname "$$(readlink .state/postgres/data)")"; fi
	rm -rf .state .venv
