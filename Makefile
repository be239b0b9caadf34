# Every command does all its own set-up: python3, git and make are enough.
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

test-faults: .venv/.dev  ## processes killed, frozen and cut off for minutes: nothing may be lost or done twice
	$(BIN)/python -m pytest tests/faults -m "long or not long" --capture=no

check: .venv/.dev  ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

facts: .venv/.dev  ## figures about the source: language of docstrings, private helpers, untyped mappings
	$(BIN)/python -m tests.facts

container:  ## build the images, run the stack, train and forecast in it
	bash deploy/container-check.sh

bench-accuracy: .venv/.dev  ## forecasts by published protocols, and beside seasonal naive on many sets (BENCH_DATA)
	$(BIN)/python -m benchmarks.accuracy

bench-training: .venv/.dev .venv-peers/.ready  ## how fast networks are taught, beside Keras, Darts and neuralforecast
	$(BIN)/python -m benchmarks.training

bench-jobs: .venv/.dev  ## how fast jobs are queued, claimed and done, and what a worker costs
	$(BIN)/python -m benchmarks.jobs

bench-serving: .venv/.dev .venv-peers-serving/.ready  ## how fast forecasts are served, beside KServe, BentoML, Ray Serve and MLflow
	$(BIN)/python -m benchmarks.serving

bench-start: .venv/.dev  ## a fresh clone to its first forecast
	$(BIN)/python -m benchmarks.start

soak: .venv/.dev  ## mixed load, hostile neighbours and promotions for SOAK_S seconds (20 minutes): no error, nothing wrong, flat memory
	$(BIN)/python -m benchmarks.soak

clean:  ## remove what the other commands made, but for the data in var/
	rm -rf .venv .venv-peers .venv-peers-serving build *.egg-info .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis

.venv/.serve: pyproject.toml constraints.txt
	@echo "installing Forecastle and what it stands on into .venv (a minute or two)" >&2
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
