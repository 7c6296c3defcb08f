# Each target does all of its own set-up: a virtual environment under .venv, filled from the hashed locks in requirements/.
# What it needs beforehand: git, make and a Python of at least 3.11. Tests that want a real Kafka or PostgreSQL bring
# Java, Maven and PostgreSQL by apt when they are root, else say what was left out: tests/servers/README.md.

.DEFAULT_GOAL := help
SHELL := /bin/sh
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$p" -c '$(NEW_ENOUGH)' >/dev/null 2>&1 && command -v "$$p" && break; done)
BIN := .venv/bin
export UV_LINK_MODE ?= copy

.PHONY: help demo test chaos soak image check format lock bench clean

help:  ## say what can be made
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 10

demo: .venv/run.done  ## run the real service on a bundled story, with alerts in this terminal
	@$(BIN)/tocsin demo $(DEMO)

test: .venv/dev.done  ## run all tests
	@$(BIN)/pytest $(TEST)

chaos: .venv/dev.done  ## cause every fault for long: kills, full disks, flipped bytes; CHAOS_SEED=N repeats a run
	@$(BIN)/pytest -m chaos -s $(TEST)

soak: .venv/dev.done  ## run 30 minutes on 10,000 changing feeds and watch memory and descriptors
	@$(BIN)/python -m bench.soak $(SOAK)

image:  ## rehearse the container image in a bare Debian root, without an engine; needs root
	@sh deploy/rehearse.sh

check: .venv/dev.done  ## lint, types, import contracts, dead code, dependencies, shipped configuration
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture
	$(BIN)/deptry .
	$(BIN)/tocsin check config
	$(BIN)/tocsin test config

format: .venv/dev.done  ## put the code into its form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/dev.done  ## measure, beside a peer in the same run
	$(BIN)/python -m bench

lock: .venv/dev.done  ## lock the dependencies anew, with hashes
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url pyproject.toml -o requirements/run.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url pyproject.toml --group dev -o requirements/dev.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url requirements/setup.in -o requirements/setup.txt

clean:  ## remove the virtual environment and the caches
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/setup.done: requirements/setup.txt
	@test -n "$(PYTHON)" || { echo "Tocsin needs Python 3.11 or later; found: $$(python3 -V 2>&1)" >&2; exit 2; }
	@echo "Setting up .venv with $(PYTHON) …"
	@"$(PYTHON)" -m venv --clear .venv >/dev/null 2>&1 || { \
		"$(PYTHON)" -m venv --clear --without-pip .venv && \
		"$(PYTHON)" -m pip --python .venv/bin/python install -q pip; } || \
		{ echo "$(PYTHON) has neither ensurepip nor pip; on Debian: apt-get install python3-venv" >&2; exit 2; }
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/setup.txt
	@touch $@

.venv/run.done: .venv/setup.done requirements/run.txt pyproject.toml
	@$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements/run.txt
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

.venv/dev.done: .venv/run.done requirements/dev.txt
	@$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@touch $@
