# Two commands for a fresh machine: `make demo` and `make test`. They make .venv themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test faults check format lint types bots audit benchmark latency sinks stages soak lock clean

demo: $(STAMP)
	$(BIN)/centtrack demo

test: $(STAMP)
	$(BIN)/pytest

check: $(STAMP) lint types
	CENTTRACK_REQUIRE_SERVICES=1 $(BIN)/pytest

# The fault matrix in its long form, into docs/faults.md; ARGS="-k row" runs a part, and keeps what is known of the rest.
faults: export CENTTRACK_FAULTS := long
faults: export CENTTRACK_FAULTS_REPORT := build/faults.jsonl
faults: $(STAMP)
	mkdir -p build
	$(if $(ARGS),,rm -f $(CENTTRACK_FAULTS_REPORT))
	$(BIN)/pytest -s --timeout 3600 tests/faults $(ARGS)
	$(BIN)/python tests/faults/table.py $(CENTTRACK_FAULTS_REPORT) docs/faults.md

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy
	$(BIN)/pyright

# Recall and false alarms on public lists of user agents; needs node, and the network once.
bots: $(STAMP)
	$(BIN)/python benchmarks/bots.py $(ARGS)

audit: $(STAMP)
	$(BIN)/pip-audit --requirement requirements-dev.txt --disable-pip --strict

benchmark: $(STAMP)
	$(BIN)/python benchmarks/overhead.py $(ARGS)

latency: $(STAMP)
	$(BIN)/python benchmarks/latency.py $(ARGS)

# Sinks against the bare clients of their servers; needs all these servers, as the tests do.
sinks: $(STAMP)
	$(BIN)/python benchmarks/sinks.py $(ARGS)

# Journal, delivery and consumer, for docs/scale.md.
stages: $(STAMP)
	$(BIN)/python benchmarks/stages.py $(ARGS)

# Ten minutes; draws docs/images/soak.svg.
soak: $(STAMP)
	$(BIN)/python benchmarks/soak.py $(ARGS)

# Hashes, but no address of an index: any mirror serves these files.
lock: $(STAMP)
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --group dev --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-emit-package centtrack \
		--custom-compile-command "make lock" --output-file requirements-dev.txt pyproject.toml

$(STAMP): requirements-dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("centtrack needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis centtrack-demo
