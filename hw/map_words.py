"""What events become on their way through a layer's map, in their order: which go on, and what its words then have."""

from collections.abc import Iterator, Sequence

import numpy as np

from hw.geometry import Walk
from hw.order import row_major_order

__all__ = ["kept_events", "word_events"]


def _steps(walk: Walk, sources: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, ...]]:
    """The events between two markers, of one sample after the other, of all sources: (``walk.events``,) bool."""
    if walk.row_major_source:
        sources = [row_major_order(source, walk.source[0]) for source in sources]
    yield from zip(*[source.reshape(-1, walk.events) for source in sources], strict=True)


def kept_events(walk: Walk, sources: Sequence[np.ndarray], at_once: int) -> Iterator[bool]:
    """Of each event, or of ``at_once`` neighbours that come together, whether it is of a pixel that some window sees.

    Parameters
    ----------
    walk : Walk
    sources : sequence of (samples, steps, values) bool
        The events; up to a marker they come one source after the other, and of each in the order of
        ``Walk.positions``.
    """
    kept = walk.positions()[: walk.events : at_once] >= 0  # of any step the same
    for step in _steps(walk, sources):
        for own in step:
            yield from kept[own.reshape(-1, at_once).any(1)].tolist()


def word_events(walk: Walk, sources: Sequence[np.ndarray], events: int) -> Iterator[list[int]]:
    """Of each word that is visited, the inputs of each of ``events`` parts that are not zero (``Walk.part_rows``).

    Parameters as those of :func:`kept_events`.
    """
    visited, positions = walk.visited(), walk.positions()
    # Part p of word w of a column has the lanes that are p - w more than a multiple of the parts.
    turned = (np.arange(events) - np.arange(len(visited))[:, None] % walk.column_words) % events
    positions, steps = positions.reshape(-1, walk.events), _steps(walk, sources)
    for gathered in zip(*[steps] * len(positions), strict=True):
        lit = np.zeros(walk.depth * walk.lanes + 1, bool)  # the last one is of what is not kept, whose position is -1
        for of_step, step in zip(positions, gathered, strict=True):
            for own in step:
                lit[of_step[own]] = True
        counts = lit[:-1].reshape(walk.depth, -1, events).sum(1)
        yield from counts[visited[:, None], turned].tolist()
