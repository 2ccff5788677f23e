# Every way to run anything. `make help` lists the targets; each sets up what it needs.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint types unit test-slow format cosim-random cycles-random cosim-mnist board-faults bitstreams \
  axi-random fuzz determinism mutants mutants-python coverage proofs verify nir-check figures depth area speed soft-errors docs \
  notebooks wheel-check clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## make the environment in .venv, with the exact versions of constraints.txt

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: setup ## the whole path on the embedded digits: train, quantise, export, RTL, co-simulate every test image
	$(BIN)/chandelier demo

test: lint types unit ## everything that has to be green

lint: setup ## style and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: setup ## static types
	$(BIN)/mypy

unit: setup ## the tests, in parallel on the cores that are there
	$(BIN)/pytest -n auto --dist worksteal

test-slow: setup ## slow: the tests that take long, and are not in 'make test'
	$(BIN)/pytest -n auto --dist worksteal --slow -m slow

format: setup ## mend style and formatting
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

cosim-random: setup ## slow: co-simulate 250 random networks, 250 of maps, 250 in row-major order, 250 spatial, and lively ones, with random stalls
	$(BIN)/pytest -n auto tests/sim/test_random_networks.py --networks 250 --slow

cycles-random: setup ## slow: the exact cycle model against the simulated Verilog of 200 random networks, and 100 with maps, half of them row-major
	$(BIN)/pytest -n auto tests/sim/test_exact_cycles.py --networks 200

cosim-mnist: setup ## slow: train 784-128-10 and co-simulate all 10,000 MNIST test images
	$(BIN)/chandelier data get mnist
	$(BIN)/chandelier train configs/mnist-128.toml
	$(BIN)/chandelier quantize runs/mnist-128
	$(BIN)/chandelier cosim runs/mnist-128/mnist-128.safetensors --data mnist --samples all

board-faults: setup ## slow: 10,000 errors on the line to a simulated board, as many between it and the host, and in loads
	$(BIN)/pytest -s tests/sim/test_board_faults.py tests/sim/test_board_loading.py --faults 10000 --reloads 20

bitstreams: ## slow: bitstreams for three boards, made in an environment of its own that has wheels only
	$(PYTHON) -m venv --clear .venv-bitstreams
	.venv-bitstreams/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	  --only-binary :all: --editable '.[board]'
	.venv-bitstreams/bin/python benchmarks/bitstreams.py

axi-random: setup ## slow: 500 samples and 50 resets through the AXI shell, with random pauses on all channels
	$(BIN)/pytest -s tests/sim/test_axi.py --slow --axi-samples 500

fuzz: setup ## slow: every reader of outside data, MINUTES each (10), with damaged inputs; table, and build/verify/fuzz.json
	$(BIN)/python -m tests.fuzz.run --minutes $(or $(MINUTES),10)

determinism: setup ## slow: equal configurations give equal weights, networks, exports, Verilog, and bitstreams
	$(BIN)/pytest tests/test_determinism.py --bitstreams

mutants: setup ## slow: hundreds of wrong designs, of which the regression has to notice 95 %
	$(BIN)/python -m tests.sim.mutants

mutants-python: setup ## slow: wrong operators and numbers in the arithmetic, which its tests have to notice
	$(BIN)/python -m tests.quant.mutants

coverage: setup ## slow: what the regression made happen in the designs, bin by bin
	$(BIN)/python -m tests.sim.coverage

verify: setup ## slow: proofs, mutants, coverage, fuzzing, everything twice, random networks; ends in build/verify/report.md
	$(BIN)/python -m tests.verify

proofs: setup ## slow: every formal proof, each with its planted bug, and networks after synthesis, simulated as netlists
	$(BIN)/python -m sim.formal
	$(BIN)/pytest -s tests/sim/formal/test_netlist.py --slow --netlists 3

nir-check: setup ## slow: graphs of snnTorch and Norse, fetched from PyPI, spike alike here, down to the Verilog
	$(PYTHON) -m venv .venv-nir
	.venv-nir/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]' snntorch==1.0.0 norse==1.1.0
	.venv-nir/bin/pytest -rs tests/sw/test_import_nir.py

figures: setup ## slow: every accuracy in docs/results.md
	$(BIN)/python benchmarks/figures.py

depth: setup ## slow: MLP-2 to MLP-16 on MNIST, with and without E-I Init and each part of E-I Prop
	$(BIN)/python -m benchmarks.depth

area: setup ## slow: the area model's coefficients and errors, from 36 random designs, synthesised where they are not in runs/area
	$(BIN)/python -m benchmarks.area 36

speed: setup ## training against the paper's formulation, the golden model against the float model
	$(BIN)/python -m benchmarks.speed

soft-errors: setup ## accuracy of the digits network over the rate of wrong bits, by place, and what would notice them
	$(BIN)/python -m benchmarks.soft_errors

wheel-check: export PYTHONPATH =
wheel-check: setup ## slow: build a wheel from the source archive, install it in an empty environment, run the demo from an empty folder
	rm -rf build/wheel && mkdir -p build/wheel/empty
	$(BIN)/python -m build --outdir build/wheel
	$(PYTHON) -m venv build/wheel/venv
	build/wheel/venv/bin/python -m pip install --quiet --constraint constraints.txt build/wheel/*.whl
	cd build/wheel/empty && ../venv/bin/chandelier --help && ../venv/bin/chandelier doctor && ../venv/bin/chandelier demo

docs: setup ## the documentation site in build/docs: every page, notebook (run anew) and docstring, no warning allowed
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --doctree-dir build/doctrees docs build/docs
	$(BIN)/sphinx-build --quiet --fail-on-warning --builder linkcheck --doctree-dir build/doctrees docs build/linkcheck
	@echo "open build/docs/index.html"

notebooks: setup ## all notebooks of docs/notebooks, run as in Jupyter
	$(BIN)/pytest tests/test_notebooks.py --notebooks all

clean: ## remove what was generated, the environment included
	rm -rf $(VENV) .venv-bitstreams .venv-nir build demo docs/api runs *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
