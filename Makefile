# The one task runner: pre-commit, CI and people call the same targets. Needs python3.11 and make, nothing else.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SOURCES := rightfit_sync rightfit_server clients/python/rightfit_client
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# More arguments for pytest, e.g. make pytest ARGS="-k F02 -x".
ARGS ?=
DATA ?=

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(STAMP): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation --no-index --editable .
	touch $(STAMP)

.PHONY: setup
setup: $(STAMP) ## Build .venv from the lock file (done once, again when the lock changes)

.PHONY: lock
lock: setup ## Resolve pyproject.toml anew into requirements.lock, with hashes
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet --output-file requirements.lock
