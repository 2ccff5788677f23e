"""Options of the test run."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--networks", type=int, default=16, help="random networks to co-simulate (make cosim-random: 200)")
