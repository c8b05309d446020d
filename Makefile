# make search   sets everything up and runs the main job; make test does the same for the tests.
# Both are quick when nothing is left to do. Nothing needs root.

PYTHON ?= python3
TRIALS ?= 100
EPOCHS ?= 30
ARGS ?=
# Options of the reference's study.confirm.
CONFIRM ?=

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

# CPU=1 leaves CUDA out: PyTorch's CPU build, and the lock file without what only CUDA needs. PyPI holds that build
# for macOS (always) and Linux on ARM; on other Linux, pip must know the index that PyTorch's start page names.
CPU ?=
ifeq ($(if $(CPU),$(shell uname -s)),Linux)
BUILD := $(if $(filter x86_64,$(shell uname -m)),+cpu)
TORCH ?= torch==2.14.1$(BUILD) torchvision==0.29.1$(BUILD)
SIZE := 2 GB without CUDA
PINNED := --require-hashes -r build/cpu.lock
NO_CPU_BUILD := error: pip finds no CPU build of PyTorch ($(TORCH)); give it the index that PyTorch's start page \
  names for CPU, as PIP_EXTRA_INDEX_URL=... make $(MAKECMDGOALS) CPU=1
else
SIZE := 7 GB with PyTorch's CUDA libraries (make CPU=1 leaves them out)
endif

.PHONY: help search reference demo test check peers docs lint types data install format lock clean
.DEFAULT_GOAL := help

help: ## List what can be made
	@echo "make search   TRIALS=$(TRIALS) EPOCHS=$(EPOCHS) ARGS='--seed 1 ...'"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

search: $(INSTALLED) data ## Run the main job: search schedules on Fashion-MNIST
	$(BIN)/python -m study.search --trials $(TRIALS) --epochs $(EPOCHS) $(ARGS)

# The records of a target that keeps its own, in a folder: $(call records,FOLDER).
records = --storage sqlite:///$(1)/optuna.db --tracking-uri sqlite:///$(1)/mlflow.db

reference: $(INSTALLED) data ## Repeat the reference study to its verdict, into docs/reference; hours, goes on where it stopped
	@mkdir -p build/reference
	$(BIN)/python -m study.search --trials 100 $(call records,build/reference)
	$(BIN)/python -m study.confirm $(call records,build/reference) $(CONFIRM) \
	  --checkpoints build/reference/runs --out build/reference/certificate.json
	$(BIN)/python -m study.archive --save docs/reference $(call records,build/reference) \
	  --certificate build/reference/certificate.json
	$(BIN)/python -m study.report $(call records,build/reference) \
	  --certificate docs/reference/certificate.json --out build/reference/report.html --markdown README.md

demo: $(INSTALLED) ## Open the finished reference study in MLflow and optuna-dashboard; nothing is trained
	@rm -rf build/demo && mkdir -p build/demo
	@cd build/demo && $(abspath $(BIN))/python -m study.archive --restore $(CURDIR)/docs/reference
	@cd build/demo && $(abspath $(BIN))/python -m study.report
	@tools/serve build/demo $(BIN)

test: $(INSTALLED) data ## Run the fast tests
	$(BIN)/python -m pytest -m "$(FAST)" $(ARGS)

check: lint types ## Run lint, types and every test but the peers' (needs Chromium and PostgreSQL)
	$(BIN)/python -m pytest -m "not peers" $(ARGS)

peers: $(INSTALLED) ## Install other schedule libraries and frameworks; compare with them, and run in their loops
	@$(BIN)/python -m pip install --quiet $(PEERS)
	$(BIN)/python -m pytest -m peers $(ARGS)

build/docs/.installed: requirements-docs.lock
	@$(PYTHON) -m venv build/docs
	@build/docs/bin/python -m pip install --quiet --require-hashes -r requirements-docs.lock
	@touch $@

docs: build/docs/.installed ## Build the documentation site into build/site; a broken link is an error
	NO_MKDOCS_2_WARNING=1 build/docs/bin/mkdocs build --quiet

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
	@echo "Making $(VENV): $(SIZE), and a few minutes, once."
	@$(PYTHON) -m venv $(VENV)
ifdef NO_CPU_BUILD
	@mkdir -p build
	@awk '/^[^ #]/ { kept = !/^(torch|torchvision|triton|nvidia-.*|cuda-.*)==/ } kept' requirements.lock > build/cpu.lock
	@$(BIN)/python -m pip install --quiet $(TORCH) || { echo "$(NO_CPU_BUILD)" >&2; exit 2; }
endif
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
	$(COMPILE) --constraint requirements.lock --output-file requirements-docs.lock docs/requirements.in
	$(COMPILE) --extra peers --constraint requirements.lock --output-file requirements-peers.lock pyproject.toml

clean: ## Remove the environment and the caches; studies and data stay
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find lrsched study tests benchmarks tools -name __pycache__ -type d -prune -exec rm -rf {} +
