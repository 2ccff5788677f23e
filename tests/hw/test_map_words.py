"""What events become on their way through a map, against the components that do it."""

import math
from typing import Any

import numpy as np
import pytest

from hw.geometry import Walk
from hw.map_words import kept_events, word_events
from hw.placer import EventPlacer
from hw.scanner import MapScanner
from tests.hw.exchange import exchange
from tests.hw.test_geometry import random_walk, together, with_steps


@pytest.mark.parametrize("seed", range(12))
def test_words_have_what_the_scanner_gives(seed: int) -> None:
    rng = np.random.default_rng(seed)
    walk = Walk((1, 1, 1))
    while walk.visits > 200 or walk.visits < 2:
        walk = random_walk(rng)
    walk = with_steps(rng, walk)
    events = int(rng.choice([k for k in range(1, walk.lanes + 1) if walk.lanes % k == 0]))
    # Two samples, of two sources; of all time steps, or of two where each is gathered alone.
    steps, values = walk.steps if walk.steps > 1 else 2, math.prod(walk.source)
    sources = [rng.random((2, steps, values)) < rng.choice([0.02, 0.2], (2, steps, 1)) for _ in range(2)]
    sent = np.stack(sources, 2)
    if walk.row_major_source:
        sent = sent.reshape(2, steps, 2, walk.source[0], -1).transpose(0, 2, 3, 1, 4)
    beats: list[dict[str, Any]] = []
    at_once = int(rng.choice(together(walk)))
    for own in sent.reshape(-1, 2, walk.events):
        beats += [beat for source in own for beat in _groups(source, at_once)] + [_group(0, [0] * at_once, last=1)]
    gathered, bits = 2 * steps // walk.steps, {"value_bits": 1, "events": at_once}
    placer = exchange(EventPlacer(walk=walk, **bits), beats, gathered, seed=seed, stall=0.0, counts=_is_last)
    kept, places, groups = list(kept_events(walk, sources, at_once)), walk.places(), walk.source[2] // at_once
    assert kept == [places[beat["index"] // groups] is not None for beat in beats if not beat["last"]]
    assert sum(kept) == len(placer.outputs) - gathered
    scanner, visits = MapScanner(walk=walk, sum_bits=8, **bits), 2 * steps * walk.visits
    words = exchange(scanner, placer.outputs, visits, seed=seed, stall=0.0)
    expected = []
    for beat in words.outputs:
        parts = (np.arange(walk.lanes) + beat["word"]) % events
        expected.append(np.bincount(parts[np.array(beat["values"]) > 0], minlength=events).tolist())
    assert list(word_events(walk, sources, events)) == expected, f"seed {seed}"


def _group(index: int, values: list[int], *, last: int) -> dict[str, Any]:
    return {"index": index, "value": values if len(values) > 1 else values[0], "last": last}


def _groups(lit: np.ndarray, at_once: int) -> list[dict[str, Any]]:
    """A beat for each group of neighbours of which one is lit."""
    groups = lit.reshape(-1, at_once).astype(int).tolist()
    return [_group(index, values, last=0) for index, values in enumerate(groups) if any(values)]


def _is_last(beat: Any) -> bool:
    return bool(beat["last"])
