"""The graph of adders against the matrix that it is of."""

import sys
from typing import Any

import numpy as np
import pytest
from amaranth import Const, Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from hw.adder_graph import AdderGraph
from hw.pipeline import pipeline
from quant.errors import ChandelierError
from quant.formats import Format
from quant.optional import optional


class Product(wiring.Component):
    """``y = W x``, ``latency`` cycles later."""

    x: Any
    y: Any

    def __init__(self, matrix: np.ndarray, x: Format) -> None:
        self._graph = AdderGraph(matrix, x)
        self.latency = self._graph.latency
        outputs, inputs = matrix.shape
        super().__init__({"x": In(data.ArrayLayout(x.width, inputs)), "y": Out(data.ArrayLayout(40, outputs))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        found = self._graph.elaborate(m, list(self.x), pipeline(m, Const(1)))
        m.d.comb += [y.eq(value) for y, value in zip(self.y, found, strict=True)]
        return m


def _matrix(rng: np.random.Generator) -> np.ndarray:
    shape = int(rng.integers(1, 13)), int(rng.integers(1, 25))
    low, high = [(0, 2), (0, 4), (0, 256), (-8, 8), (-128, 128)][int(rng.integers(5))]
    matrix = rng.integers(low, high, shape) * (rng.random(shape) < rng.choice([0.1, 0.5, 1.0]))
    matrix[rng.random(shape[0]) < 0.2] = matrix[0]  # rows that are equal
    return matrix


@pytest.mark.parametrize("seed", range(20))
def test_products(seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix, x = _matrix(rng), Format(int(rng.integers(1, 9)))
    design = Product(matrix, x)
    vectors = rng.integers(0, x.max + 1, (30, matrix.shape[1]))
    vectors[0], vectors[1] = x.max, 0

    async def bench(ctx: Any) -> None:
        for k in range(len(vectors) + design.latency):
            if k < len(vectors):
                ctx.set(design.x, vectors[k].tolist())
            await ctx.tick()
            if k + 1 >= design.latency and k + 1 - design.latency < len(vectors):
                got = [ctx.get(y) for y in design.y]
                expected = [int(v) % (1 << 40) for v in matrix @ vectors[k + 1 - design.latency]]
                assert got == expected, f"seed {seed}, vector {k + 1 - design.latency}"

    simulator = Simulator(design)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_sums_are_shared() -> None:
    matrix = np.random.default_rng(1).integers(0, 4, (16, 32))
    separate = int((np.count_nonzero(matrix & 1, 1) + np.count_nonzero(matrix & 2, 1) - 1).sum())
    assert AdderGraph(matrix, Format(1)).adders < 0.6 * separate


def test_a_graph_of_another_matrix_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    solve = optional("da4ml.cmvm", "a test", "da4ml").solve
    monkeypatch.setattr("da4ml.cmvm.solve", lambda kernel, **options: solve(kernel + 1, **options))
    with pytest.raises(RuntimeError, match="do not compute row 0"):
        AdderGraph(np.eye(3, dtype=np.int64), Format(1))


def test_without_da4ml_it_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "da4ml.cmvm", None)
    with pytest.raises(ChandelierError, match=r"pip install 'chandelier\[spatial\]'"):
        AdderGraph(np.eye(3, dtype=np.int64), Format(1))
