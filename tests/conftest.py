"""Options of the test run."""

import os
import random

import pytest
from hypothesis import settings

# Tests run side by side, one on each core: more threads than that only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--networks", type=int, default=4, help="random networks to co-simulate, of each kind (cosim-random: 250)"
    )
    parser.addoption("--slow", action="store_true", help="also what has the marker slow (test-slow)")
    parser.addoption("--axi-samples", type=int, default=20, help="samples through the AXI shell (axi-random: 500)")
    parser.addoption("--axi-seed", type=int, help="of these samples, resets and pauses; any without it")
    parser.addoption("--reloads", type=int, default=4, help="networks loaded into a board in turn (board-faults: 20)")
    parser.addoption("--notebooks", choices=["quick", "all"], default="quick", help="which notebooks to run")
    parser.addoption("--netlists", type=int, default=1, help="random networks to simulate after synthesis (proofs: 3)")
    parser.addoption("--faults", type=int, default=300, help="errors on a board's line (board-faults: 10,000)")
    parser.addoption("--bitstreams", action="store_true", help="make bitstreams twice, in minutes (determinism)")
    parser.addoption("--fuzz-seed", type=int, default=0, help="of the inputs that readers are given")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        config.hook.pytest_deselected(items=[item for item in items if "slow" in item.keywords])
        items[:] = [item for item in items if "slow" not in item.keywords]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seeds" in metafunc.fixturenames:
        from tests.sim.random_designs import batches

        count = metafunc.config.getoption("--networks")
        metafunc.parametrize("seeds", batches(count), ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")


@pytest.fixture(scope="session")
def axi_samples(request: pytest.FixtureRequest) -> int:
    count = request.config.getoption("--axi-samples")
    assert isinstance(count, int)
    return count


@pytest.fixture
def axi_seed(request: pytest.FixtureRequest) -> int:
    chosen = request.config.getoption("--axi-seed")
    return random.randrange(1 << 32) if chosen is None else chosen


# How long an example takes says something about the machine, and nothing about the code.
settings.register_profile("chandelier", deadline=None)
settings.load_profile("chandelier")
