# One line of help stands behind each target: `make help`.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.run-installed
DEV_STAMP := $(VENV)/.dev-installed

.DEFAULT_GOAL := help
.PHONY: help demo setup test chaos check fmt lint type bench docs lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(RUN_STAMP)  ## the main job on real data, with an embedded broker (nothing to configure)
	$(BIN)/nnstream demo

setup: $(DEV_STAMP)  ## the development environment in .venv

test: $(DEV_STAMP)  ## everything, against a real Apache Kafka
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest

chaos: $(DEV_STAMP)  ## the long form of the chaos tests: 200 kills, about half an hour
	$(BIN)/pytest -m "chaos or long_chaos" --long-chaos --timeout 3600

check: test  ## the same as CI

fmt: $(DEV_STAMP)  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(DEV_STAMP)  ## style only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: $(DEV_STAMP)  ## types only
	$(BIN)/mypy

bench: $(DEV_STAMP)  ## every benchmark, each beside its peer
	for b in benchmarks/bench_*.py; do echo "== $$b"; $(BIN)/python $$b || exit 1; done

docs: $(DEV_STAMP)  ## write the pages that are made from the code anew
	$(BIN)/python scripts/make_docs.py

lock: $(DEV_STAMP)  ## pin all dependencies anew
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-annotate --no-header \
		--python-version 3.11 --extra demo -o requirements.lock pyproject.toml
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-annotate --no-header \
		--python-version 3.11 --extra demo --extra librdkafka --extra onnx --extra registry --extra sklearn --group dev -c requirements.lock -o requirements-dev.lock pyproject.toml

clean:  ## remove the environment and everything built
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "nnstream needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): requirements.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e .
	touch $@

$(DEV_STAMP): requirements-dev.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e .
	touch $@ $(RUN_STAMP)
