# make search   sets everything up and runs the main job; make test does the same for the tests.
# Both are quick when nothing is left to do. Nothing needs root.

PYTHON ?= python3
TRIALS ?= 100
EPOCHS ?= 30
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
FAST := not slow and not browser and not postgres and not peers

# The lock file names wheels for Linux; elsewhere pip chooses by pyproject.toml.
ifeq ($(shell uname -s),Linux)
PINNED := --require-hashes -r requirements.lock
PEERS := --require-hashes -r requirements-peers.lock
else
PINNED := setuptools .[dev,postgres]
PEERS := .[peers]
endif

.PHONY: help search test check peers lint types data install format lock clean
.DEFAULT_GOAL := help

help: ## List what can be made
	@echo "make search   TRIALS=$(TRIALS) EPOCHS=$(EPOCHS) ARGS='--seed 1 ...'"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

search: $(INSTALLED) data ## Run the main job: search schedules on Fashion-MNIST
	$(BIN)/python -m study.search --trials $(TRIALS) --epochs $(EPOCHS) $(ARGS)

test: $(INSTALLED) data ## Run the fast tests
	$(BIN)/python -m pytest -m "$(FAST)" $(ARGS)

check: lint types ## Run lint, types and every test but the peers' (needs Chromium and PostgreSQL)
	$(BIN)/python -m pytest -m "not peers" $(ARGS)

peers: $(INSTALLED) ## Install other schedule libraries and frameworks; compare with them, and run in their loops
	@$(BIN)/python -m pip install --quiet $(PEERS)
	$(BIN)/python -m pytest -m peers $(ARGS)

lint: $(INSTALLED) ## Check style and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(INSTALLED) ## Check types
	$(BIN)/mypy

format: $(INSTALLED) ## Format the code and mend what can be mended
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

data: ## Get Fashion-MNIST where it is not there yet
	@tools/get_data data

install: $(INSTALLED) ## Make the environment in .venv from the lock file

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: Python 3.11 or newer is needed, $(PYTHON) is older; say make PYTHON=python3.11" >&2; exit 2; }
	@echo "Making $(VENV): PyTorch with its CUDA libraries takes about 7 GB and a few minutes, once."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet $(PINNED)
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

COMPILE := CUSTOM_COMPILE_COMMAND="make lock" build/lock/bin/pip-compile --quiet --upgrade \
  --generate-hashes --allow-unsafe --strip-extras --no-annotate \
  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options

lock: ## Choose the versions again and write the lock files
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet pip-tools
	$(COMPILE) --extra dev --extra postgres --output-file requirements.lock pyproject.toml
	$(COMPILE) --extra peers --constraint requirements.lock --output-file requirements-peers.lock pyproject.toml

clean: ## Remove the environment and the caches; studies and data stay
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find lrsched study tests benchmarks tools -name __pycache__ -type d -prune -exec rm -rf {} +
