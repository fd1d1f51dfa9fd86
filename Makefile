# Thin: every target is one command. ARGS= is passed on, as in `make plan ARGS=--show-requests`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RECONCILER := $(BIN)/python -m reconciler
ARGS ?=

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help plan apply validate test check bench browser docs dist trial editor pipelines soak sandbox clean

help: ## show the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

plan: $(VENV)/.runtime ## show what would change (in the embedded sandbox when no credentials are set)
	@$(RECONCILER) plan $(ARGS)

apply: $(VENV)/.runtime ## make the changes after asking
	@$(RECONCILER) apply $(ARGS)

validate: $(VENV)/.runtime ## check the manifests without a network
	@$(RECONCILER) validate $(ARGS)

test: $(VENV)/.dev ## run all tests, with the coverage they must reach; ARGS=tests/unit runs some
	@began=$$(date +%s); $(BIN)/coverage erase; \
	  PYTHONDONTWRITEBYTECODE= $(BIN)/coverage run -m pytest -n 4 --maxschedchunk 1 $(ARGS); code=$$?; \
	  $(BIN)/coverage combine -q && $(BIN)/coverage report $(if $(ARGS),--fail-under=0) || code=2; \
	  echo "The tests took $$(($$(date +%s) - began)) seconds."; exit $$code

check: $(VENV)/.dev ## lint, types and all tests: what the pipeline runs
	@$(BIN)/ruff check && $(BIN)/ruff format --check && $(BIN)/mypy
	@$(MAKE) --no-print-directory test

docs: $(VENV)/.docs ## build the site of the documentation into build/site
	@$(BIN)/zensical build --strict --clean >/dev/null

browser: docs $(VENV)/.dev $(VENV)/.browser tests/browser/node_modules ## look at the pages in Chromium; needs chromium and npm
	@$(BIN)/python -m pytest tests/browser $(ARGS)

tests/browser/node_modules: tests/browser/package-lock.json
	@npm ci --prefix tests/browser --no-audit --no-fund --loglevel=error && touch $@

dist: $(VENV)/.dist ## build wheel, sdist, zipapp, SBOM and checksums into dist/
	@$(BIN)/python packaging/dist.py

trial: $(VENV)/.dev $(VENV)/.dist ## build what a release has twice, install it into empty places, and try it
	@$(BIN)/python -m pytest tests/trial/story.py -n 0 $(ARGS)

editor: $(VENV)/.dev tests/editor/node_modules/.package-lock.json ## ask a YAML language server what an editor shows; needs npm
	@$(BIN)/python -m pytest tests/editor/story.py -n 0 $(ARGS)

bench: ## measure speed and memory as ratios, in an environment without the tools of developers
	@$(MAKE) --no-print-directory VENV=$(VENV)/bench $(VENV)/bench/.runtime $(VENV)/bench/.dask
	@$(VENV)/bench/bin/python tests/bench/bench.py $(ARGS)

pipelines: $(VENV)/.dev tests/pipelines/node_modules/.package-lock.json ## run the shipped GitLab jobs on this machine; needs npm and rsync
	@$(BIN)/python -m pytest tests/pipelines/story.py -n 0 $(ARGS)

soak: $(VENV)/.dev ## search thousands of histories, and of odd inputs, for one that breaks a law
	@$(BIN)/python tests/machine/soak.py $(ARGS)

sandbox: $(VENV)/.runtime ## run the AlertSite sandbox in the foreground
	@$(RECONCILER) sandbox $(ARGS)

clean: ## remove the virtual environment, caches and the sandbox's data
	rm -rf $(VENV) .reconciler/sandbox* .reconciler/bench.json .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist tests/*/node_modules

tests/%/node_modules/.package-lock.json: tests/%/package-lock.json
	@cd tests/$* && npm ci --no-fund --no-audit --loglevel=error && touch node_modules/.package-lock.json

# A stamp is newer than its inputs while the environment fits them; dev.txt includes runtime.txt.
$(VENV)/.%: requirements/%.txt pyproject.toml
	@$(BIN)/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "reconciler needs Python 3.11 or newer: make PYTHON=python3.13")' && \
	  $(PYTHON) -m venv --clear $(VENV); }
	@echo 'Setting up $(VENV) from $< …' >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@[ $(VENV)/.runtime -nt pyproject.toml ] || \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $(VENV)/.runtime $@
