# Every target sets up the virtual environment first; only Python 3.10 to 3.12 and make are needed.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-fast lint docs bench

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(INSTALLED)  ## simulate a scan, find its microbleeds and compare with the truth, in demo/
	$(BIN)/csvd demo --out demo --overwrite

test: $(INSTALLED)  ## run the tests that every change must pass, and print their coverage
	$(PYTEST) -m "not whole and not integration" --cov --cov-report term:skip-covered --durations 20

test-all: $(INSTALLED)  ## run all tests: also installations, whole experiments, programs of others
	@$(BIN)/python -m pip install -qq -c constraints.txt -e ".[integration]"
	$(PYTEST) --durations 20

test-fast: $(INSTALLED)  ## run the tests that take seconds
	$(PYTEST) -m "not slow and not whole and not integration"

lint: $(INSTALLED)  ## check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy src
	$(BIN)/lint-imports

docs: $(INSTALLED)  ## build the documents and the API reference, in build/html/docs
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --conf-dir docs . build/html

bench: $(INSTALLED)  ## time each step of five scans, beside plain NumPy, and beside microbleednet with RIVAL=FOLDER
	$(BIN)/python benchmarks/steps.py
	@mkdir -p build
	$(BIN)/python benchmarks/speed.py --out build/speed.json
	@test -z "$(RIVAL)" || $(BIN)/python benchmarks/rival.py $(RIVAL)

$(INSTALLED): pyproject.toml constraints.txt
	@test -x $(BIN)/python || { $(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 10) <= v <= (3, 12) \
		else "csvd needs Python 3.10, 3.11 or 3.12, and $(PYTHON) is %d.%d: name another, as in make PYTHON=python3.12" % v)' \
		&& $(PYTHON) -m venv $(VENV); }
	@echo "installing csvd and what it needs into $(VENV): a few minutes"
	@$(BIN)/python -m pip install -qq -c constraints.txt -e ".[dev]"
	@touch $@
