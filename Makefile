# make run    set up and start the demo quarter       make run ARGS="--speed 60"
# make test   set up and run every test               make test ARGS="tests/edge -k outbox"
# make check  ruff, pyright, import-linter
# make chaos  break everything at random for half an hour, then count     make chaos ARGS="--minutes 5"
# make cluster  three NATS nodes, two ingest processes and a fleet: kill and cut them for three minutes, then count
# make fuzz-api   every operation as every role against its own document, for some twenty minutes
# make fuzz   a million mutated messages through ingest's validation, and as many frames through each meter codec
# make test-servers  the tests with registry, broker and store on Debian's PostgreSQL, Mosquitto and InfluxDB, then chaos on them
# make containers  build the images and run compose.yaml on them, with a device that reports; needs root, podman, some minutes
# make year   a year of seconds into a real InfluxDB, every answer held to arithmetic; half an hour on a busy machine
.DEFAULT_GOAL := run
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
ARGS ?=
# Tests that start processes wait for half of their time: three at a time keep two processors busy.
TEST_JOBS ?= 3

.PHONY: run test test-servers check chaos cluster containers fuzz year fuzz-api pins clean

run: $(VENV)/.run
	@exec $(BIN)/quietwater up --demo $(ARGS)

test: $(VENV)/.dev
	@$(BIN)/python -m pytest -n $(TEST_JOBS) --dist loadgroup $(ARGS)

# Registry, API, analysis and commands on PostgreSQL, the whole way on three servers, then all three broken at random.
CHAOS ?= --minutes 5
test-servers: $(VENV)/.dev
	@echo "Tests with the registry on PostgreSQL, the end-to-end tests on Mosquitto, InfluxDB and PostgreSQL ..."
	@QUIETWATER_TEST_REGISTRY=postgresql QUIETWATER_NOTHING_MISSING=1 \
	  $(BIN)/python -m pytest -n $(TEST_JOBS) --dist loadgroup tests/store/registry tests/analysis tests/api tests/app $(ARGS)
	@echo "Chaos on Mosquitto, InfluxDB and PostgreSQL ..."
	@$(BIN)/python -m tests.chaos --broker mosquitto --store influxdb --registry postgresql --ingests 2 $(CHAOS)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports --no-cache

chaos: $(VENV)/.dev
	@$(BIN)/python -m tests.chaos $(ARGS)

cluster: $(VENV)/.dev
	@$(BIN)/python -m tests.cluster $(ARGS)

containers: $(VENV)/.dev
	@$(BIN)/python -m tests.containers $(ARGS)

fuzz: $(VENV)/.dev
	@$(BIN)/python -m tests.ingest.fuzz --count 1000000
	@$(BIN)/python -m tests.edge.water.fuzz_codecs --count 1000000 --jobs 2

fuzz-api: $(VENV)/.dev
	@$(BIN)/python -m tests.api.fuzz --examples 100 $(ARGS)

year: $(VENV)/.dev
	@$(BIN)/python -m tests.store.series.year $(ARGS)

# New pins for everything that pyproject.toml names; hashes, no address of a registry.
PIN := $(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url
pins: $(VENV)/.dev
	$(PIN) pyproject.toml requirements/build.in --extra edge --extra edge-gpio -o requirements/edge.txt
	$(PIN) pyproject.toml requirements/build.in --extra edge --extra server -o requirements/run.txt
	$(PIN) pyproject.toml requirements/build.in --extra edge --extra edge-gpio --extra server --extra otel --extra dev -o requirements/dev.txt

$(BIN)/python:
	$(PYTHON) -m venv $(VENV) || { echo "python3-venv is missing; on Debian: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/.run: requirements/run.txt pyproject.toml | $(BIN)/python
	@echo "Setting up (once; a few hundred megabytes of packages) ..."
	@$(PIP) install -q --require-hashes -r requirements/run.txt
	@$(PIP) install -q --no-deps --no-build-isolation --no-index -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(BIN)/python
	@echo "Setting up for tests (once) ..."
	@$(PIP) install -q --require-hashes -r requirements/dev.txt
	@$(PIP) install -q --no-deps --no-build-isolation --no-index -e .
	@touch $@ $(VENV)/.run

clean:
	rm -rf $(VENV) build artifacts *.egg-info
