# Everything happens in .venv: `make demo` and `make test` make it on a fresh machine.
PYTHON ?= python3
BIN := .venv/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
export OMP_NUM_THREADS ?= 1
export HF_HUB_OFFLINE = 1
export TOKENIZERS_PARALLELISM = false

.PHONY: demo test smoke-verl check lint clean

demo: .venv/ready  ## a tiny Qwen-VL learns to ground: CoT-SFT, then GRPO; writes runs/demo
	$(BIN)/rsreward demo $(ARGS)

test: .venv/ready  ## all tests and doctests
	$(BIN)/python -m pytest $(ARGS)

smoke-verl: .venv/ready  ## two steps of verl's main_ppo on a tiny Qwen3-VL, in both of its trainers
	$(BIN)/python -m pytest -m slow tests/verl/test_main_ppo.py $(ARGS)

lint: .venv/ready  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test

.venv/ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) torch hatchling
	$(PIP) --no-build-isolation --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv runs
