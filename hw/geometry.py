"""How a layer's window moves over its map: where inputs are kept, and in which order they are visited."""

import math
from dataclasses import dataclass

import numpy as np

from hw.packing import ceil_div
from quant.errors import ChandelierError
from quant.maps import Pair, Shape, Window, pooled

__all__ = ["WORD_CHANNELS", "Walk"]

#: Channels of a pixel that are kept in a memory word; what has more takes several words.
WORD_CHANNELS = 32


@dataclass(frozen=True)
class Walk:
    """The walk of a window over a map that is pooled first.

    For each output row, the columns of the map come by from left to right; a *column* here is ``phases`` columns of
    pixels, those between two neighbouring outputs. Each brings something to ``taps`` neighbouring outputs of the row,
    and finishes one of them. Before the first output is finished, ``discarded`` columns come by.

    A layer that is fully connected to its map is the window that is as large as the map.

    Parameters
    ----------
    source : Shape
        Of the map that the events are of.
    pool : (height, width)
        They are summed over windows of that size.
    window : Window, optional
        On the pooled map; by default all of it.
    steps : int, >= 1
        Time steps whose maps are gathered before the first of them is visited.
    row_major : bool
        All these time steps of a row of outputs are visited before the next row; otherwise step by step.
    row_major_source : bool
        Events come in that order: row by row, all steps of a row in a row, and one marker for all of them. Otherwise
        they come step by step, each with a marker. (With one step both are the same.)
    """

    source: Shape
    pool: Pair = (1, 1)
    window: Window | None = None
    steps: int = 1
    row_major: bool = False
    row_major_source: bool = False

    @property
    def shape(self) -> Shape:
        """Of the pooled map."""
        return pooled(self.source, self.pool)

    @property
    def _window(self) -> Window:
        return self.window or Window(self.shape[:2], self.shape[:2])

    @property
    def output(self) -> Pair:
        """Height and width of the result."""
        return self._window.output(self.shape)

    @property
    def rows(self) -> int:
        """Rows of the window."""
        return self._window.kernel[0]

    @property
    def row_step(self) -> int:
        """Kept rows between two rows of outputs; what no window sees is not kept."""
        return min(self._window.stride[0], self.rows)

    @property
    def phases(self) -> int:
        """Kept columns of pixels from one output to the next."""
        return min(self._window.stride[1], self._window.kernel[1])

    @property
    def taps(self) -> int:
        """Outputs of a row that one pixel contributes to."""
        return ceil_div(self._window.kernel[1], self._window.stride[1])

    @property
    def _first(self) -> int:
        """Columns that are nothing but padding."""
        return self._window.padding[1] // self._window.stride[1]

    @property
    def discarded(self) -> int:
        """Columns before the one that finishes the first output of a row."""
        return self.taps - 1 - self._first

    @property
    def columns(self) -> int:
        """Columns of a row of outputs."""
        return self.output[1] + self.discarded

    @property
    def lanes(self) -> int:
        """Channels in a word."""
        return min(self.shape[2], WORD_CHANNELS)

    @property
    def groups(self) -> int:
        """Words of a pixel."""
        return ceil_div(self.shape[2], self.lanes)

    @property
    def row_words(self) -> int:
        """Words of a row that is kept."""
        return self.columns * self.phases * self.groups

    @property
    def column_words(self) -> int:
        """Words of a column of the window."""
        return self.phases * self.rows * self.groups

    @property
    def map_words(self) -> int:
        """Words of the map of a time step."""
        return ((self.output[0] - 1) * self.row_step + self.rows) * self.row_words

    @property
    def depth(self) -> int:
        """Words of the maps that are gathered together."""
        return self.steps * self.map_words

    @property
    def visits(self) -> int:
        """Words read for a time step, each as often as there are rows of outputs that see it."""
        return self.output[0] * self.columns * self.column_words

    @property
    def bands(self) -> int:
        """Equal parts of the outputs, one after the other, in each of which all time steps come in a row."""
        return self.output[0] if self.row_major else 1

    @property
    def turns(self) -> int:
        """Visits of what is gathered together: of each time step, or of all of them row by row."""
        return 1 if self.row_major else self.steps

    @property
    def markers(self) -> int:
        """Markers that end what is gathered together."""
        return 1 if self.row_major_source else self.steps

    @property
    def events(self) -> int:
        """Places that an event can be of: values of the source, and, where its order is row-major, of all steps."""
        return math.prod(self.source) * (self.steps if self.row_major_source else 1)

    @property
    def levels(self) -> dict[str, Pair]:
        """How words are visited: counts and distances of a nest of loops, from the innermost on.

        They are the words of a pixel, rows of the window, columns of pixels in two levels, and rows of outputs; where
        there are several, time steps are inside or outside of these.
        """
        within = {
            "group": (self.groups, 1),
            "row": (self.rows, self.row_words),
            "phase": (self.phases, self.groups),
            "column": (self.columns, self.phases * self.groups),
        }
        outputs = {"output": (self.output[0], self.row_step * self.row_words)}
        steps = {"step": (self.steps, self.map_words)} if self.steps > 1 else {}
        return within | (steps | outputs if self.row_major else outputs | steps)

    def visited(self) -> np.ndarray:
        """The addresses of the words that are read, in their order, (steps * visits,)."""
        words = np.zeros(1, np.intp)
        for count, distance in self.levels.values():
            words = (np.arange(count)[:, None] * distance + words).ravel()
        return words

    def views(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each row of the pooled map, the rows of outputs that see it, and of each column the columns."""
        window, (height, width) = self._window, self.shape[:2]
        sides = zip((height, width), self.output, window.kernel, window.stride, window.padding, strict=True)
        rows, columns = (
            np.sum((first <= pixels) & (pixels < first + kernel), axis=0)
            for size, outputs, kernel, stride, padding in sides
            for first, pixels in [(stride * np.arange(outputs)[:, None] - padding, np.arange(size))]
        )
        return rows, columns

    def _kept_row(self, y: int) -> int | None:
        """Where row ``y`` of the pooled map is kept, if there is one and some window sees it."""
        (kernel, _), (stride, _), (padding, _) = self._window.kernel, self._window.stride, self._window.padding
        if y >= self.shape[0]:
            return None
        output, offset = divmod(y + padding, stride)
        if stride <= kernel:
            return y + padding if y + padding < (self.output[0] - 1) * stride + kernel else None
        return output * kernel + offset if offset < kernel and output < self.output[0] else None

    def _kept_column(self, x: int) -> int | None:
        if x >= self.shape[1]:
            return None
        stride, padding = self._window.stride[1], self._window.padding[1]
        column, phase = divmod(x + padding - self._first * stride, stride)
        return column * self.phases + phase if phase < self.phases and column < self.columns else None

    def places(self) -> list[int | None]:
        """Address of the first word that each pixel of an event contributes to; ``None`` if it does not matter.

        In the order of the events' indices: (row, column), or, where that is row-major, (row, step, column). Otherwise
        the address is that of the first time step.
        """
        (height, width, _), (pool_y, pool_x) = self.source, self.pool
        rows = [self._kept_row(y // pool_y) for y in range(height)]
        columns = [self._kept_column(x // pool_x) for x in range(width)]
        steps = range(0, self.depth, self.map_words) if self.row_major_source else [0]
        return [
            None if row is None or column is None else step + row * self.row_words + column * self.groups
            for row in rows
            for step in steps
            for column in columns
        ]

    def positions(self) -> np.ndarray:
        """Where each value is added: ``word * lanes + lane``, or -1 if it does not matter; (steps * values,).

        In the order in which events come: (row, step, column, channel), or else (step, row, column, channel).
        """
        pixels = np.array([-1 if place is None else place for place in self.places()])
        if not self.row_major_source:
            steps = np.arange(self.steps)[:, None] * self.map_words
            pixels = np.where(pixels < 0, -1, steps + pixels).ravel()
        lanes = pixels[:, None] * self.lanes + np.arange(self.source[2])
        return np.where(pixels[:, None] < 0, -1, lanes).ravel()

    def weight_rows(self, weights: np.ndarray) -> np.ndarray:
        """The weights in the order in which the walk visits the inputs of a column.

        Parameters
        ----------
        weights : (n, d), ``d`` in the order (row, column, channel)

        Returns
        -------
        (column_words * lanes, taps * n)
            Of each input (phase, row, channel), the weights to the outputs that it contributes to, from the one that
            it finishes to the one that it is the first to reach.

        Raises
        ------
        ChandelierError
            If ``d`` is not what the window sees.
        """
        (height, width), channels = self._window.kernel, self.shape[2]
        if weights.shape[1] != height * width * channels:
            raise ChandelierError(
                f"a window of {height}x{width}x{channels} takes as many weights a neuron, not {weights.shape[1]}"
            )
        stride = self._window.stride[1]
        kernel = weights.reshape(-1, height, width, channels)
        padded = np.pad(
            kernel,
            ((0, 0), (0, 0), (0, self.taps * stride - width), (0, self.groups * self.lanes - channels)),
        )
        # (n, row, tap, phase, channel) -> (phase, row, channel, tap, n); the last tap is of the output that is finished
        taps = padded.reshape(len(weights), height, self.taps, stride, -1)[:, :, ::-1, : self.phases]
        return taps.transpose(3, 1, 4, 2, 0).reshape(self.column_words * self.lanes, self.taps * len(weights))

    def part_rows(self, part: int, events: int) -> np.ndarray:
        """The rows of :meth:`weight_rows` that a part of the inputs needs, where ``events`` inputs come at once.

        Lane ``k`` of the column's word ``w`` is of part ``(k + w) % events``.
        """
        words, lanes = np.divmod(np.arange(self.column_words * self.lanes), self.lanes)
        return np.flatnonzero((lanes + words) % events == part)
