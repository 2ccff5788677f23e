"""What events become on their way through a map, against the components that do it."""

from typing import Any

import numpy as np
import pytest

from hw.geometry import Walk
from hw.map_words import kept_events, word_events
from hw.placer import EventPlacer
from hw.scanner import MapScanner
from tests.hw.exchange import event_beats, exchange
from tests.hw.test_geometry import random_walk


@pytest.mark.parametrize("seed", range(6))
def test_words_have_what_the_scanner_gives(seed: int) -> None:
    rng = np.random.default_rng(seed)
    walk = Walk((1, 1, 1))
    while walk.visits > 200 or walk.visits < 2:
        walk = random_walk(rng)
    events = int(rng.choice([k for k in range(1, walk.lanes + 1) if walk.lanes % k == 0]))
    # Two samples of two steps, of two sources.
    sources = [rng.random((2, 2, len(walk.positions()))) < rng.choice([0.02, 0.2], (2, 2, 1)) for _ in range(2)]
    beats: list[dict[str, Any]] = []
    for step in np.stack(sources, 2).reshape(4, 2, -1):
        beats += [beat for own in step for beat in event_beats(own)[:-1]] + event_beats(step[0])[-1:]
    placed = exchange(EventPlacer(walk=walk, value_bits=1), beats, 4, seed=seed, stall=0.0, counts=_is_last).outputs
    kept = list(kept_events(walk, sources))
    assert len(kept) == len(beats) - 4 and sum(kept) == len(placed) - 4
    words = exchange(MapScanner(walk=walk, value_bits=1, sum_bits=8), placed, 4 * walk.visits, seed=seed, stall=0.0)
    expected = []
    for beat in words.outputs:
        parts = (np.arange(walk.lanes) + beat["word"]) % events
        expected.append(np.bincount(parts[np.array(beat["values"]) > 0], minlength=events).tolist())
    assert list(word_events(walk, sources, events)) == expected, f"seed {seed}"


def _is_last(beat: Any) -> bool:
    return bool(beat["last"])
