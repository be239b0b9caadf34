# Every command does its own set-up: python3, git and make are enough.
# PYTHON: the Python of a new virtual environment, such as python3.12. PORT: the port of serve.
BIN := .venv/bin
SETUP = @PYTHON="$(PYTHON)" sh deploy/virtual-environment.sh
LISTEN = $(if $(PORT),--port $(PORT))

ifeq ($(wildcard pyproject.toml),)
$(error run make in the folder of Forecastle, or from elsewhere: make -C FOLDER $(MAKECMDGOALS))
endif

.PHONY: serve help test test-faults check facts container bench-accuracy bench-training bench-jobs bench-serving bench-start soak clean
.PHONY: locks sbom packages packages-dev
.DEFAULT_GOAL := serve

serve: packages  ## set up, train a first model on bundled data (TRAIN: further options for that), and serve on 127.0.0.1:8000 (PORT)
	@$(BIN)/forecastle serve $(LISTEN) --check-port
	$(BIN)/forecastle migrate
	$(BIN)/forecastle train sample:electricity-hourly --model electricity --horizon 24 --if-missing $(TRAIN) >/dev/null
	$(BIN)/forecastle serve $(LISTEN)

help:  ## list these commands
	@awk -F ':.*##  *' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' Makefile
	@echo "variables: PORT=8001, PYTHON=python3.12; docs/settings.md lists those of the service"

# One process more than two cores: tests of faults wait for most of their time.
test: packages-dev  ## the whole test suite, with coverage
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --cov --cov-report=term --cov-fail-under=90

test-faults: packages-dev  ## kill, freeze and disconnect processes for minutes: nothing may be lost or done twice
	$(BIN)/python -m pytest tests/faults tests/trust -m "long or not long" --capture=no

check: packages-dev  ## format, lint, types, licences, and known vulnerabilities if the advisory service can be reached
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pip-licenses --summary
	$(BIN)/python deploy/audit.py deploy/locks/cpu.txt

locks: packages-dev  ## write deploy/locks anew, after a change of pyproject.toml or constraints.txt
	UV=$(BIN)/uv sh deploy/locks.sh

sbom: packages-dev  ## write sbom.cdx.json: the packages of an installation and their hashes, as CycloneDX
	$(BIN)/cyclonedx-py requirements deploy/locks/cpu.txt --pyproject pyproject.toml --output-reproducible --output-file sbom.cdx.json

facts: packages-dev  ## figures about the source: language of docstrings, private helpers, untyped mappings
	$(BIN)/python -m tests.facts

container:  ## build the images, run the stack, train and forecast in it
	bash deploy/container-check.sh

bench-accuracy: packages-dev  ## accuracy by published protocols, and against seasonal naive on many sets (BENCH_DATA)
	$(BIN)/python -m benchmarks.accuracy

bench-training: packages-dev .venv-peers/.ready  ## training speed beside Keras, Darts and neuralforecast
	$(BIN)/python -m benchmarks.training

bench-jobs: packages-dev  ## latency of jobs and cost of a worker
	$(BIN)/python -m benchmarks.jobs

bench-serving: packages-dev .venv-peers-serving/.ready  ## speed of serving beside KServe, BentoML, Ray Serve and MLflow
	$(BIN)/python -m benchmarks.serving

bench-start: packages-dev  ## a fresh clone to its first forecast
	$(BIN)/python -m benchmarks.start

soak: packages-dev  ## mixed load, invalid requests and promotions for SOAK_S seconds (20 minutes): no error, no wrong answer, constant memory
	$(BIN)/python -m benchmarks.soak

clean:  ## remove the files of the other commands, except the data
	rm -rf .venv .venv-peers .venv-peers-serving build *.egg-info .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis sbom.cdx.json

packages:
	$(SETUP) serve cpu $(or $(MAKECMDGOALS),serve)

packages-dev:
	$(SETUP) dev dev $(or $(MAKECMDGOALS),serve)

.venv-peers/.ready: benchmarks/peers.txt
	@echo "installing Darts and neuralforecast into .venv-peers (several minutes)" >&2
	$(or $(PYTHON),python3) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

.venv-peers-serving/.ready: benchmarks/peers-serving.txt
	@echo "installing KServe, BentoML, Ray Serve and MLflow into .venv-peers-serving (several minutes)" >&2
	$(or $(PYTHON),python3) -m venv .venv-peers-serving
	.venv-peers-serving/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@
