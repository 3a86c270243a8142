# The first command that needs an environment makes it: .venv; and .venv-bench, .venv-swift, .venv-lmms, ... for what needs others.
PYTHON ?= python3
BIN := .venv/bin
BENCH := .venv-bench/bin
SWIFT := .venv-swift/bin
LMMS := .venv-lmms/bin
RELEASE := .venv-release/bin
INSTALL := -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PIP = $(BIN)/python $(INSTALL)
SAME_TORCH = $(@D)/bin/python -m pip install --quiet --disable-pip-version-check --constraint $(@D)/constraints.txt
export OMP_NUM_THREADS ?= 1
export HF_HUB_OFFLINE = 1
export TOKENIZERS_PARALLELISM = false

.PHONY: help demo test test-slow mutants fuzz coverage study matrix bench bench-gpu smoke-verl smoke-swift smoke-lmms \
	smoke-tools check lint format docs release clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

demo: .venv/ready  ## a tiny Qwen-VL learns to ground: CoT-SFT, then GRPO; writes runs/demo
	$(BIN)/rsreward demo $(ARGS)

test: .venv/ready  ## the tests and doctests, on all cores
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow" $(ARGS)

test-slow: .venv/ready  ## the tests that start Ray or many processes, up to a minute or two each; CI runs them too
	$(BIN)/python -m pytest -n auto -m slow $(ARGS)

mutants: .venv/ready  ## do the tests of the core notice small errors in it? An hour or more (ARGS='--share 0.1': a sample); goes on where it was stopped
	$(BIN)/python tests/mutants.py $(ARGS)

fuzz: .venv/ready  ## throw what nobody would write at all that reads, minutes for each harness (ARGS='--minutes 60 --only parser'); writes runs/fuzz
	$(BIN)/python tests/fuzz/fuzz.py $(ARGS)

coverage: .venv/ready  ## which branches of the core its tests take; without Triton's kernels
	$(BIN)/python -m coverage run -m pytest -p no:cacheprovider tests/core rsreward -k "not cuda and not triton and not builds"
	$(BIN)/python -m coverage report

matrix:  ## the tests with the lowest and the newest versions; makes .venv-matrix, writes docs/trust.md's table
	$(PYTHON) tests/matrix.py --docs $(ARGS)

bench: .venv-bench/ready  ## side by side with other libraries; writes runs/bench (ARGS=--docs: docs/performance.md too)
	$(BENCH)/python benchmarks/run.py $(ARGS)

bench-gpu: .venv-bench/ready  ## the same on CUDA; writes runs/bench-gpu
	$(BENCH)/python benchmarks/run.py --device cuda --out runs/bench-gpu $(ARGS)

study: .venv/ready  ## which reward, which weight? writes runs/study and docs/study.md (ARGS=--quick: runs/study-quick)
	$(BIN)/python benchmarks/study/run.py $(ARGS)

smoke-verl: .venv/ready  ## two steps of verl's main_ppo on a tiny Qwen3-VL, in both of its trainers
	$(BIN)/python -m pytest -m slow tests/verl/test_main_ppo.py $(ARGS)

smoke-swift: .venv-swift/ready  ## two steps of the real swift command on a tiny Qwen3-VL, by one process and by two
	$(SWIFT)/python tests/swift/smoke.py

smoke-lmms: .venv-lmms/ready  ## the four tasks in the real lmms_eval command, with its dummy model
	$(LMMS)/python tests/lmms/smoke.py

smoke-tools:  ## score a file in a fresh environment that holds the tools alone; makes .venv-tools
	rm -rf .venv-tools
	$(PYTHON) -m venv .venv-tools
	.venv-tools/bin/python $(INSTALL) torch hatchling
	.venv-tools/bin/python $(INSTALL) --no-build-isolation '.[tools]'
	.venv-tools/bin/python tests/tools/smoke.py

lint: .venv/ready  ## style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=integrations $(BIN)/lint-imports --no-logo

format: .venv/ready  ## mend what the linter can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/ready  ## the site, runs/docs/index.html; warnings are errors, nothing is fetched
	rm -rf runs/docs
	$(BIN)/sphinx-build -c docs -W --keep-going -q . runs/docs $(ARGS)

check: lint test test-slow docs  ## what CI runs

release: .venv/ready .venv-release/ready  ## build twice, compare, check; writes dist with SBOM and licences
	rm -rf dist
	$(RELEASE)/python -m build --outdir dist/again
	$(RELEASE)/python -m build --outdir dist
	for each in dist/again/*; do cmp $$each dist/$${each##*/} || exit 1; done
	rm -r dist/again
	$(RELEASE)/twine check --strict dist/*
	$(RELEASE)/check-wheel-contents dist/*.whl
	$(RELEASE)/cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml --output-reproducible -o dist/sbom.json
	$(RELEASE)/pip-licenses --python $(BIN)/python --from=mixed --order=license --format=markdown \
		--output-file=dist/licences.md
	cd dist && sha256sum * > SHA256SUMS && cat SHA256SUMS

.venv/ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) torch hatchling
	$(PIP) --no-build-isolation --editable '.[dev]'
	touch $@

# ultralytics asks for an OpenCV with windows, which servers lack the libraries for: the one without takes its place.
.venv-bench/ready: pyproject.toml constraints.txt
	test -x $(BENCH)/python || $(PYTHON) -m venv .venv-bench
	$(BENCH)/python $(INSTALL) torch hatchling
	$(BENCH)/python $(INSTALL) --no-build-isolation --editable '.[bench]'
	$(BENCH)/python -m pip uninstall --quiet --yes opencv-python
	$(BENCH)/python $(INSTALL) --no-deps --force-reinstall opencv-python-headless
	touch $@

# ms-swift wants trl below 1 and other releases than the constraints hold, so only torch is of the same release here.
.venv-swift/ready: pyproject.toml constraints.txt
	test -x $(SWIFT)/python || $(PYTHON) -m venv .venv-swift
	grep '^torch==' constraints.txt > .venv-swift/constraints.txt
	$(SAME_TORCH) torch hatchling
	$(SAME_TORCH) \
		--no-build-isolation --editable '.[swift,tools]'
	touch $@

# lmms-eval brings a hundred packages of its own choice, so only torch is of the same release here. The torchvision that
# comes does not load beside a torch for CPUs alone, and the dummy model needs none.
.venv-lmms/ready: pyproject.toml constraints.txt
	test -x $(LMMS)/python || $(PYTHON) -m venv .venv-lmms
	grep '^torch==' constraints.txt > .venv-lmms/constraints.txt
	$(SAME_TORCH) torch hatchling
	$(SAME_TORCH) \
		--no-build-isolation --editable '.[lmms]'
	$(LMMS)/python -m pip uninstall --quiet --yes torchvision
	touch $@

.venv-release/ready:
	test -x $(RELEASE)/python || $(PYTHON) -m venv .venv-release
	$(RELEASE)/python -m pip install --quiet --disable-pip-version-check \
		build twine check-wheel-contents cyclonedx-bom pip-licenses
	touch $@

clean:  ## remove what make made
	rm -rf .venv .venv-bench .venv-swift .venv-lmms .venv-tools .venv-matrix .venv-release dist runs
