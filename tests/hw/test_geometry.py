"""The walk of a window: what is kept, visited and multiplied is what a convolution adds up, for any shape."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw.geometry import Walk
from quant.errors import ChandelierError
from quant.maps import Window, pooled

__all__ = ["random_walk", "together", "with_steps"]


def random_walk(rng: np.random.Generator) -> Walk:
    """Any source, pooling, kernel of 1..5, stride and padding that fit; a fifth see all of the map."""
    source = (int(rng.integers(1, 10)), int(rng.integers(1, 10)), int(rng.choice([1, 2, 3, 4, 33, 70])))
    pool = (int(rng.integers(1, min(3, source[0]) + 1)), int(rng.integers(1, min(3, source[1]) + 1)))
    if rng.random() < 0.2:
        return Walk(source, pool)
    shape = pooled(source, pool)
    kernel = (int(rng.integers(1, min(5, shape[0]) + 1)), int(rng.integers(1, min(5, shape[1]) + 1)))
    stride = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
    padding = (int(rng.integers(kernel[0])), int(rng.integers(kernel[1])))
    return Walk(source, pool, Window(kernel, stride, padding))


def together(walk: Walk) -> list[int]:
    """How many neighbours of the source may come at once, each for itself among them."""
    return [k for k in range(1, walk.lanes + 1) if walk.source[2] % k == 0 == walk.lanes % k]


def with_steps(rng: np.random.Generator, walk: Walk) -> Walk:
    """The walk, or one over two or three time steps that are gathered together, in any order."""
    steps, visits, events = (int(n) for n in rng.integers((1, 0, 0), (4, 2, 2)))
    return replace(walk, steps=steps, row_major=bool(visits), row_major_source=bool(events)) if steps > 1 else walk


@dataclass
class Visits:
    """What comes by on a walk over ``memory`` (words, lanes): for each column, (index, value) of what is not zero."""

    walk: Walk
    memory: np.ndarray

    def columns(self) -> list[list[tuple[int, int]]]:
        walk, result = self.walk, []
        turns = [(row, step) for step in range(walk.steps) for row in range(walk.output[0])]
        for row, step in sorted(turns) if walk.row_major else turns:
            for column in range(walk.columns):
                events = []
                for word in range(walk.column_words):
                    phase, rest = divmod(word, walk.rows * walk.groups)
                    line, group = divmod(rest, walk.groups)
                    address = step * walk.map_words + (row * walk.row_step + line) * walk.row_words
                    address += (column * walk.phases + phase) * walk.groups + group
                    events += [(word * walk.lanes + k, int(v)) for k, v in enumerate(self.memory[address]) if v]
                result.append(events)
        return result


def _gather(walk: Walk, codes: np.ndarray) -> np.ndarray:
    """What the memory of a map holds after the events of ``codes`` (height, width, channels)."""
    memory = np.zeros((walk.depth, walk.lanes), np.int64)
    for place, pixel in zip(walk.places(), codes.reshape(-1, walk.source[2]), strict=True):
        if place is not None:
            for channel, value in enumerate(pixel):
                memory[place + channel // walk.lanes, channel % walk.lanes] += value
    return memory


def _convolved(walk: Walk, codes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The sums of all pixels and neurons, (height, width, n), by the definition."""
    height, width, channels = walk.shape
    (pool_y, pool_x), window = walk.pool, walk.window or Window(walk.shape[:2])
    cut = codes[: height * pool_y, : width * pool_x].reshape(height, pool_y, width, pool_x, channels)
    x = np.pad(cut.sum((1, 3)), [(p, p) for p in window.padding] + [(0, 0)])
    (kernel_y, kernel_x), (stride_y, stride_x) = window.kernel, window.stride
    rows, columns = window.output(walk.shape)
    patches = [
        [
            x[r * stride_y : r * stride_y + kernel_y, c * stride_x : c * stride_x + kernel_x].ravel()
            for c in range(columns)
        ]
        for r in range(rows)
    ]
    return np.array(patches) @ weights.T


@settings(max_examples=200)
@given(seed=st.integers(0, 100_000))
def test_walk_convolves(seed: int) -> None:
    rng = np.random.default_rng(seed)
    walk = random_walk(rng)
    codes = rng.integers(0, 5, walk.source) * (rng.random(walk.source) < 0.5)
    kernel = (walk.window or Window(walk.shape[:2])).kernel
    weights = rng.integers(-9, 10, (3, kernel[0] * kernel[1] * walk.shape[2]))
    rows = walk.weight_rows(weights)
    results, accumulators = [], np.zeros((walk.taps, 3), np.int64)
    for number, column in enumerate(Visits(walk, _gather(walk, codes)).columns()):
        for index, value in column:
            accumulators += value * rows[index].reshape(walk.taps, 3)
        place = number % walk.columns
        if place >= walk.discarded:
            results.append(accumulators[0].copy())
        accumulators = np.concatenate([accumulators[1:], np.zeros((1, 3), np.int64)])
        accumulators *= place < walk.columns - 1
    assert np.array_equal(np.array(results).reshape(*walk.output, 3), _convolved(walk, codes, weights)), f"seed {seed}"


@settings(max_examples=100)
@given(seed=st.integers(0, 100_000))
def test_several_time_steps_are_several_walks(seed: int) -> None:
    """What is gathered together has the addresses of one step, a map further on for each, in the order that is said."""
    rng = np.random.default_rng(seed)
    one = random_walk(rng)
    walk = with_steps(rng, one)
    starts = one.depth * np.arange(walk.steps)
    assert walk.depth == walk.steps * one.depth and walk.visits == one.visits
    rows = one.visited().reshape(one.output[0], -1)
    turns = [start + row for row in rows for start in starts] if walk.row_major else [s + rows.ravel() for s in starts]
    assert np.array_equal(walk.visited(), np.concatenate(turns)), f"seed {seed}"
    values = one.positions().reshape(one.source[0], -1)
    places = [np.where(values < 0, -1, values + start * one.lanes) for start in starts]
    order = np.stack(places, 1) if walk.row_major_source else np.stack(places)
    assert np.array_equal(walk.positions(), order.ravel()), f"seed {seed}"


def test_what_no_window_sees_is_not_kept() -> None:
    walk = Walk((5, 7, 1), (1, 1), Window((1, 2), (2, 3)))
    kept = np.array([place is not None for place in walk.places()]).reshape(5, 7)
    assert kept.tolist() == [[y % 2 == 0 and x % 3 < 2 and x < 6 for x in range(7)] for y in range(5)]
    assert walk.depth == 3 * 4, "rows 0, 2, 4 and columns 0, 1, 3, 4"


def test_pooling_drops_what_is_left_at_the_edge() -> None:
    assert Walk((3, 5, 1), (2, 2)).places() == [0, 0, 1, 1, None] * 2 + [None] * 5


def test_weights_of_another_window_are_refused() -> None:
    with pytest.raises(ChandelierError, match="a window of 2x2x3 takes as many weights a neuron, not 11"):
        Walk((4, 4, 3), (1, 1), Window((2, 2))).weight_rows(np.zeros((1, 11), int))
