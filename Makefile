# Every way to run anything. `make help` lists the targets; each sets up what it needs.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint types unit format cosim-random cycles-random cosim-mnist board-faults nir-check proofs figures depth \
  speed clean

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
	$(BIN)/python -m sw.demo

test: lint types unit ## everything that has to be green

lint: setup ## style and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: setup ## static types
	$(BIN)/mypy

unit: setup ## the tests, in parallel on the cores that are there
	$(BIN)/pytest -n auto --dist worksteal

format: setup ## mend style and formatting
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

cosim-random: setup ## slow: co-simulate 200 random networks, and 200 of maps, with random stalls
	$(BIN)/pytest -n auto tests/sim/test_random_networks.py --networks 200

cycles-random: setup ## slow: the exact cycle model against the simulated Verilog of 200 random networks
	$(BIN)/pytest -n auto tests/sim/test_exact_cycles.py --networks 200

cosim-mnist: setup ## slow: train 784-128-10 and co-simulate all 10,000 MNIST test images
	$(BIN)/chandelier data get mnist
	$(BIN)/chandelier train configs/mnist-128.toml
	$(BIN)/chandelier quantize runs/mnist-128
	$(BIN)/chandelier cosim runs/mnist-128/mnist-128.safetensors --data mnist --samples all

board-faults: setup ## slow: 10,000 errors on the line to a simulated board, and 10,000 between it and the host
	$(BIN)/pytest -s tests/sim/test_board_faults.py --faults 10000

proofs: setup ## slow: every formal proof, each with its planted bug, and networks after synthesis, simulated as netlists
	$(BIN)/python -m sim.formal
	$(BIN)/pytest -s tests/sim/formal/test_netlist.py --netlists 8

nir-check: setup ## slow: graphs of snnTorch and Norse, fetched from PyPI, spike alike here, down to the Verilog
	$(PYTHON) -m venv .venv-nir
	.venv-nir/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]' snntorch==1.0.0 norse==1.1.0
	.venv-nir/bin/pytest -rs tests/sw/test_import_nir.py

figures: setup ## slow: every accuracy in docs/results.md
	$(BIN)/python benchmarks/figures.py

depth: setup ## slow: MLP-2 to MLP-16 on MNIST, with and without E-I Init and each part of E-I Prop
	$(BIN)/python -m benchmarks.depth

speed: setup ## training against the paper's formulation, the golden model against the float model
	$(BIN)/python -m benchmarks.speed

clean: ## remove what was generated, the environment included
	rm -rf $(VENV) .venv-nir build demo runs *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
