# `make demo` and `make test` do all the set-up on a bare machine: Python >= 3.11 and this file.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# the set of versions that the tests ran with
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo install test lint lint-beside lint-all lint-sql lint-types lint-style unit docs benchmarks benchmarks-peers clean

demo: $(VENV)/installed
	$(BIN)/nextmart demo

install: $(VENV)/installed

# lint runs at the lowest priority while the tests run, in the time in which they wait; `make lint` alone is quicker
test: $(VENV)/installed-dev
	$(MAKE) --no-print-directory --jobs 2 lint-beside unit

lint-beside: $(VENV)/installed-dev
	nice -n 19 $(MAKE) --no-print-directory --output-sync lint-all

# two at a time
lint: $(VENV)/installed-dev
	$(MAKE) --no-print-directory --jobs 2 --output-sync lint-all

lint-all: lint-sql lint-types lint-style

lint-sql:
	$(BIN)/sqlfluff lint --nocolor --disable-progress-bar dbt_project/models dbt_project/tests sql/ddl sql/analyses sql/report

lint-types:
	$(BIN)/mypy

lint-style:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

# dbt's unit tests run on an empty warehouse; pytest's order is from fast to slow
unit: $(VENV)/installed-dev
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

# the pages that are made from descriptions in the code; tests fail where one is stale
docs: $(VENV)/installed
	$(BIN)/python -m jobs.commands.settings_page > docs/settings.md
	NEXTMART_WAREHOUSE=:memory: $(BIN)/dbt --quiet parse --project-dir dbt_project --profiles-dir dbt_project \
		--target-path $(CURDIR)/build/docs --log-path $(CURDIR)/build/docs
	$(BIN)/python -m jobs.commands.tables_page build/docs/manifest.json > docs/tables.md

benchmarks: $(VENV)/installed-dev
	$(PIP) --editable '.[benchmarks]'
	$(BIN)/python -m benchmarks.sessions
	$(BIN)/python -m benchmarks.topk
	$(BIN)/python -m benchmarks.epoch
	$(BIN)/python -m benchmarks.embedding
	$(BIN)/python -m benchmarks.backlog
	$(BIN)/python -m benchmarks.loading
	$(BIN)/python -m benchmarks.together
	$(BIN)/python -m benchmarks.recommending
	$(BIN)/python -m benchmarks.training_read
	$(BIN)/python -m benchmarks.scale

# installs the peers into virtual environments of their own
benchmarks-peers: $(VENV)/installed-dev
	$(BIN)/python -m benchmarks.peers

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) --editable '.[report]'
	touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(VENV)/installed
	$(PIP) --editable '.[dev,experiments]'
	touch $@

clean:
	rm -rf $(VENV) demo build dist
