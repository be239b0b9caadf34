# Every command does its own set-up: python3, git and make are enough.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: serve test test-faults check facts container bench-accuracy bench-training bench-jobs bench-serving bench-start soak clean
.DEFAULT_GOAL := serve

serve: .venv/.serve  ## set up, train a first model on bundled data (TRAIN: further options for that), and serve on 127.0.0.1:8000
	$(BIN)/forecastle migrate
	$(BIN)/forecastle train sample:electricity-hourly --model electricity --horizon 24 --if-missing $(TRAIN) >/dev/null
	$(BIN)/forecastle serve

test: .venv/.dev  ## the whole test suite, with coverage
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --cov --cov-report=term --cov-fail-under=90

test-faults: .venv/.dev  ## kill, freeze and disconnect processes for minutes: nothing may be lost or done twice
	$(BIN)/python -m pytest tests/faults -m "long or not long" --capture=no

check: .venv/.dev  ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

facts: .venv/.dev  ## figures about the source: language of docstrings, private helpers, untyped mappings
	$(BIN)/python -m tests.facts

container:  ## build the images, run the stack, train and forecast in it
	bash deploy/container-check.sh

bench-accuracy: .venv/.dev  ## accuracy by published protocols, and against seasonal naive on many sets (BENCH_DATA)
	$(BIN)/python -m benchmarks.accuracy

bench-training: .venv/.dev .venv-peers/.ready  ## training speed beside Keras, Darts and neuralforecast
	$(BIN)/python -m benchmarks.training

bench-jobs: .venv/.dev  ## latency of jobs and cost of a worker
	$(BIN)/python -m benchmarks.jobs

bench-serving: .venv/.dev .venv-peers-serving/.ready  ## speed of serving beside KServe, BentoML, Ray Serve and MLflow
	$(BIN)/python -m benchmarks.serving

bench-start: .venv/.dev  ## a fresh clone to its first forecast
	$(BIN)/python -m benchmarks.start

soak: .venv/.dev  ## mixed load, invalid requests and promotions for SOAK_S seconds (20 minutes): no error, no wrong answer, constant memory
	$(BIN)/python -m benchmarks.soak

clean:  ## remove the files of the other commands, except the data in var/
	rm -rf .venv .venv-peers .venv-peers-serving build *.egg-info .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis

.venv/.serve: pyproject.toml constraints.txt
	@echo "installing Forecastle and its dependencies into .venv (a minute or two)" >&2
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[cpu]'
	touch $@

.venv/.dev: .venv/.serve
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[cpu,worker,ray,jax,dev]'
	touch $@

.venv-peers/.ready: benchmarks/peers.txt
	@echo "installing Darts and neuralforecast into .venv-peers (several minutes)" >&2
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

.venv-peers-serving/.ready: benchmarks/peers-serving.txt
	@echo "installing KServe, BentoML, Ray Serve and MLflow into .venv-peers-serving (several minutes)" >&2
	$(PYTHON) -m venv .venv-peers-serving
	.venv-peers-serving/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@
