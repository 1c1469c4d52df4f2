# Every target sets itself up in .venv from nothing: Python 3.11 or newer with pip and venv is all that it needs.
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
NODE   := tests/npm/node_modules/.ready
ARGS   ?=

SUITABLE := import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))
# The newest suitable interpreter; `make PYTHON=...` names another.
PYTHON   ?= $(shell for each in python3.14 python3.13 python3.12 python3.11 python3; do \
	if $$each -c '$(SUITABLE)' 2>/dev/null; then echo $$each; break; fi; done)

# $(call environment,folder,pip's arguments): create or update an environment; pip's output is shown if pip fails.
environment = @echo "Setting up $(1) (about a minute) ..." && $(PYTHON) -m venv $(1) && \
	{ $(1)/bin/python -m pip install --disable-pip-version-check $(2) >$(1)/pip.log 2>&1 || { cat $(1)/pip.log; exit 1; }; }
comma := ,
ours = $(call environment,$(VENV),--constraint constraints.txt --editable '.[$(1)]')

.DEFAULT_GOAL := help
.PHONY: help verify test lint types unit slow adequacy rare mutants bench fuzz crowd soak schedules hostile docs site page freeze dist format clean

help: ## Show the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk 'BEGIN {FS = ":.*## "} {printf "  make %-9s %s\n", $$1, $$2}'

.PHONY: .python
.python: # Print the interpreter for .venv.
	@if ! $(or $(PYTHON),false) -c '$(SUITABLE)' 2>/dev/null; then \
		echo "make: no Python from 3.11 on with venv was found; install one (Debian: apt-get install python3-venv)" >&2; \
		exit 1; fi
	@echo $(PYTHON)

$(READY): pyproject.toml constraints.txt
	@$(MAKE) --no-print-directory .python >/dev/null
	$(call ours,dev)
	@touch $@

verify: $(READY) ## Run the conformance suite against the embedded simulator
	$(BIN)/python -m pytest conformance/ $(ARGS)

test: $(READY) lint ## Run the project's own checks: ruff, mypy (strict), pytest
	@$(MAKE) --no-print-directory -j2 types unit

lint: $(READY) ## Check style (ruff)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## Check types (mypy, strict)
	$(BIN)/mypy

# Bytecode is written even if the environment forbids it: some hundred processes would compile the kit otherwise.
unit: $(READY) $(VENV)/.sslyze $(NODE) ## Run pytest alone
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest tests/ -n auto -m "not slow" $(ARGS)

slow: $(READY) ## Run the tests that `make test` leaves out: builds, a soak, fuzzing, the rest of samples
	$(BIN)/python -m pytest tests/ -m slow $(ARGS)

adequacy: $(READY) ## Check the suites against every deviation, variant and open point; writes docs/reference/*kill-matrix.md
	$(BIN)/python -m tests.adequacy $(ARGS)
	$(if $(ARGS),,$(BIN)/python -m tests.adequacy.clients.matrix)

rare: $(READY) ## Measure how often thorough properties find rare deviations (an hour; ARGS="--seeds 3 rare-ports")
	$(BIN)/python -m tests.conformance.rare $(ARGS)

mutants: $(VENV)/.mutation ## Check the relay's tests against mutants of its source (ARGS="cbspec_simulator.base.limits.*")
	mkdir -p .mutants && cp -R cbspec/cbspec [crs]*/cbspec_* tests docs README.md pyproject.toml .mutants
	cd .mutants && ../$(BIN)/mutmut run $(ARGS) && ../$(BIN)/mutmut results

$(VENV)/.bench: $(READY)
	$(call ours,dev$(comma)bench)
	@touch $@

$(VENV)/.mutation: $(READY)
	$(call ours,dev$(comma)mutation)
	@touch $@

bench: $(VENV)/.bench ## Compare speed and memory with similar programs; writes docs/reference/benchmarks.md (ARGS="--rounds 3")
	$(BIN)/python -m bench $(ARGS)
	$(BIN)/python -m bench.distance

fuzz: $(READY) ## Fuzz the layers without I/O: a million cases (ARGS="--cases 100000 --target framing")
	$(BIN)/python -m tests.fuzz $(ARGS)

crowd: $(READY) ## Compare the verdicts on the simulator with and without 10,000 open connections (3 minutes)
	$(BIN)/python -m tests.endurance.crowd $(ARGS)

soak: $(READY) ## Look for leaks: random sessions, faults and disconnects for ten minutes (ARGS="--seconds 60 --seed 7")
	$(BIN)/python -m tests.endurance.soak $(ARGS)

schedules: $(READY) ## Lead the client through 1,000 fault schedules (a minute; ARGS="--seed 7 --count 100")
	$(BIN)/python -m tests.reference_client.schedules $(ARGS)

hostile: $(READY) ## Measure the effect of hostile peers on other clients; writes docs/reference/hostile.md
	$(BIN)/python -m tests.hostile.measure $(ARGS)

# sslyze needs an older `cryptography` than the project, so it has an environment of its own.
$(VENV)/.sslyze: $(READY) constraints-sslyze.txt
	$(call environment,$(VENV)/sslyze,--requirement constraints-sslyze.txt)
	@touch $@

# The packages that some tests and the site's diagrams need; without npm, those tests are skipped.
$(NODE): tests/npm/package.json
	@if command -v npm >/dev/null; then cd $(@D)/.. && \
		npm install --no-audit --no-fund --no-package-lock --ignore-scripts --loglevel=error && touch $(CURDIR)/$@; \
	else echo "make: npm is missing (Debian: apt-get install npm); tests that need it are skipped" >&2; fi

docs: $(READY) ## Generate the generated documents
	$(BIN)/python -m tests.repo.documents

site: $(READY) $(NODE) ## Build the documentation site in build/site; a broken link is an error
	$(BIN)/sphinx-build -q -W --keep-going -b html -d build/doctrees -c docs . build/site

page: $(READY) ## Take the screenshots of the simulator's page for the documents (needs Chromium)
	$(BIN)/python -m tests.simulator.control.page.screenshots

freeze: $(READY) ## Freeze the set of requirements after an intended change of the catalogue
	$(BIN)/python -m tests.repo.freeze

# The files depend on the commit alone: hatchling is pinned, and uses this time for every file.
dist: $(READY) ## Build the source archive and the wheel in dist/, the same bytes for the same commit
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct 2>/dev/null || echo 1577836800) $(BIN)/python -m build --no-isolation

format: $(READY) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove the files that the other targets created
	rm -rf $(VENV) tests/npm/node_modules .mutants .fuzz .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
