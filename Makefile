# `make help` lists the targets. Everything happens in .venv; outputs go to outputs/.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup demo test lint bench

help:  ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[test]'
	touch $@

setup: .venv/.installed  ## make .venv with the pinned packages

demo: .venv/.installed  ## corpus, tokenizer, language model and outputs/demo/index.html from nothing
	PATH="$(CURDIR)/$(BIN):$$PATH" bash recipes/demo.sh

lint: .venv/.installed  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy facelm

test: lint  ## lint, then the tests; skips are listed with their reasons
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q

bench: .venv/.installed  ## the slow tests, then the measurements of benchmarks/
	$(BIN)/python -m pytest -q -m slow
	$(BIN)/python benchmarks/corpus.py
	$(BIN)/python benchmarks/scoring.py
	$(BIN)/python benchmarks/sft_throughput.py
