# forex_assets: `make run` and `make test` are all one needs. Python 3.11 or 3.12; say which with PYTHON=….
#   PYTHON=/path/to/python3.12   interpreter for .venv          TORCH_INDEX_URL=…   another package index for torch
#   ARGS="--pair usdclp,eurusd"  passed on to forex run, forex ui or pytest
SHELL := /bin/bash
ROOT := $(shell cd "$$(dirname "$(strip $(MAKEFILE_LIST))")" && pwd)
PYTHON ?=
TORCH_INDEX_URL ?=
ARGS ?=
IN := cd "$(ROOT)" &&

.PHONY: help run test ui demo-loop lint format bench setup clean

help:
	@printf '%s\n' \
	  'make run     set up .venv, then forecasts, evaluation and the desk report (forex run)' \
	  'make test    every test, with branch coverage' \
	  'make ui      the Dagster UI on 127.0.0.1' \
	  'make demo-loop  the retraining loop by the real Dagster daemon, 5 to 10 minutes; the story as a page' \
  'make lint    ruff, mypy --strict, bandit' \
	  'make format  ruff fixes and format' \
	  'make bench   every benchmark: a table each, and JSON under benchmarks/results' \
	  'make setup   .venv only' \
	  'make clean   remove caches and build output (not .venv, not .forex)'

setup:
	@$(IN) PYTHON="$(PYTHON)" TORCH_INDEX_URL="$(TORCH_INDEX_URL)" bash scripts/bootstrap

run: setup
	@$(IN) .venv/bin/forex run $(ARGS)

ui: setup
	@$(IN) .venv/bin/forex ui $(ARGS)

demo-loop: setup
	@$(IN) .venv/bin/forex demo loop --daemon $(ARGS)

test: setup
	@$(IN) .venv/bin/python -m pytest -n 2 --dist loadfile --cov --cov-branch --cov-report=term --cov-fail-under=85 $(ARGS)

lint: setup
	@$(IN) .venv/bin/ruff check .
	@$(IN) .venv/bin/ruff format --check .
	@$(IN) .venv/bin/mypy
	@$(IN) .venv/bin/bandit --quiet --recursive --configfile pyproject.toml forex_assets

format: setup
	@$(IN) .venv/bin/ruff check --fix .
	@$(IN) .venv/bin/ruff format .

bench: setup
	@$(IN) for benchmark in benchmarks/bench_*.py; do .venv/bin/python "$$benchmark" || exit 1; done

clean:
	@$(IN) rm -rf build dist forex_assets.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis htmlcov .coverage .coverage.*
	@$(IN) find forex_assets forex_assets_tests benchmarks -type d -name __pycache__ -prune -exec rm -rf {} +
