# Two commands do everything on a machine with Python 3.11, make and the package registry:
#   make demo    sets up, and runs the whole job in front of your eyes
#   make test    sets up, and passes the tests
.DEFAULT_GOAL := help
.PHONY: help demo test random coverage mutants bench lint types contracts check lock dashboard setup image image-test sbom shipped screenshots clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# uv from PATH where it is there, else from a virtual environment of its own.
UV := $(shell command -v uv 2>/dev/null || echo $(VENV)-uv/bin/uv)
STAMP := $(VENV)/.installed
SHIPPED := dist/.shipped
unexport VIRTUAL_ENV
unexport PYTHONPATH

help: ## lists these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: setup ## the whole job: a secret changes, and is noticed, rolled out and verified
	@$(BIN)/rotator demo $(ARGS)

test: setup ## all tests; ends by naming what was skipped for want of a tool
	@$(BIN)/python -m pytest --numprocesses auto --dist worksteal $(ARGS)

coverage: setup ## whether unit tests reach enough of the core's lines and branches
	@$(BIN)/coverage run -m pytest --quiet tests/unit/rotation \
		--ignore tests/unit/rotation/test_random.py \
		--ignore tests/unit/rotation/test_interruption.py $(ARGS)  # neither chance nor repetition counts
	@$(BIN)/coverage report

STEPS ?= 1000000
SEED ?= $(shell od -An -N3 -tu4 /dev/urandom | tr -d ' ')

random: setup ## the roll-out driven at random, far longer than the tests do; STEPS=number, SEED=number
	@echo "SEED=$(SEED) STEPS=$(STEPS)"
	@ROTATOR_RANDOM_STEPS=$(STEPS) ROTATOR_RANDOM_SEED=$(SEED) $(BIN)/python -m pytest --quiet \
		--capture no --durations 1 tests/unit/rotation/test_random.py $(ARGS)

# mutmut has an environment of its own, and works on copies in mutants/. A mutant that never ends may
# ask for all the memory there is, so there is a limit (in KiB).
MUTANTS := $(VENV)-mutants

mutants: setup ## whether unit tests notice when what decides is changed; ARGS=name of one mutant
	@$(UV) venv --quiet --allow-existing --python $(BIN)/python $(MUTANTS)
	@$(UV) pip sync --quiet --python $(MUTANTS)/bin/python --require-hashes requirements.lock
	@$(UV) pip install --quiet --python $(MUTANTS)/bin/python --group mutants --no-build-isolation --editable .
	@ulimit -v 4194304 && nice $(MUTANTS)/bin/mutmut run --max-children $(or $(JOBS),1) $(ARGS) >/dev/null
	@$(MUTANTS)/bin/python -m tests.support.mutants

bench: setup shipped ## requests, wall time, memory and start-up, against their limits
	@ROTATOR_BENCH_PYTHON=$(CURDIR)/$(SHIPPED)/bin/python $(BIN)/python -m tests.benchmarks $(ARGS)

lint: setup
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: setup
	@$(BIN)/mypy

contracts: setup
	@$(BIN)/lint-imports

check: lint types contracts test ## all that must pass before a commit

setup: $(STAMP) ## the virtual environment, as the lock file says

$(STAMP): requirements.lock pyproject.toml | $(UV)
	@$(UV) venv --quiet --allow-existing --python '>=3.11' $(VENV)
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)-uv/bin/uv:
	@$(PYTHON) -m venv $(VENV)-uv && $(VENV)-uv/bin/python -m pip install --quiet uv

lock: | $(UV) ## renew the lock file
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header --no-annotate --upgrade \
		--extra vault --extra aws --extra otel --extra demo --group dev \
		--output-file requirements.lock pyproject.toml

dashboard: setup ## the dashboard of Grafana, from its code; and the chart's copies of it and the rules
	@$(BIN)/python -m deploy.grafana.generator

IMAGE ?= localhost/rotator:dev
BASE ?= docker.io/library/python:3.13-slim

image: ## the container image, with docker, podman or buildah; IMAGE=name, BASE=another base
	@deploy/build-image $(IMAGE) $(BASE)

image-test: setup image sbom ## runs it read-only, without capabilities, in 128 MiB
	@ROTATOR_TEST_IMAGE=$(IMAGE) ROTATOR_TEST_BASE=$(BASE) $(BIN)/python -m pytest tests/image -s $(ARGS)

screenshots: setup ## the pictures of the page, as the README shows them
	@ROTATOR_SCREENSHOTS=deploy/screenshots $(BIN)/python -m pytest --quiet tests/e2e/test_page.py -k pictures

sbom: setup shipped ## dist/rotator.cdx.json: what the image ships of Python, as CycloneDX
	@$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
		--output-file dist/rotator.cdx.json $(SHIPPED)/bin/python

# Without the development tools: APScheduler reads the entry points of everything that is installed,
# which costs memory.
shipped: setup
	@$(UV) venv --quiet --allow-existing --python $(BIN)/python $(SHIPPED)
	@$(UV) pip install --quiet --exact --compile-bytecode --python $(SHIPPED)/bin/python \
		--constraint requirements.lock --build-constraint requirements.lock --editable '.[vault,aws,otel]'

clean: ## removes everything that was made here
	@rm -rf $(VENV) $(VENV)-uv $(VENV)-mutants mutants .coverage .mypy_cache .pytest_cache .ruff_cache .import_linter_cache dist build
