# Two commands: `make run` plays a morning, `make test` checks everything. `make help` names the rest.

CONFIG ?= appliance/simulation/demo.toml
STATE  ?= var
DEMO   ?= 1
AT     ?=
py = .venv/bin/python

run: setup ## the demo clinic, and a morning of calls (DEMO=0: the box alone; CONFIG=, STATE=, AT="2026-11-30 02:10")
	@.venv/bin/clinicpbx run --config $(CONFIG) --state $(STATE) $(if $(AT),--at "$(AT)") $(if $(filter 0,$(DEMO)),,--demo)

test: setup-test ## everything: style, types, imports, unit, property, SIP end to end
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(py) -m pytest -n 2 --ignore tests/peers --ignore tests/bench
	$(py) -m pytest tests/peers tests/bench

bench: setup-test ## the figures of the switchboard, as a table
	@PYTHONPATH=tests:. $(py) -m bench

doctor: setup ## what is missing on this machine
	@.venv/bin/clinicpbx doctor

setup:
	@image/setup run

setup-test:
	@image/setup test

lock: setup-test ## newest versions into the lock files
	@image/lock

help:
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

clean: ## forget all but the sources
	rm -rf .venv var build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.PHONY: run test bench doctor setup setup-test lock help clean
