"""A constant matrix as a graph of adders: the products with it out of wires, shifts and shared sums."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from amaranth import Const, Module, Signal, Value

from hw.layouts import shape_of
from hw.pipeline import Delay
from quant.formats import Format
from quant.optional import optional

__all__ = ["LEVELS", "AdderGraph"]

#: Adders between two registers.
LEVELS = 3


@dataclass(frozen=True)
class _Term:
    """A node's value times ``2**shift``, an integer, or the negative of that."""

    node: int
    shift: int = 0
    negative: bool = False


@dataclass(frozen=True, eq=False)
class _Node:
    """An input, or the sum (``sign`` 1) or difference (-1) of two nodes' values, each shifted left.

    Parameters
    ----------
    form : (inputs,) int64
        What it is of the inputs.
    level : int
        Adders on the longest way from them.
    """

    form: np.ndarray
    level: int = 0
    operands: tuple[_Term, _Term] | None = None
    sign: int = 1

    @property
    def stage(self) -> int:
        """Registers on the way from the inputs."""
        return max(0, self.level - 1) // LEVELS


class AdderGraph:
    """``y = W x`` for a constant matrix ``W``, with shared sums, found by da4ml; that it is ``W`` is checked.

    Parameters
    ----------
    matrix : (outputs, inputs) int
        Of up to 24 bits and a sign.
    x : Format, unsigned
        Of each input.

    Raises
    ------
    ChandelierError
        If da4ml is not there.
    """

    def __init__(self, matrix: np.ndarray, x: Format) -> None:
        rows, row_of = np.unique(matrix.astype(np.int64), axis=0, return_inverse=True)
        self._x, self._row_of = x, row_of.reshape(-1)
        self._nodes = [_Node(form) for form in np.eye(matrix.shape[1], dtype=np.int64)]
        present = np.flatnonzero(rows.any(1))
        found = self._solve(rows[present]) if len(present) else []
        #: Of each different row its term; a row of zeros has none.
        self._terms: dict[int, _Term] = dict(zip(present.tolist(), found, strict=True))
        for k, row in enumerate(rows):
            if not np.array_equal(self._form(self._terms.get(k)), row):
                raise RuntimeError(f"the adders that da4ml found do not compute row {k} of the matrix")
        #: Number of adders.
        self.adders = len(self._nodes) - matrix.shape[1]
        #: Cycles from the inputs to all outputs.
        self.latency = 1 + max((self._nodes[term.node].stage for term in found), default=0)

    def _form(self, term: _Term | None) -> np.ndarray:
        if term is None:
            return np.zeros_like(self._nodes[0].form)
        return _scaled(self._nodes[term.node].form, term.shift) * (-1 if term.negative else 1)

    def _solve(self, rows: np.ndarray) -> list[_Term]:
        """Adds the nodes that make these rows; returns their terms."""
        interval = (0.0, float(self._x.max), 1.0)
        kernel = np.ascontiguousarray(rows.T, np.float32)  # it does not look at strides
        solve = optional("da4ml.cmvm", "a fully spatial design", "chandelier[spatial]").solve
        solution = solve(kernel, qintervals=[interval] * rows.shape[1], search_all_decompose_dc=False)
        terms = [_Term(k) for k in range(rows.shape[1])]
        for part in solution.solutions:  # one after the other: each takes what the one before it gives
            made: list[_Term] = []
            for op in part.ops:
                if op.opcode == -1:
                    made.append(_shifted(terms[op.id0], int(part.inp_shifts[op.id0])))
                elif op.opcode in (0, 1):
                    other = _shifted(made[op.id1], int(op.data))
                    made.append(self._add(made[op.id0], _negated(other) if op.opcode == 1 else other))
                else:
                    raise RuntimeError(f"da4ml asks for operation {op.opcode}, which is no adder")
            outputs = zip(part.out_idxs, part.out_shifts, part.out_negs, strict=True)
            terms = [
                _negated(term) if negative else term
                for term, negative in ((_shifted(made[k], int(shift)), negative) for k, shift, negative in outputs)
            ]
        return terms

    def _add(self, a: _Term, b: _Term) -> _Term:
        """The sum of two terms, as a new node: of two negative ones, the negative of their sum."""
        if a.negative and not b.negative:
            a, b = b, a
        least = min(a.shift, b.shift)
        operands = _Term(a.node, a.shift - least), _Term(b.node, b.shift - least)
        sign = 1 if a.negative == b.negative else -1
        form = self._form(operands[0]) + sign * self._form(operands[1])
        level = 1 + max(self._nodes[term.node].level for term in operands)
        self._nodes.append(_Node(form, level, operands, sign))
        return _Term(len(self._nodes) - 1, least, a.negative)

    def elaborate(self, m: Module, inputs: Sequence[Value], delay: Delay) -> list[Value]:
        """The products with ``inputs``, ``latency`` cycles later, each as wide as it has to be."""
        held: dict[int, list[Value]] = {}

        def at(term: _Term, stage: int) -> Value:
            versions = held[term.node]  # the value as it comes, and later
            while len(versions) <= stage - self._nodes[term.node].stage:
                versions.append(delay(versions[-1]))
            return _scaled(versions[stage - self._nodes[term.node].stage], term.shift)

        for k, node in enumerate(self._nodes):
            if node.operands is None:
                held[k] = [inputs[k]]
                continue
            left, right = (at(term, node.stage) for term in node.operands)
            held[k] = [Signal(shape_of(self._format(node)), name="sum")]
            m.d.comb += held[k][0].eq(left + right if node.sign > 0 else left - right)
        found = {k: at(_Term(term.node, term.shift), self.latency) for k, term in self._terms.items()}
        signed = {k: -value if self._terms[k].negative else value for k, value in found.items()}
        return [signed.get(int(k), Const(0, 1)) for k in self._row_of]

    def _format(self, node: _Node) -> Format:
        low, high = (int(self._x.max * part(node.form, 0).sum()) for part in (np.minimum, np.maximum))
        return Format.for_range(low, high)


def _scaled(value: Any, shift: int) -> Any:
    return value << shift if shift >= 0 else value >> -shift


def _shifted(term: _Term, shift: int) -> _Term:
    return _Term(term.node, term.shift + shift, term.negative)


def _negated(term: _Term) -> _Term:
    return _Term(term.node, term.shift, not term.negative)
