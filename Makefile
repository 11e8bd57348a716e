# Each target does its own set-up, says what it does, and can be run again.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST_ARGS ?=

# Tests that need nothing but themselves run side by side; of the files with brokers, stores and clocks, which wait more
# than they work, two at a time, the longest first.
SIDE_BY_SIDE := tests/unit tests/contract tests/scenarios tests/support tests/bench models detector
TWO_AT_A_TIME := tests/faults/test_soak.py tests/faults tests/integration

.DEFAULT_GOAL := help
.PHONY: help demo test soak lint format kafka samples evaluate bench peers docs audit lock clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

demo: $(STAMP) ## the four sample incidents through the real pipeline into an embedded event store
	$(BIN)/detector demo

test: $(STAMP) ## everything, on real components (Kafka needs Java 17 and Maven; see README)
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal $(PYTEST_ARGS) $(SIDE_BY_SIDE)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --durations 20 $(PYTEST_ARGS) $(TWO_AT_A_TIME)

soak: $(STAMP) ## kill, freeze and restart everything under load, then compare with a clean replay (MINUTES=3 SEED=1)
	$(BIN)/python -m tests.support.soak --minutes $(or $(MINUTES),3) --seed $(or $(SEED),1)

lint: $(STAMP) ## ruff and mypy (strict) over the whole tree
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(STAMP) ## put the code in its house form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

kafka: ## a real single-node Kafka broker in the foreground (Java 17 and Maven)
	python3 deploy/kafka/broker.py --data var/kafka --port 9092 --keep

samples: $(STAMP) ## generate sample_logs anew from their seeds
	$(BIN)/python -m tests.support.simulator --out sample_logs

evaluate: $(STAMP) ## measure detection on simulated variants (SEED=1)
	$(BIN)/python -m tests.support.evaluation $(or $(SEED),1)

bench: $(STAMP) ## measure decoding, scoring, the store, the running service and its peers (BENCH_ARGS="--quick")
	$(BIN)/python -m tests.bench $(BENCH_ARGS)

peers: ## the environment of what the benchmark compares with (Bytewax, Quix Streams, Faust ...), in var/peers
	tests/bench/peers/install.sh var/peers

docs: $(STAMP) ## write the made parts of the README anew
	$(BIN)/python -m tests.support.readme

audit: ## known vulnerabilities in the pinned dependencies; says so and passes where nobody can be asked
	@test -x var/audit/bin/python || python3 -m venv var/audit
	@var/audit/bin/python -m pip install --quiet --disable-pip-version-check --retries 1 --timeout 10 pip-audit || true
	@var/audit/bin/python deploy/audit.py

lock: $(STAMP) ## pin the versions that are installed now
	$(BIN)/python -m pip freeze --exclude-editable | LC_ALL=C sort -f > deploy/constraints.txt

clean: ## remove the virtual environment and what demo and runs left behind
	rm -rf $(VENV) var build dist

$(STAMP): pyproject.toml deploy/constraints.txt
	@./deploy/venv.sh $(VENV)
	@echo "installing rogue-agent-detector and its pinned dependencies into $(VENV) (some minutes the first time)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c deploy/constraints.txt -e '.[embedded,fast,dev]'
	@touch $@
