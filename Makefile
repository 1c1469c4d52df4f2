# Every target sets itself up in .venv from nothing: Python 3.11 or newer with pip and venv is all that it needs.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
ARGS   ?=

.DEFAULT_GOAL := help
.PHONY: help verify test lint types unit adequacy rare mutants bench fuzz crowd soak hostile docs page freeze format clean

help: ## Show the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk 'BEGIN {FS = ":.*## "} {printf "  make %-8s %s\n", $$1, $$2}'

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) --version >/dev/null 2>&1 || { echo "make: '$(PYTHON)' was not found; name another: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

verify: $(READY) ## Judge the embedded simulator: the conformance suite, ending in the table of requirements
	$(BIN)/python -m pytest conformance/ $(ARGS)

test: $(READY) lint types unit ## Pass the project's tests: ruff, mypy (strict), then pytest

lint: $(READY) ## Check style (ruff)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## Check types (mypy, strict)
	$(BIN)/mypy

unit: $(READY) $(VENV)/.sslyze ## Run the project's tests alone
	$(BIN)/python -m pytest tests/ -n auto --dist worksteal $(ARGS)

adequacy: $(READY) ## Judge the suite: by every deviation, variant and open point; writes docs/kill-matrix.md
	$(BIN)/python -m tests.adequacy $(ARGS)

rare: $(READY) ## Measure how surely thorough properties find rare deviations (an hour; ARGS="--seeds 3 rare-ports")
	$(BIN)/python -m tests.conformance.rare $(ARGS)

mutants: $(VENV)/.mutation ## Judge the relay's tests by mutants of its source (ARGS="cbspec_simulator.base.limits.*")
	mkdir -p .mutants && cp -R cbspec/cbspec [crs]*/cbspec_* tests docs README.md pyproject.toml .mutants
	cd .mutants && ../$(BIN)/mutmut run $(ARGS) && ../$(BIN)/mutmut results

$(VENV)/.bench: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,bench]'
	@touch $@

$(VENV)/.mutation: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,mutation]'
	@touch $@

bench: $(VENV)/.bench ## Measure speed and memory side by side with peers; writes docs/benchmarks.md (ARGS="--rounds 3")
	$(BIN)/python -m bench $(ARGS)

fuzz: $(READY) ## Fuzz every layer without I/O: a million cases (ARGS="--cases 100000 --target framing --keep")
	$(BIN)/python -m tests.fuzz $(ARGS)

crowd: $(READY) ## Judge the simulator with 10,000 connections on it and without: the verdicts must be the same (3 minutes)
	$(BIN)/python -m tests.endurance.crowd $(ARGS)

soak: $(READY) ## Sessions, faults and disconnects at random for ten minutes: nothing may grow (ARGS="--seconds 60 --seed 7")
	$(BIN)/python -m tests.endurance.soak $(ARGS)

hostile: $(READY) ## Measure what others notice of a hostile peer; writes docs/hostile.md
	$(BIN)/python -m tests.hostile.beside $(ARGS)

# In an environment of its own, since it wants an older `cryptography` than ours; see constraints-sslyze.txt.
$(VENV)/.sslyze: $(READY) constraints-sslyze.txt
	$(PYTHON) -m venv $(VENV)/sslyze
	$(VENV)/sslyze/bin/python -m pip install --quiet --disable-pip-version-check --requirement constraints-sslyze.txt
	@touch $@

docs: $(READY) ## Generate the generated documents again
	$(BIN)/python -m tests.repo.generate

page: $(READY) ## Take the pictures of the simulator's page for docs/ again (needs Chromium)
	$(BIN)/python -m tests.simulator.control.page.screenshots

freeze: $(READY) ## Freeze the set of requirements, after the catalogue was changed on purpose
	$(BIN)/python -m tests.repo.freeze

format: $(READY) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove what the other targets made
	rm -rf $(VENV) .mutants .fuzz .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
