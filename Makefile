# Every target works on a fresh machine with git, make and Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
RUN := . $(VENV)/bin/activate &&
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

.PHONY: help setup repro statistics study test test-slow lint format pins clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

setup: $(VENV)/ready ## make .venv with the pinned packages

$(VENV)/ready: requirements.txt constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(RUN) python -m pip install --quiet --disable-pip-version-check -r requirements.txt -c constraints.txt
	@touch $@

repro: setup ## run the pipeline of params.yaml: data, teachers, students, evaluation, plots
	@$(RUN) python -m stages.check && dvc repro

statistics: setup ## redo tables and figures from the predictions in git, without training
	@$(RUN) dvc repro --single-item --force evaluate plot

study: setup ## run a named study: make study NAME=glue (a file of overrides in studies/)
	@$(RUN) python -m stages.study --name $(NAME)

test: setup ## run the tests
	@$(RUN) python -m pytest -m 'not slow'

test-slow: setup ## run the tests that take minutes
	@$(RUN) python -m pytest -m slow

lint: setup ## check style
	@$(RUN) ruff check . && ruff format --check .

format: setup ## mend style
	@$(RUN) ruff check --fix . && ruff format .

pins: setup ## write constraints.txt anew from what is installed
	@sed -i '/^[^#]/d' constraints.txt && $(RUN) python -m pip freeze --all --exclude pip --exclude torch >> constraints.txt

clean: ## remove .venv
	rm -rf $(VENV)
