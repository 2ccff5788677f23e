"""The stages of a window, each alone: random walks, values and stalls, and the walk in plain Python as the oracle."""

import gc
import warnings
from itertools import pairwise, zip_longest
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import UnusedElaboratable
from hypothesis import given, settings
from hypothesis import strategies as st

from hw.floor import FloorStabiliser
from hw.geometry import Walk
from hw.placer import EventPlacer
from hw.scanner import MapScanner
from hw.splitter import WordSplitter
from hw.window_accumulator import WindowAccumulator
from quant.formats import Format
from quant.maps import Window
from tests.hw.exchange import exchange
from tests.hw.test_geometry import Visits, random_walk, together, with_steps

STEPS = 3
seeds = st.integers(0, 10_000)
stalls = st.sampled_from([0.0, 0.5])
examples = settings(max_examples=15)


def _place(word: int, group: int, values: list[int], last: int) -> dict[str, Any]:
    return {"word": word, "group": group, "value": values, "last": last}


@examples
@given(seed=seeds, stall=stalls)
def test_placer(seed: int, stall: float) -> None:
    rng = np.random.default_rng(seed)
    walk = with_steps(rng, random_walk(rng))
    places, channels, at_once = walk.places(), walk.source[2], int(rng.choice(together(walk)))
    beats: list[dict[str, Any]] = []
    expected: list[dict[str, Any] | None] = []
    step = 0
    for index in rng.integers(0, len(places) * channels // at_once, 40).tolist():
        last, values = int(rng.random() < 0.2), rng.integers(0, 8, at_once).tolist()
        beats.append({"index": index, "value": values if at_once > 1 else values[0], "last": last})
        place, channel = places[index * at_once // channels], index * at_once % channels
        if last:
            step = (step + 1) % walk.markers
            expected += [] if step else [None]
        elif place is not None:
            word = step * walk.map_words + place + channel // walk.lanes
            expected.append(_place(word, channel % walk.lanes // at_once, values, 0))
    beats += [{"index": 0, "value": [0] * at_once if at_once > 1 else 0, "last": 1}] * (walk.markers - step)
    expected.append(None)
    result = exchange(
        EventPlacer(walk=walk, value_bits=3, events=at_once), beats, len(expected), seed=seed, stall=stall
    )
    assert [None if beat["last"] else beat for beat in result.outputs] == expected, f"seed {seed}"
    if not stall:
        assert result.received[-1] - result.sent[-1] == EventPlacer.LATENCY
        assert all(b - a == 1 for a, b in pairwise(result.sent)), "a beat a cycle, whether it is dropped or not"


@examples
@given(seed=seeds, stall=stalls)
def test_scanner(seed: int, stall: float) -> None:
    rng = np.random.default_rng(seed)
    walk = Walk((1, 1, 1))
    while walk.visits > 400 or walk.visits < 2:
        walk = random_walk(rng)
    walk = with_steps(rng, walk)
    kept = [place // walk.lanes for place in set(walk.positions().tolist()) if place >= 0]
    beats, words, at_once = [], [], int(rng.choice(together(walk)))
    for _ in range(STEPS):
        memory = np.zeros((walk.depth, walk.lanes), np.int64)
        for _ in range(int(rng.integers(20))):
            word, group = int(rng.choice(kept)), int(rng.integers(walk.lanes // at_once))
            values = rng.integers(0, 4, at_once)
            memory[word, group * at_once : (group + 1) * at_once] += values
            beats.append(_place(word, group, values.tolist(), 0))
        beats.append(_place(0, int(rng.integers(walk.lanes // at_once)), [3] * at_once, 1))
        words += [sorted(column) for column in Visits(walk, memory).columns()]
    dut = MapScanner(walk=walk, value_bits=2, sum_bits=7, events=at_once)
    visits = walk.steps * walk.visits
    result = exchange(dut, beats, STEPS * visits, seed=seed, stall=stall)
    ends = [beat["last"] for beat in result.outputs]
    assert ends == [int(k % walk.column_words == walk.column_words - 1) for k in range(len(ends))]
    columns = np.array_split(np.array(result.outputs, object), len(words))
    for number, (column, expected) in enumerate(zip(columns, words, strict=True)):
        got = [(beat["word"] * walk.lanes + k, v) for beat in column for k, v in enumerate(beat["values"]) if v]
        assert sorted(got) == expected, f"seed {seed}, column {number}"
        assert [beat["word"] for beat in column] == list(range(walk.column_words))
    if not stall:
        marker = next(k for k, beat in enumerate(beats) if beat["last"])
        assert result.received[0] - result.sent[marker] == MapScanner.LATENCY
        assert result.received[visits - 1] - result.received[0] == visits - 1, "a word a cycle"


@pytest.mark.parametrize("steps", [1, 3])
def test_maps_follow_each_other(steps: int) -> None:
    walk = Walk((6, 6, 2), (2, 2), Window((3, 3), (1, 1), (1, 1)), steps)
    dut = MapScanner(walk=walk, value_bits=1, sum_bits=3)
    result = exchange(dut, [_place(0, 0, [0], 1)] * 4, 4 * steps * walk.visits, seed=0, stall=0.0)
    first_words = result.received[:: steps * walk.visits]
    assert [b - a for a, b in pairwise(first_words)] == [dut.cycles] * 3


@examples
@given(seed=seeds, stall=stalls)
def test_splitter(seed: int, stall: float) -> None:
    rng = np.random.default_rng(seed)
    lanes, words = int(rng.integers(1, 34)), int(rng.integers(1, 5))
    events = int(rng.choice([k for k in range(1, lanes + 1) if lanes % k == 0]))
    beats: list[dict[str, Any]] = []
    expected = []
    for _ in range(4):
        values = rng.integers(0, 8, (words, lanes)) * (rng.random((words, lanes)) < rng.choice([0, 0.1, 1], (words, 1)))
        beats += [{"word": w, "values": values[w].tolist(), "last": int(w == words - 1)} for w in range(words)]
        lit = [[(int(w), int(k)) for w, k in np.argwhere(values) if (k + w) % events == part] for part in range(events)]
        expected.append([[((w * lanes + k) // events, int(values[w, k])) for w, k in own] for own in lit])
    dut = WordSplitter(words=words, lanes=lanes, value_bits=3, events=events)
    # Pauses may part what would be sent together: how many beats there are is not known, but how many columns.
    result = exchange(dut, beats, 4, seed=seed, stall=stall, counts=lambda beat: beat["last"])
    columns: list[list[list[tuple[int, int]]]] = [[[] for _ in range(events)]]
    for beat in result.outputs:
        if beat["last"]:
            columns.append([[] for _ in range(events)])
        else:
            assert any(event["value"] for event in beat["events"]), "a beat without an event"
            for own, event in zip(columns[-1], beat["events"], strict=True):
                own += [(event["index"], event["value"])] if event["value"] else []
    assert columns[:-1] == expected, f"seed {seed}"


def test_parts_wait_for_each_other_at_the_end_of_a_column_only() -> None:
    beats = [
        {"word": 0, "values": [1, 0, 1, 0, 1, 0], "last": 0},
        {"word": 1, "values": [2, 0, 2, 0, 2, 0], "last": 1},
        {"word": 0, "values": [0, 0, 0, 0, 0, 3], "last": 0},
        {"word": 1, "values": [0, 0, 0, 0, 0, 0], "last": 1},
    ]
    dut = WordSplitter(words=2, lanes=6, value_bits=2, events=2)
    result = exchange(dut, beats, 2, seed=0, stall=0.0, counts=lambda beat: beat["last"])
    sent = [None if beat["last"] else [event["value"] for event in beat["events"]] for beat in result.outputs]
    # The second word comes a cycle after the first.
    assert sent == [[1, 0], [1, 2], [1, 2], [0, 2], None, [0, 3], None]


def test_splitter_skips_zeros_while_it_sends() -> None:
    beats = [{"word": k, "values": [0] * 4, "last": 0} for k in range(6)]
    beats[0]["values"] = [1, 2, 3, 1]
    beats[5] = {"word": 5, "values": [0, 0, 1, 0], "last": 1}
    result = exchange(WordSplitter(words=6, lanes=4, value_bits=2), beats, 6, seed=0, stall=0.0)
    assert result.received[0] - result.sent[0] == WordSplitter.LATENCY
    # Four events hide all but one of the words of zeros.
    assert [r - result.received[0] for r in result.received] == [0, 1, 2, 3, 5, 6]


@examples
@given(seed=seeds, stall=stalls)
def test_window_accumulator(seed: int, stall: float) -> None:
    rng = np.random.default_rng(seed)
    walk = Walk((9, 9, 99))
    while walk.shape[2] > 4 or walk.shape[0] * walk.shape[1] > 40:
        walk = random_walk(rng)
    _check_window_accumulator(walk, rng, seed, stall)


def test_what_is_beyond_the_right_edge_does_not_come_back_on_the_left() -> None:
    walk = Walk((5, 5, 1), (1, 1), Window((1, 4), (1, 2), (0, 2)))
    last_column = walk.columns - 1
    assert walk.discarded == 0 and walk.places()[4] == last_column * walk.phases, "it reaches an output beyond the last"
    _check_window_accumulator(walk, np.random.default_rng(1), 1, 0.0)


def _check_window_accumulator(walk: Walk, rng: np.random.Generator, seed: int, stall: float) -> None:
    """Sums and cycles, of random weights and events."""
    n_e, n_i = (int(v) for v in rng.integers((1, 0), 5))
    synapse = Format(int(rng.integers(1, 9)), signed=n_i == 0)
    kernel = (walk.window or Window(walk.shape[:2])).kernel
    weights = rng.integers(synapse.min, synapse.max + 1, (n_e + n_i, kernel[0] * kernel[1] * walk.shape[2]))
    rows, largest, row = walk.weight_rows(weights), 7, walk.taps * (n_e + n_i)
    several = int(rng.choice([k for k in range(1, walk.lanes + 1) if walk.lanes % k == 0]))
    low, high = (part(weights, 0).sum(1) * largest for part in (np.minimum, np.maximum))
    dut = WindowAccumulator(
        walk=walk,
        w_ee=weights[:n_e],
        w_ie=weights[n_e:],
        synapse=synapse,
        value_bits=3,
        i_ee=Format.for_range(int(low[:n_e].min()), int(high[:n_e].max())),
        i_ie=Format.for_range(0, int(high[n_e:].max(initial=0))),
        lanes=row * several if several > 1 else int(rng.integers(1, row + 1)),
    )
    inputs = rng.integers(0, largest + 1, (walk.depth, walk.lanes)) * (rng.random((walk.depth, 1)) < 0.5)
    inputs[:, walk.shape[2] :] = 0
    beats: list[dict[str, Any]] = []
    expected, counts = [], []
    sums = np.zeros((walk.taps, n_e + n_i), np.int64)
    for number, column in enumerate(Visits(walk, inputs).columns()):
        for index, value in column:
            sums += value * rows[index].reshape(sums.shape)
        parts: list[list[tuple[int, int]]] = [[] for _ in range(dut.events)]
        for index, value in column:
            word, lane = divmod(index, walk.lanes)
            parts[(word + lane) % dut.events].append((index // dut.events, value))
        together = [[event or (0, 0) for event in sent] for sent in zip_longest(*parts)]
        sent_events = [*together, [(0, 5)] * dut.events]  # what comes with the marker means nothing
        beats += [{"events": [{"index": j, "value": v} for j, v in sent], "last": 0} for sent in sent_events]
        beats[-1]["last"] = 1
        if number % walk.columns >= walk.discarded:
            expected.append(sums[0].tolist())
            counts.append(len(together))
        sums = np.concatenate([sums[1:], np.zeros_like(sums[:1])]) * int(number % walk.columns < walk.columns - 1)
    result = exchange(dut, beats, len(expected), seed=seed, stall=stall)
    got = [[*currents["i_ee"], *currents.get("i_ie", [])] for currents in result.outputs]
    # Columns at the edges bring more to outputs beside the map than to any on it: those on it are always right.
    assert got == expected, f"seed {seed}"
    if not stall:
        intervals = [b - a for a, b in pairwise(result.received)]
        neighbours = [k for k in range(1, len(counts)) if k % walk.output[1]]
        assert [intervals[k - 1] for k in neighbours] == [dut.cycles(counts[k]) for k in neighbours], f"seed {seed}"


def test_latency_of_the_window_accumulator() -> None:
    walk = Walk((1, 1, 1))
    w = np.ones((2, 1), int)
    dut = WindowAccumulator(
        walk=walk, w_ee=w, w_ie=w, synapse=Format(1), value_bits=1, i_ee=Format(1), i_ie=Format(1), lanes=2
    )
    result = exchange(dut, [{"events": [{"index": 0, "value": 0}], "last": 1}], 1, seed=0, stall=0.0)
    assert result.received[0] - result.sent[0] == dut.latency


@examples
@given(seed=seeds, stall=stalls)
def test_floor_stabiliser(seed: int, stall: float) -> None:
    rng = np.random.default_rng(seed)
    lanes, bal, d = int(rng.integers(1, 5)), Format(5, signed=True), Format(int(rng.integers(1, 12)))
    floor = int(rng.integers(1, d.max + 1))
    beats = [
        [
            {"bal": int(rng.integers(-16, 16)), "d": int(rng.choice([0, d.max, int(rng.integers(d.max))]))}
            for _ in range(lanes)
        ]
        for _ in range(20)
    ]
    result = exchange(FloorStabiliser(lanes=lanes, bal=bal, d=d, floor=floor), beats, 20, seed=seed, stall=stall)
    assert result.outputs == [[x | {"d": max(x["d"], floor)} for x in beat] for beat in beats], f"seed {seed}"
    if not stall:
        assert result.received[0] - result.sent[0] == FloorStabiliser.LATENCY
        assert all(b - a == 1 for a, b in pairwise(result.received))


WALK = Walk((4, 4, 2), (1, 1), Window((3, 3)))
WEIGHTS: dict[str, Any] = {
    "walk": WALK,
    "w_ee": np.zeros((3, 18), int),
    "w_ie": np.zeros((1, 18), int),
    "synapse": Format(2),
    "value_bits": 1,
    "i_ee": Format(4),
    "i_ie": Format(4),
    "lanes": 1,
}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EventPlacer(walk=WALK, value_bits=9), r"value_bits of the placer must be 1\.\.8, not 9"),
        (lambda: EventPlacer(walk=WALK, value_bits=1, events=4), "events of the placer must divide 2 and 2, not 4"),
        (
            lambda: MapScanner(walk=WALK, value_bits=1, sum_bits=3, events=3),
            "events of the scanner must divide 2, and 3 does not",
        ),
        (lambda: MapScanner(walk=WALK, value_bits=4, sum_bits=3), r"value_bits of the scanner must be 1\.\.3, not 4"),
        (lambda: WordSplitter(words=0, lanes=5, value_bits=1), "words of the splitter must be at least 1, not 0"),
        (lambda: WordSplitter(words=1, lanes=4, value_bits=0), "value_bits of the splitter must be at least 1, not 0"),
        (
            lambda: WordSplitter(words=1, lanes=4, value_bits=1, events=3),
            "events of the splitter must divide its 4 lanes, and 3 does not",
        ),
        (
            lambda: WindowAccumulator(**(WEIGHTS | {"lanes": 13})),
            r"lanes of the window's synapse stage must be 1\.\.12, or times a divisor of 2, not 13",
        ),
        (lambda: WindowAccumulator(**(WEIGHTS | {"synapse": Format(9)})), r"synapse bits .* must be 1\.\.8, not 9"),
        (lambda: WindowAccumulator(**(WEIGHTS | {"value_bits": 0})), "value_bits of the window's .* at least 1, not 0"),
        (
            lambda: FloorStabiliser(lanes=1, bal=Format(4, signed=True), d=Format(3), floor=8),
            r"floor of the stabiliser must be 1\.\.7",
        ),
        (
            lambda: FloorStabiliser(lanes=0, bal=Format(4, signed=True), d=Format(3), floor=1),
            "lanes of the stabiliser must be at least 1, not 0",
        ),
    ],
)
def test_parameters_out_of_range(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
    with warnings.catch_warnings():  # the half-made component is not elaborated, which Amaranth would remark on
        warnings.simplefilter("ignore", UnusedElaboratable)
        gc.collect()
