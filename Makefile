# Every target builds .venv first when it is missing or out of date, so a machine needs Python 3.11 or
# newer and make, nothing else.
#
#   make demo                 a server, a worker, the API and mock tasks; Ctrl-C ends all of it
#   make test                 every test; make test-unit and make test-integration are its parts
#   make lint                 style and types; make format mends what can be mended by itself
#   make faults N=10000       processes, servers and networks that fail, with so many tasks; keeps the figures
#   make bench NAME=process   measures; without NAME it says which benchmarks there are
#   make dashboard            builds dashboard/ into buraq/web/static; needs Node 20.19 or newer, and nothing else here does
#   make clean                removes .venv and what the tools left behind
#
#   ARGS="…"                  passed on: make test ARGS="-k replay", make bench NAME=process ARGS="--runs 9"
#   PYTHON=…                  the Python that .venv is built with

PYTHON ?=
ARGS ?=
N ?= 10000

UNIT := tests/unit tests/transitions
# The tests mostly wait, so three files at a time keep two cores busy. ARGS=-n0 runs one after the other, as --pdb wants it.
PYTEST := pytest -n 3 --dist loadfile
BIN := .venv/bin
# Written last. Without it a .venv is taken for half-made, whatever it looks like, and built anew.
RUNS := .venv/.ready
LINTS := .venv/.ready-dev
TESTS := .venv/.ready-test

.DEFAULT_GOAL := help
.PHONY: help demo test test-unit test-integration faults bench dashboard dashboard-check lint format clean rebuild
# One .venv, one thing at a time: `make -j lint test` must not install under a running test.
.NOTPARALLEL:

# "rebuild" where .venv's Python is gone, as after an upgrade, or is not the one that PYTHON asks for.
STALE := $(shell test -x $(BIN)/python \
    && { test -z "$(PYTHON)" || test "$(PYTHON)" = "$$(cat .venv/.python 2>/dev/null)"; } \
    || echo rebuild)

help:
	@sed -n 's/^#   //p' Makefile

demo: $(RUNS)
	@exec $(BIN)/buraq demo $(ARGS)

test: $(TESTS)
	@$(BIN)/$(PYTEST) $(ARGS)

test-unit: $(RUNS)
	@$(BIN)/$(PYTEST) $(wildcard $(UNIT)) $(ARGS)

# All that is not a unit test, so that a new folder cannot be forgotten here.
test-integration: $(TESTS)
	@$(BIN)/$(PYTEST) $(UNIT:%=--ignore=%) $(ARGS)

# The same tests as in `make test`, only larger.
faults: $(RUNS)
	@FAULTS_N=$(N) $(BIN)/pytest tests/faults tests/cluster/test_faults.py -o faulthandler_timeout=900 $(ARGS)

# With what lint needs, because the plots need some of it.
bench: $(LINTS)
	@exec $(BIN)/buraq bench $(NAME) $(ARGS)

# The build is committed, because pip and a platform that deploys from git have no Node.
dashboard:
	@cd dashboard && npm ci --no-audit && npm run build

# What CI asks: types, style, tests, and whether the committed build is what the sources build.
dashboard-check:
	@cd dashboard && npm ci --no-audit && npm run check && npm run check:built

lint: $(LINTS)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python tests/typing/check.py

format: $(LINTS)
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean:
	@rm -rf .venv benchmarks/.venvs dist .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

PIP := $(BIN)/python -m pip -qq --disable-pip-version-check --no-input

$(RUNS): requirements.txt pyproject.toml $(STALE)
	@$(new_venv)
	@rm -f $(RUNS) $(LINTS) $(TESTS)
	@$(PIP) install -r requirements.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $(RUNS)

$(LINTS): requirements-dev.txt $(RUNS)
	@echo "Adding what lint needs to .venv" >&2
	@$(PIP) install -r requirements-dev.txt
	@touch $(LINTS)

# Not all of it is there for every platform; where something is missing, the tests that need it say so.
$(TESTS): requirements-test.txt $(RUNS)
	@echo "Adding what tests need beside that to .venv" >&2
	@$(PIP) install --only-binary :all: -r requirements-test.txt \
	    && touch $(TESTS) || echo "That failed: tests/dashboard and schemathesis will be skipped" >&2

# The first Python that is new enough and can make a .venv. Debian and Ubuntu ship `venv` without its
# ensurepip, which fails only after half of the folder is there, so it is asked for beforehand.
define new_venv
test -z "$(STALE)" && test -f $(RUNS) && { echo "Bringing .venv up to date" >&2; exit 0; }; \
found=; bare=; \
for python in $(or $(PYTHON),python3.14 python3.13 python3.12 python3.11 python3); do \
    "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
    if "$$python" -c 'import ensurepip, venv' 2>/dev/null; then found=$$python; break; fi; \
    bare=$${bare:-$$python}; \
done; \
if test -z "$$found" && test -n "$$bare"; then \
    version=$$("$$bare" -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
    echo "$$bare (Python $$version) cannot make a virtual environment: its venv module is incomplete." >&2; \
    echo "Install it and run make again; on Debian and Ubuntu: apt-get install python$$version-venv" >&2; \
    exit 1; \
fi; \
if test -z "$$found"; then \
    echo "Buraq needs Python 3.11 or newer, and $(if $(PYTHON),PYTHON=$(PYTHON) is none,none is on PATH)." >&2; \
    echo "Install one, or name yours: make PYTHON=/path/to/python3 $(MAKECMDGOALS)" >&2; \
    exit 1; \
fi; \
echo "Building .venv with $$found, once; this may take a minute" >&2; \
rm -rf .venv && "$$found" -m venv .venv && echo "$$found" > .venv/.python
endef
