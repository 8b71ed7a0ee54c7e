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

# torch is installed by version, not by hash, because its CPU and GPU builds are different files. The constraints let
# this step add packages, such as the CUDA packages of a GPU build, but not change locked ones. setuptools is installed
# first: otherwise pip would fetch its newest version, unchecked, to build the one package that has no wheel.
# Below a path with one of these characters, .venv cannot be activated, and pip would install elsewhere.
$(VENV)/ready: requirements.txt requirements.lock
	@case "$$(pwd -P)" in *[\"\$$\`\\:]*) \
		echo "error: $$(pwd -P): a virtual environment does not work below it; move to a path without \" \$$ \` \\ and :" >&2; \
		exit 1;; esac
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is older than 3.11; run make with a newer one, such as make PYTHON=python3.12" >&2; exit 1; }
	@! grep -vixFf <($(LOCKED)) requirements.txt | grep '==' | grep -v '^torch==' >&2 || \
		{ echo "error: requirements.lock lacks these lines of requirements.txt; run make pins" >&2; exit 1; }
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

ray: $(VENV)/with-ray ## add Ray to .venv, to run studies on several machines (docs/scale.md)

onnx: $(VENV)/with-export ## add ONNX to .venv, to export models (docs/take-away.md)

repro: setup ## run the pipeline of params.yaml: data, teachers, students, evaluation, plots (JOBS=1: one run at a time)
	@$(RUN) python -m stages.check && exec python -m stages.repro $(if $(JOBS),--jobs $(JOBS))

demo: setup ## run the whole pipeline on a hundredth of the work, in demo/: takes two minutes and changes nothing else
	@$(RUN) python -m stages.check && exec python -m stages.demo

statistics: setup ## redo tables and figures from the predictions in git, without training (NAME=...: for a named study)
	@$(RUN) $(if $(NAME),exec python -m stages.statistics --name '$(NAME)',\
		python -m stages.check && exec dvc repro --single-item --force evaluate plot)

study: setup ## run a named study from studies/: make study NAME=glue (RAY=host:port: on a cluster)
	@$(RUN) python -m stages.study --name '$(NAME)' $(if $(JOBS),--jobs $(JOBS)) $(if $(RAY),--ray $(RAY))

glue-data: setup ## make the GLUE files that the named studies read (TASKS=...; FROM=folder: not the hub; CHAOSNLI=file: for the study human)
	@$(RUN) python -m stages.glue_data $(TASKS) $(if $(FROM),--from '$(FROM)') $(if $(CHAOSNLI),--chaosnli '$(CHAOSNLI)') \
		$(if $(NEAR),--near)

audit: setup ## train a unit of a finished study again, and compare it with its records (NAME=...; TASK=... SEED=... ARMS='...' RECORD=1)
	@$(RUN) exec python -m stages.audit --name '$(NAME)' $(if $(TASK),--task '$(TASK)') $(if $(SEED),--seed $(SEED)) \
		$(if $(ARMS),--arms $(ARMS)) $(if $(JOBS),--jobs $(JOBS)) $(if $(RECORD),--record)

restore: setup ## undo an experiment: restore the committed params.yaml, dvc.lock and results; git's stash keeps the replaced ones
	@$(RUN) python -m stages.restore

# Each process of tests has one thread: libraries that start one per core would take turns. Three keep two cores busy,
# because some tests wait.
test test-fast: export OMP_NUM_THREADS = 1

test: setup ## run all tests but the slow ones, in three processes
	@$(RUN) python -m pytest -m 'not slow' --numprocesses 3 --dist loadfile --no-loadscope-reorder

test-fast: setup ## run only the unit tests, in three minutes: none that starts processes, reads whole studies or breaks the pipeline
	@$(RUN) python -m pytest -m 'not slow and not process and not study and not fault' --numprocesses 2

test-slow: ray onnx ## run the tests that take minutes, such as tests of real faults
	@$(RUN) python -m pytest -m slow

faults: ray onnx ## break the pipeline in every known way, and write docs/faults.md (FAULTS=tests/...: only these rows)
	@$(if $(FAULTS),,rm -f docs/faults.md docs/faults.json)
	@$(RUN) python -m pytest -m fault --fault-table=docs/faults.md $(or $(FAULTS),tests)

models: setup ## try every kind of classifier in transformers, and write the results to docs/models.md
	@$(RUN) python -m pytest --model-table=docs/models.md tests/unit/test_all_models.py

bench: setup ## time training against other libraries and the machine, and write benchmarks/results.json
	@$(RUN) python -m benchmarks $(BENCH)

gpu: setup ## check correctness, equal bytes and speed on a GPU, and write gpu.json
	@$(RUN) python -m benchmarks.gpu $(GPU)

intervals: setup ## simulate how often the intervals contain the truth, and print the tables of docs/coverage.md and docs/protocol.md
	@$(RUN) python -m src.study.simulations.simulation $(INTERVALS) && python -m src.study.simulations.many_claims $(INTERVALS) && \
		python -m src.study.simulations.departures $(INTERVALS) && python -m src.study.simulations.simulated_folds $(INTERVALS)

notebook: setup ## execute docs/results.ipynb in place, after `make repro`
	@$(RUN) python -m stages.notebook

headline: setup ## draw docs/claims.png, the picture of the README, from the verdicts in git
	@$(RUN) python -m stages.headline

page: setup ## write src/study/report/dvc_page.html, the page of `dvc plots`, from the pinned chart library
	@$(RUN) python -m src.study.report.dvc_page

lint: setup ## check style, types and imports, and that docs/params.md and params.schema.json match the code
	@$(RUN) ruff check . && ruff format --check . && ty check src stages benchmarks && lint-imports --no-logo --no-cache && \
		python -m src.params.reference --check

fresh: setup ## check that the results in git match the code and params.yaml, without running a stage (for a clean clone)
	@$(RUN) python -m stages.fresh

params: setup ## write docs/params.md and params.schema.json from src/params
	@$(RUN) python -m src.params.reference

format: setup ## correct the style of the code
	@$(RUN) ruff check --fix . && ruff format .

# Pins in the lock stay, unless requirements.txt asks for other versions. awk keeps only pins: no options, no URLs, and no
# CUDA packages, which torch needs on Linux. pip-compile warns that it leaves out torch, which is right. An extra's lock
# has the packages that requirements.lock lacks. A package of two extras has one version.
pins: ## write the lock files from the requirements; delete the locks first to renew every pin
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && $(PYTHON) -m venv "$$scratch" && \
	. "$$scratch/bin/activate" && $(INSTALL) pip-tools==7.6.2 && \
	$(COMPILE) --no-allow-unsafe --unsafe-package torch --output-file requirements.lock requirements.txt && \
	awk 'BEGIN { print "# All packages that requirements.txt needs, without torch and its CUDA packages, with the SHA-256 of every"; \
		print "# file. Made by `make pins` with Python 3.11, the oldest supported version. Python 3.12 and 3.13 need the same." } \
		!/^ / { keep = /^[a-z0-9].*==/ && !/^(cuda-|nvidia-|triton==)/ } keep' requirements.lock > "$$scratch/lock" && \
	cp "$$scratch/lock" requirements.lock && \
	$(LOCKED) > "$$scratch/pinned" && \
	for extra in $(EXTRAS); do \
		$(COMPILE) --constraint "$$scratch/pinned" --output-file "$$scratch/$$extra" "requirements-$$extra.txt"; \
		awk -v extra="$$extra" \
			'BEGIN { print "# The packages that requirements-" extra ".txt needs beyond requirements.lock. Made by `make pins`." } \
			NR == FNR { locked[$$1]; next } !/^ / { keep = /^[a-z0-9].*==/ && !($$1 in locked) } keep' \
			<($(LOCKED)) "$$scratch/$$extra" > "requirements-$$extra.lock"; \
		$(PINS) "requirements-$$extra.lock" >> "$$scratch/pinned"; \
	done

clean: ## remove .venv
	rm -rf $(VENV)
