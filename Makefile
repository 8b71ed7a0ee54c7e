# Every target works on a fresh Linux, macOS or WSL with git, make and Python 3.11 to 3.13. Newer versions of Python are untested.
PYTHON ?= python3
VENV := .venv
RUN := . $(VENV)/bin/activate &&
INSTALL := python -m pip install --quiet --disable-pip-version-check
HASHED := --require-hashes --no-deps --no-build-isolation
COMPILE = pip-compile --quiet --cache-dir "$$scratch/cache" --generate-hashes --no-annotate --strip-extras
PINS := grep -o '^[^ ]*==[^ ]*'
LOCKED := $(PINS) requirements.lock
EXTRAS := ray export
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

.PHONY: help params setup demo repro statistics study glue-data audit restore test test-fast test-slow faults models bench gpu ray onnx intervals notebook headline page lint fresh format pins clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

setup: $(VENV)/ready ## make .venv with the pinned packages

# torch is installed by version, not by hash, since its CPU and GPU builds are different files. By the constraints that
# step may add what the lock lacks (the CUDA packages of a GPU build) but change nothing that is in it. setuptools comes
# first: pip would otherwise fetch its newest version, unchecked, to build the one package that has no wheel.
# Activating .venv fails below a path with one of these characters, and pip would install elsewhere.
$(VENV)/ready: requirements.txt requirements.lock
	@case "$$(pwd -P)" in *[\"\$$\`\\:]*) \
		echo "error: $$(pwd -P): a virtual environment does not work below it; move to a path without \" \$$ \` \\ and :" >&2; \
		exit 1;; esac
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.12" >&2; exit 1; }
	@! grep -vixFf <($(LOCKED)) requirements.txt | grep '==' | grep -v '^torch==' >&2 || \
		{ echo "error: requirements.lock does not hold these lines of requirements.txt; run: make pins" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(RUN) $(INSTALL) $(HASHED) -r <(sed -n '/^setuptools==/,/[^\\]$$/p' requirements.lock)
	@$(RUN) $(INSTALL) $(HASHED) -r requirements.lock
	@$(RUN) $(INSTALL) -r <(grep '^torch==' requirements.txt) -c <($(LOCKED))
	@$(RUN) python -m pip check
	@touch $@

$(EXTRAS:%=$(VENV)/with-%): $(VENV)/with-%: $(VENV)/ready requirements-%.lock
	@$(RUN) $(INSTALL) --require-hashes --no-deps -r requirements-$*.lock
	@$(RUN) python -m pip check
	@touch $@

ray: $(VENV)/with-ray ## add Ray to .venv, for studies on several machines (docs/scale.md)

onnx: $(VENV)/with-export ## add ONNX to .venv, for models to take away (docs/take-away.md)

repro: setup ## run the pipeline of params.yaml: data, teachers, students, evaluation, plots (JOBS=1: one run at a time)
	@$(RUN) python -m stages.check && exec python -m stages.repro $(if $(JOBS),--jobs $(JOBS))

demo: setup ## the whole pipeline on a hundredth of the work, in demo/: a minute, and nothing else changes
	@$(RUN) python -m stages.check && exec python -m stages.demo

statistics: setup ## redo tables and figures from the predictions in git, without training (NAME=...: of a named study)
	@$(RUN) $(if $(NAME),exec python -m stages.statistics --name '$(NAME)',\
		python -m stages.check && exec dvc repro --single-item --force evaluate plot)

study: setup ## run a named study: make study NAME=glue (studies/NAME/study.yaml; RAY=host:port: on a cluster)
	@$(RUN) python -m stages.study --name '$(NAME)' $(if $(JOBS),--jobs $(JOBS)) $(if $(RAY),--ray $(RAY))

glue-data: setup ## make the GLUE files that the named studies read (TASKS=...; FROM=folder, or the hub; CHAOSNLI=file, for human)
	@$(RUN) python -m stages.glue_data $(TASKS) $(if $(FROM),--from '$(FROM)') $(if $(CHAOSNLI),--chaosnli '$(CHAOSNLI)') \
		$(if $(NEAR),--near)

audit: setup ## train a unit of a finished study again and compare it with its records (NAME=...; TASK=... SEED=... ARMS='...' RECORD=1)
	@$(RUN) exec python -m stages.audit --name '$(NAME)' $(if $(TASK),--task '$(TASK)') $(if $(SEED),--seed $(SEED)) \
		$(if $(ARMS),--arms $(ARMS)) $(if $(JOBS),--jobs $(JOBS)) $(if $(RECORD),--record)

restore: setup ## undo an experiment: put params.yaml, dvc.lock and results back as committed; git's stash keeps what they held
	@$(RUN) python -m stages.restore

test: setup ## run the tests, a file of them at a time in each of two processes
	@$(RUN) python -m pytest -m 'not slow' --numprocesses 2 --dist loadfile --no-loadscope-reorder

test-fast: setup ## run the unit tests alone, in a minute: no processes, whole studies or rows of docs/faults.md
	@$(RUN) python -m pytest -m 'not slow and not process and not study and not fault' --numprocesses 2

test-slow: ray onnx ## run the tests that take minutes, those of real faults among them
	@$(RUN) python -m pytest -m slow

faults: ray onnx ## break the pipeline in every way we know of, and write docs/faults.md (FAULTS=tests/...: some of it)
	@$(if $(FAULTS),,rm -f docs/faults.md docs/faults.json)
	@$(RUN) python -m pytest -m fault --fault-table=docs/faults.md $(or $(FAULTS),tests)

models: setup ## try every kind of model that transformers classifies with, and write docs/models.md from what came of it
	@$(RUN) python -m pytest --model-table=docs/models.md tests/unit/test_all_models.py

bench: setup ## time training against its peers and the machine; writes benchmarks/results.json
	@$(RUN) python -m benchmarks $(BENCH)

gpu: setup ## on a GPU: correctness, equal bytes, speed, many small runs; writes benchmarks/gpu/results.json
	@$(RUN) python -m benchmarks.gpu $(GPU)

intervals: setup ## simulate studies: how often the intervals hold the truth; prints the tables of docs/coverage.md and protocol.md
	@$(RUN) python -m src.study.simulations.simulation $(INTERVALS) && python -m src.study.simulations.many_claims $(INTERVALS) && \
		python -m src.study.simulations.departures $(INTERVALS) && python -m src.study.simulations.simulated_folds $(INTERVALS)

notebook: setup ## execute docs/results.ipynb in place, after `make repro`
	@$(RUN) python -m stages.notebook

headline: setup ## draw docs/claims.png, the picture of the README, from the verdicts in git
	@$(RUN) python -m stages.headline

page: setup ## write src/study/report/dvc_page.html, the page of `dvc plots`, from the pinned chart library
	@$(RUN) python -m src.study.report.dvc_page

lint: setup ## check style, types and imports, and that what is generated from the code is fresh
	@$(RUN) ruff check . && ruff format --check . && ty check src stages benchmarks && lint-imports --no-logo --no-cache && \
		python -m src.params.reference --check

fresh: setup ## check that the results in git match the code and params.yaml, without running a stage (for a clean clone)
	@$(RUN) python -m stages.fresh

params: setup ## write docs/params.md and params.schema.json from src/params
	@$(RUN) python -m src.params.reference

format: setup ## mend style
	@$(RUN) ruff check --fix . && ruff format .

# Pins that the lock holds already stay, unless requirements.txt asks for others. awk keeps pins and nothing else: no
# options, no URLs, and none of the CUDA packages that torch asks for on Linux. pip-compile warns of what it leaves out;
# that is torch, as it should be. An extra's lock has what requirements.lock lacks; a package of two extras has one version.
pins: ## write the lock files anew from the requirements; delete them first to renew every pin
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && $(PYTHON) -m venv "$$scratch" && \
	. "$$scratch/bin/activate" && $(INSTALL) pip-tools==7.6.2 && \
	$(COMPILE) --no-allow-unsafe --unsafe-package torch --output-file requirements.lock requirements.txt && \
	awk 'BEGIN { print "# The closure of requirements.txt but for torch and its CUDA packages, with the SHA-256 of every"; \
		print "# file of each release. Made by `make pins` with Python 3.11, the oldest that is served; 3.12 and 3.13 need no other." } \
		!/^ / { keep = /^[a-z0-9].*==/ && !/^(cuda-|nvidia-|triton==)/ } keep' requirements.lock > "$$scratch/lock" && \
	cp "$$scratch/lock" requirements.lock && \
	$(LOCKED) > "$$scratch/pinned" && \
	for extra in $(EXTRAS); do \
		$(COMPILE) --constraint "$$scratch/pinned" --output-file "$$scratch/$$extra" "requirements-$$extra.txt"; \
		awk -v extra="$$extra" \
			'BEGIN { print "# What requirements-" extra ".txt needs beyond requirements.lock. Made by `make pins`." } \
			NR == FNR { locked[$$1]; next } !/^ / { keep = /^[a-z0-9].*==/ && !($$1 in locked) } keep' \
			<($(LOCKED)) "$$scratch/$$extra" > "requirements-$$extra.lock"; \
		$(PINS) "requirements-$$extra.lock" >> "$$scratch/pinned"; \
	done

clean: ## remove .venv
	rm -rf $(VENV)
