# Set-up, demo and tests: `make demo` and `make test` do all set-up themselves.
# PYTHON=python3.12  which Python        EXTRAS=all  which extras of setup.cfg
# TORCH=torch==2.12.1  another torch     WORKERS=4   test processes      TESTS=tests/routes

PYTHON ?= python3
EXTRAS ?= seg,det,medical,change,cluster,dev
TORCH ?= torch==2.13.0
WORKERS ?= auto
TESTS ?= tests

BIN := $(CURDIR)/.venv/bin
IN_VENV := PATH="$(BIN):$$PATH" OMP_NUM_THREADS=1
PYTEST := $(IN_VENV) $(BIN)/python -m pytest $(TESTS) -n $(WORKERS) --dist loadfile

.PHONY: help setup demo lint test test-full clean

help:
	@echo "make setup      .venv with everything in it (the first time about 10 minutes on 2 cores)"
	@echo "make demo       set-up, then train, evaluate and picture a small network"
	@echo "make test       set-up, the pre-commit hooks and the tests: under 20 minutes"
	@echo "make test-full  the slow tests too: endurance, inductor, every config"
	@echo "make clean      remove .venv and what builds leave; results and caches stay"

setup:
	@command -v $(PYTHON) >/dev/null || \
	  { echo "set-up stopped: no '$(PYTHON)': install Python 3.10 or newer, or name it: make setup PYTHON=..." >&2; exit 1; }
	@$(PYTHON) tools/setup.py --extras "$(EXTRAS)" --torch "$(TORCH)"

demo: setup
	@$(BIN)/python tools/demo.py

lint: setup
	@if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then \
	  $(IN_VENV) $(BIN)/pre-commit run --all-files --show-diff-on-failure; \
	else echo "not a git checkout: the pre-commit hooks are left out"; fi

test: lint
	@$(PYTEST) -m "not full and not gpu"

test-full: lint
	@$(PYTEST) -m "not gpu" -o timeout=3600

clean:
	rm -rf .venv .venv.lock build dist *.egg-info .ruff_cache .import_linter_cache .coverage*
	find mamba_dense kernels tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
