# `make demo` and `make test` work on a fresh machine that has Python >= 3.11 with venv and pip.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/pip install --quiet --constraint constraints.txt
OUT    ?= demo
JOBS   ?= 2
TEST   := $(BIN)/python -m pytest -n $(JOBS) --dist loadfile

.PHONY: help install install-dev demo test test-all lint style types imports format docs bench clean

help:
	@echo "make demo      a photograph on three chips, as a page in $(OUT)/"
	@echo "make test      lint, types, import contract, docs, doctests and the quick tests"
	@echo "make test-all  the same with the slow tests; JOBS=8 runs either on eight processes instead of two"
	@echo "make lint      ruff (style), basedpyright (types) and the import contract (imports)"
	@echo "make format    let ruff rewrite what it can"
	@echo "make docs      the documentation, into site/"
	@echo "make bench     every benchmark, into benchmarks/results/"
	@echo "make clean     remove what the commands above made, the environment too"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Ohmfield needs Python 3.11 or later; say which with: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

# torch comes first and alone: what follows then finds it installed and does not choose another build of it.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) torch
	$(PIP) --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) --editable '.[dev,docs]'
	@touch $@

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

demo: install
	$(BIN)/ohmfield demo --out $(OUT)

lint: style types imports

style: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install-dev
	$(BIN)/basedpyright

imports: install-dev
	$(BIN)/lint-imports

format: install-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: install-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# The tests come last, so that their summary is the last thing printed.
test: lint docs
	$(TEST) -m "not slow"

test-all: lint docs
	$(TEST)

bench: install
	@set -e; for script in benchmarks/*.py; do \
		echo "== $$script"; $(BIN)/python $$script; done

clean:
	rm -rf $(VENV) demo runs site build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
