# The one task runner: people, pre-commit and CI call the same targets. Needs python3.11, make and nothing else.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

CODE := rightfit_sync rightfit_server clients tests benchmarks docs
CORE_COVERAGE_MIN := 95
COVERAGE_MIN := 85

# Tests that take long and visit little that others do not: run without coverage.
SLOW := tests/simulation/test_seeds.py tests/simulation/test_apart.py tests/planted tests/proof tests/crash

# What `make simulate` plays, and where `make simulate-long` keeps what is done.
SEEDS ?= 2000
OPS ?= 500
LONG_SEEDS ?= 20000
LONG_STATE ?= build/simulate.jsonl

# What `make bench` measures with: docs/explanation/performance.md.
RECORDS ?= 10000
ROUNDS ?= 5
BASE ?= main
ENTITIES_MAX ?= 100000
# Whom `make bench-peers` measures, and where what they need is installed: benchmarks/peers/README.md.
PEERS ?= rightfit pouchdb rxdb yjs automerge powersync kinto
PUBLISH ?=
PEER_ROUNDS := $(if $(filter file,$(origin ROUNDS)),3,$(ROUNDS))
PEERS_NODE := benchmarks/peers/node_modules/.installed
PEERS_KINTO := build/peers/kinto/.installed

# Programs of the oldest PostgreSQL that is supported, as Debian installs them.
OLDEST ?= /usr/lib/postgresql/15/bin
# More arguments for pytest, such as: make tests ARGS="-k F02 -x"
ARGS ?=
# The folder with records for the demo; without it, the sample that comes along.
DATA ?=

.PHONY: help
help: ## List these targets
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(STAMP): requirements.lock pyproject.toml
	@echo "Installing the locked packages into $(VENV) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --no-index --editable .
	@touch $(STAMP)

.PHONY: setup
setup: $(STAMP) ## Build .venv from the lock file (once, and again when that changes)

.PHONY: demo
demo: setup ## Play the whole story on the real stack; DATA=folder takes other records
	@$(BIN)/rightfit demo $(if $(DATA),--data "$(DATA)")

.PHONY: test
test: check coverage laws oldest ## Everything CI asks for: all checks, all tests, the coverage gates

.PHONY: check
check: lint format-check imports types lock-check changelog-check docs-check ## What pre-commit and CI run, but for the tests

.PHONY: lint
lint: setup ## ruff, with a broad set of rules
	$(BIN)/ruff check $(CODE)

.PHONY: format
format: setup ## Lay the code out, and mend what ruff can mend safely
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

.PHONY: format-check
format-check: setup ## Is the code laid out as `make format` does it?
	$(BIN)/ruff format --check $(CODE)

.PHONY: types
types: setup ## mypy, strict, with no Any in the core
	$(BIN)/mypy

.PHONY: imports
imports: setup ## import-linter: who may know whom
	$(BIN)/lint-imports --config pyproject.toml

.PHONY: lock-check
lock-check: setup ## Does the lock file hold all that pyproject.toml asks for?
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --dry-run --no-index --no-build-isolation \
	  --editable '.[client,server,embedded,dev]'

.PHONY: changelog-check
changelog-check: setup ## Can towncrier read every fragment?
	$(BIN)/towncrier build --draft --version next >/dev/null

.PHONY: docs-check
docs-check: setup ## Links, examples, targets and settings in the documents
	$(BIN)/pytest --quiet tests/test_docs.py tests/test_tidy.py

.PHONY: tests
tests: setup ## The tests alone; ARGS goes to pytest
	$(BIN)/pytest --numprocesses 2 --dist loadgroup --timeout 300 $(ARGS)

.PHONY: coverage
coverage: setup ## The tests, and the share of branches they visit (the gates)
	$(BIN)/coverage erase
	HYPOTHESIS_PROFILE=dev $(BIN)/coverage run -m pytest --numprocesses 2 --dist loadgroup --timeout 300 \
	  $(addprefix --ignore ,$(SLOW)) $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --include 'rightfit_sync/*' --fail-under $(CORE_COVERAGE_MIN)
	$(BIN)/coverage report --fail-under $(COVERAGE_MIN)

.PHONY: laws
laws: setup ## The laws on 1,000 examples each, histories, power cuts and proofs, at full speed (no coverage)
	HYPOTHESIS_PROFILE=ci $(BIN)/pytest --quiet --numprocesses 2 --dist loadgroup --timeout 600 tests/properties $(SLOW)

.PHONY: simulate
simulate: setup ## Try to lose an edit: SEEDS histories of OPS operations in memory, 100 of 200 on SQLite and PostgreSQL
	$(BIN)/rightfit simulate --seeds $(SEEDS) --ops $(OPS) --jobs 2
	RIGHTFIT_REAL_SEEDS=100 $(BIN)/pytest --quiet --numprocesses 2 --timeout 1200 tests/simulation/real

