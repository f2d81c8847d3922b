# make demo    the whole way on real data: train, build, deploy, predict, roll back, destroy
# make test    the whole test suite
# make check   ruff and mypy
# make gpu     on a machine with an NVIDIA GPU: the example of PyTorch there and on the CPU, compared
# make clean   removes what these made (.venv, .demo)
#
# Everything goes into .venv in this folder. pip's own settings (indexes, proxies, certificates) are honoured.

SHELL := /bin/sh
VENV  := .venv
BIN   := $(VENV)/bin
JOBS  ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test check gpu clean tools

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | sed '/^$$/q'

demo: $(VENV)/.installed
	@$(BIN)/python examples/demo

test: tools $(VENV)/.installed-dev
	@$(BIN)/python tests/run.py --jobs $(JOBS)

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

gpu: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m world -rs -s tests/world/test_story_gpu.py

clean:
	rm -rf $(VENV) .demo .test .mypy_cache .ruff_cache

tools:
	@command -v git >/dev/null || { echo "git is missing; install it: apt-get install git" >&2; exit 1; }

# A stamp is newer than pyproject.toml when the environment holds what the file asks for.
$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo "mlship: installing into $(VENV)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	@echo "mlship: installing what the tests need into $(VENV)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.installed

$(BIN)/python:
	@for candidate in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
	  if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$candidate; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "Python 3.11 or newer is missing; install it: apt-get install python3 python3-venv" >&2; exit 1; \
	fi; \
	if ! $$found -c 'import ensurepip, venv' 2>/dev/null; then \
	  minor=$$($$found -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	  echo "Python's venv module is missing for $$found; install it: apt-get install python3-venv (or python$$minor-venv)" >&2; \
	  exit 1; \
	fi; \
	echo "mlship: making $(VENV) with $$($$found --version)"; \
	$$found -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
