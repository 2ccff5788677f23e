"""The queue behind a pipeline: depths that it can keep its promise with. What it promises is proven (sim/formal)."""

import pytest

from hw.credits import CreditQueue


@pytest.mark.parametrize("depth", [0, 2])
def test_depths_that_would_lose_beats(depth: int) -> None:
    with pytest.raises(ValueError, match=f"must be 1, or at least 3, not {depth}"):
        CreditQueue(8, depth)
