"""Options of the test run."""

import os

import pytest

# Tests run side by side, one on each core: more threads than that only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--networks", type=int, default=16, help="random networks to co-simulate (make cosim-random: 200)")
