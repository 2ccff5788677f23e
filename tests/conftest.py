"""Options of the test run."""

import os

import pytest
from hypothesis import settings

# Tests run side by side, one on each core: more threads than that only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--networks", type=int, default=8, help="random networks to co-simulate, of each kind (cosim-random: 200)"
    )
    parser.addoption("--netlists", type=int, default=1, help="random networks to simulate after synthesis (proofs: 8)")
    parser.addoption("--faults", type=int, default=300, help="errors on a board's line (board-faults: 10,000)")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seeds" in metafunc.fixturenames:
        from tests.sim.random_designs import batches

        count = metafunc.config.getoption("--networks")
        metafunc.parametrize("seeds", batches(count), ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")


# How long an example takes says something about the machine, and nothing about the code.
settings.register_profile("chandelier", deadline=None)
settings.load_profile("chandelier")