.PHONY: simulate-long
simulate-long: setup ## The same for hours, resumable: LONG_SEEDS histories, then every proof at its full size
	@mkdir -p $(dir $(LONG_STATE))
	$(BIN)/rightfit simulate --seeds $(LONG_SEEDS) --ops 500 --jobs 2 --state $(LONG_STATE)
	$(MAKE) proofs
	RIGHTFIT_CRASH=full RIGHTFIT_KILL_ROUNDS=20 $(BIN)/pytest --quiet --numprocesses 2 --timeout 3600 \
	  tests/crash tests/proof/test_server_kill_pg.py

.PHONY: proofs
proofs: setup ## Texts and the feed at full size: TP1 to 4 code points, 200 histories of 5 writers, 8 writers for 60 s
	RIGHTFIT_TP1=full RIGHTFIT_TEXT_SEEDS=200 RIGHTFIT_FEED_SECONDS=60 $(BIN)/pytest --quiet --numprocesses 2 \
	  --timeout 1200 tests/proof --ignore tests/proof/test_server_kill_pg.py

.PHONY: planted
planted: setup ## Plant every bug of tests/planted in a copy of the source; the simulator must find each: prints which and how
	RIGHTFIT_PLANTED=all $(BIN)/pytest --quiet --numprocesses 2 --dist worksteal --timeout 900 tests/planted

.PHONY: bench
bench: setup ## Measure: W1 to W8 against the limits, ROUNDS rounds of RECORDS records
	$(BIN)/python -m benchmarks --records $(RECORDS) --rounds $(ROUNDS)

.PHONY: bench-compare
bench-compare: setup ## Measure in turns with the commit BASE=..., or compare the newest result with the file BASE
	$(BIN)/python -m benchmarks.compare "$(BASE)" --records $(RECORDS) --rounds $(ROUNDS)

.PHONY: bench-growth
bench-growth: setup ## Does the cost a record stay flat, to ENTITIES_MAX entities and 64 devices? A table and a plot
	$(BIN)/python -m benchmarks.growth --entities-max $(ENTITIES_MAX) --rounds $(ROUNDS)

.PHONY: bench-micro
bench-micro: setup ## Measure the parts: apply by policy, text, codec, pages, memory
	$(BIN)/python -m benchmarks.parts.micro

.PHONY: bench-profile
bench-profile: setup ## Where W1, W2 and W4 spend their time, function by function, on either side
	$(BIN)/python -m benchmarks.profiling --records $(RECORDS)

.PHONY: bench-plot
bench-plot: setup ## Draw every workload over time, from the results in build/bench and benchmarks/history
	$(BIN)/python -m benchmarks.plot

.PHONY: bench-guard
bench-guard: setup ## Has a hot path become more than 15 % dearer? Counts and ratios, no absolute times; about 20 s
	$(BIN)/python -m benchmarks.parts.guard

.PHONY: bench-peers
bench-peers: node setup $(PEERS_NODE) $(if $(filter kinto,$(PEERS)),$(PEERS_KINTO)) ## The same workload for the PEERS and us, in turns; PUBLISH=yes rewrites the page
	@mkdir -p build/peers
	$(BIN)/python -m benchmarks.peers --records $(RECORDS) --rounds $(PEER_ROUNDS) --peers "$(PEERS)" \
	  $(if $(PUBLISH),--publish)

.PHONY: node
node:
	@command -v npm >/dev/null && node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null || \
	  { echo "make bench-peers needs Node.js (20 or later) with npm: see benchmarks/peers/README.md" >&2; exit 1; }

# Both lock files name every package and its hash, and no place to get it from.
$(PEERS_NODE): benchmarks/peers/package-lock.json
	@echo "Installing the peers' npm packages into benchmarks/peers/node_modules (some are compiled) ..."
	@cd benchmarks/peers && npm ci --loglevel=error
	@touch $@

$(PEERS_KINTO): benchmarks/peers/kinto/requirements.lock
	@echo "Installing Kinto into build/peers/kinto ..."
	@$(PYTHON) -m venv --clear build/peers/kinto
	@build/peers/kinto/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r $<
	@touch $@

.PHONY: oldest
oldest: setup ## What SQL does, on the oldest PostgreSQL that is supported, where it is installed
	@if [ -x $(OLDEST)/postgres ]; then \
	  RIGHTFIT_TEST_POSTGRES=$(OLDEST) $(BIN)/pytest --quiet --numprocesses 2 --timeout 300 tests/isolation \
	    $(addprefix tests/server/test_,push_pg.py access_pg.py resolve_pg.py protocol_pg.py feed_pg.py) \
	    --deselect tests/isolation/test_pool_pg.py; \
	else echo "No PostgreSQL 15 in $(OLDEST): not tried on it."; fi

.PHONY: lock
lock: setup ## Resolve pyproject.toml anew into requirements.lock, with hashes
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet --output-file requirements.lock

.PHONY: changelog
changelog: setup ## Gather the fragments of docs/changelog.d under the version of pyproject.toml
	$(BIN)/towncrier build --yes --version $$($(BIN)/python -c "import importlib.metadata as m; print(m.version('rightfit-sync'))")

.PHONY: clean
clean: ## Remove what the other targets made
	rm -rf $(VENV) build dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache benchmarks/peers/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
