"""Stages of a fully spatial layer: a whole time step in every cycle, and nothing ever waits."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from amaranth import Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.adder_graph import AdderGraph
from hw.divisive import SHUNTED, SHUNTED_EXTRA, shunted
from hw.global_inhibition import is_global
from hw.layouts import accumulator_layout, frame_layout, index_of, result_layout, shape_of
from hw.packing import ceil_div
from hw.pipeline import Delay, pipeline
from hw.product import multiple, tree
from hw.readout import largest
from hw.reciprocal import ReciprocalUnit
from quant.arithmetic import after_reset, integrate, round_shift, saturate
from quant.formats import Format
from quant.network import Layer
from quant.widths import LayerWidths

__all__ = [
    "SpatialDivision",
    "SpatialInhibition",
    "SpatialLIF",
    "SpatialReadout",
    "SpatialScaling",
    "SpatialStabiliser",
    "SpatialSynapses",
    "steady",
]

#: Cycles of the normaliser of a denominator, and levels of the tree of logits in a cycle: a clock of 60 MHz has time
#: for more than one of 100, which designs with lanes are made for.
_TURNS, _LEVELS = 2, 2


def steady(shape: Any) -> stream.Signature:
    """Of a stream whose taker never pauses."""
    return stream.Signature(shape, always_ready=True)


class _Stage(wiring.Component):
    """What goes in at ``i`` comes out at ``o``, transformed, ``latency`` cycles later."""

    i: stream.Interface
    o: stream.Interface

    def __init__(self, i: Any, o: Any, latency: int) -> None:
        #: Cycles from a beat in to the same beat out.
        self.latency = latency
        super().__init__({"i": In(steady(i)), "o": Out(steady(o))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        delay = pipeline(m, Const(1))
        m.d.comb += self.o.valid.eq(delay(self.i.valid, self.latency, reset=True))
        self._transform(m, delay)
        return m

    def _transform(self, m: Module, delay: Delay) -> None:
        """Assigns the payload of ``o``."""
        raise NotImplementedError


class SpatialSynapses(_Stage):
    """``i_ee`` and ``i_ie`` of all inputs of a time step at once: every synapse is a wire, or none (numerics, 2)."""

    def __init__(self, layer: Layer, widths: LayerWidths) -> None:
        self._layer = layer
        self.graph = AdderGraph(np.concatenate([layer.w_ee.astype(np.int64), layer.w_ie.astype(np.int64)]), widths.x)
        super().__init__(
            data.ArrayLayout(widths.x.width, layer.d),
            accumulator_layout(widths.i_ee, layer.n_e, widths.i_ie, layer.n_i),
            self.graph.latency,
        )

    def _transform(self, m: Module, delay: Delay) -> None:
        currents = self.graph.elaborate(m, list(self.i.p), delay)
        targets = [*self.o.p.i_ee, *(self.o.p.i_ie if self._layer.n_i else [])]
        m.d.comb += [target.eq(current) for target, current in zip(targets, currents, strict=True)]


class SpatialInhibition(_Stage):
    """``bal = a * i_ee - W_EI i_ie`` and ``d = W_EI (g_i * i_ie)`` of all E neurons (numerics, 2 and 3)."""

    def __init__(self, layer: Layer, widths: LayerWidths) -> None:
        self._layer = layer
        rows = [layer.w_ei.astype(np.int64)]
        fields = {"bal": widths.bal}
        if layer.neurons is not None and widths.d is not None:
            rows.append(rows[0] * layer.neurons.g_i.astype(np.int64))
            fields["d"] = widths.d
        self._graph = AdderGraph(np.concatenate(rows), widths.i_ie) if layer.n_i else None
        super().__init__(
            accumulator_layout(widths.i_ee, layer.n_e, widths.i_ie, layer.n_i),
            frame_layout(layer.n_e, **fields),
            1 + (self._graph.latency if self._graph else 0),
        )

    def _transform(self, m: Module, delay: Delay) -> None:
        n_e, latency = self._layer.n_e, self.latency - 1
        sums: list[Value] = [Const(0, 1)] * n_e
        if self._graph is not None:
            sums = self._graph.elaborate(m, list(self.i.p.i_ie), delay)
        for k, neuron in enumerate(self.o.p):
            balance = Signal.like(neuron.bal)
            own = multiple(delay(self.i.p.i_ee[k], latency), self._layer.a)
            m.d.comb += [balance.eq(own - sums[k]), neuron.bal.eq(delay(balance))]
            if len(sums) > n_e:
                m.d.comb += neuron.d.eq(delay(sums[n_e + k]))


class SpatialStabiliser(_Stage):
    """Denominators are at least ``floor``, or, without one, zeros become the smallest that is not (numerics, 3)."""

    def __init__(self, layer: Layer, widths: LayerWidths) -> None:
        assert layer.neurons is not None and widths.d is not None
        self._floor, self._d = layer.neurons.floor, widths.d
        layout = frame_layout(layer.n_e, bal=widths.bal, d=widths.d)
        super().__init__(layout, layout, 1 if self._floor else 1 + (layer.n_e - 1).bit_length())

    def _transform(self, m: Module, delay: Delay) -> None:
        least: Value = Const(self._floor)
        if not self._floor:  # a zero counts as the largest number: where all are zero, they stay so
            found = [Mux(neuron.d == 0, self._d.max, neuron.d) for neuron in self.i.p]
            some = delay(tree([neuron.d != 0 for neuron in self.i.p], lambda a, b: a | b), self.latency - 1)
            while len(found) > 1:
                pairs = [found[k : k + 2] for k in range(0, len(found), 2)]
                found = [delay(Mux(pair[-1] < pair[0], pair[-1], pair[0])) for pair in pairs]
            least = Mux(some, found[0], 0)
        for before, after in zip(self.i.p, self.o.p, strict=True):
            d = delay(before.d, self.latency - 1)
            small = d < self._floor if self._floor else d == 0
            m.d.comb += [after.bal.eq(delay(before.bal, self.latency)), after.d.eq(delay(Mux(small, least, d)))]


class SpatialDivision(_Stage):
    """The current of all E neurons, from balance and denominator (numerics, 3); gains and biases are constants.

    Where beats come no closer than ``interval`` cycles, each lane divides for as many neurons, one after the other.
    """

    def __init__(self, layer: Layer, widths: LayerWidths, *, interval: int) -> None:
        neurons = layer.neurons
        assert neurons is not None and neurons.reciprocal is not None
        assert widths.d is not None and widths.product is not None
        self._neurons, self._product, self._interval = neurons, widths.product, interval
        self._lanes = ceil_div(layer.n_e, interval)
        self._unit = unit = ReciprocalUnit(
            lanes=self._lanes,
            bal=widths.bal,
            d=widths.d,
            reciprocal=neurons.reciprocal,
            alike=is_global(layer),
            turns=_TURNS,
        )
        gains = neurons.g_e.astype(np.int64).reshape(-1, 1)
        #: Of the one reciprocal that all neurons share, the products with their gains.
        self._gains = AdderGraph(gains, unit.r) if is_global(layer) else None
        #: Cycles from a reciprocal to its multiplication with a balance.
        self._lead = 1 + (self._gains.latency if self._gains else 1)
        super().__init__(
            frame_layout(layer.n_e, bal=widths.bal, d=widths.d),
            frame_layout(layer.n_e, current=neurons.membrane),
            unit.latency + self._lead + SHUNTED - SHUNTED_EXTRA + interval - 1,
        )

    def _factors(self, m: Module, delay: Delay) -> list[Value]:
        """``g_e * R`` of all neurons; of those of one turn, in that turn. ``_lead - 1`` cycles after ``R``."""
        if self._gains:
            return self._gains.elaborate(m, [self._unit.o.p[0].r], delay)
        reciprocals = [source.r for source in self._unit.o.p] * self._interval
        return [delay(multiple(r, int(g_e))) for r, g_e in zip(reciprocals, self._neurons.g_e, strict=False)]

    def _in_turns(self, m: Module) -> tuple[Value, Value]:
        """The neurons of a turn, and its number: those of the first as they come, the others as they wait."""
        frame, last = Value.cast(self.i.p), self._interval - 1
        if not last:
            return frame, Const(0, 1)
        width = len(Value.cast(self._unit.i.p))
        waiting, turn = Signal(last * width, reset_less=True), Signal(range(self._interval))
        now = Mux(self.i.valid, 0, turn)
        m.d.sync += [waiting.eq(Mux(self.i.valid, frame >> width, waiting >> width)), turn.eq(now + 1)]
        return Mux(self.i.valid, frame, waiting)[:width], now

    def _transform(self, m: Module, delay: Delay) -> None:
        m.submodules.reciprocal = unit = self._unit
        group, now = self._in_turns(m)
        m.d.comb += [Value.cast(unit.i.p).eq(group), unit.i.valid.eq(self.i.valid), unit.o.ready.eq(1)]
        neurons, factors = self._neurons, self._factors(m, delay)
        turn = delay(now, unit.latency + self._lead - 1)
        late = delay(turn, 3)
        for lane, source in enumerate(unit.o.p):
            own = range(lane, len(neurons.g_e), self._lanes)
            current = shunted(
                delay(source.bal, self._lead),
                delay(_chosen([factors[k] for k in own], turn)),
                delay(source.e, self._lead + 1),
                by=neurons.shift,
                b_e=_chosen([int(neurons.b_e[k]) for k in own], late),
                product=self._product,
                membrane=neurons.membrane,
                delay=delay,
                extra=lambda value: value,
            )
            for k in reversed(range(lane, self._lanes * self._interval, self._lanes)):  # the last turn's comes last
                if k in own:
                    m.d.comb += self.o.p[k].current.eq(current)
                current = delay(current)


def _chosen(values: Sequence[Value | int], turn: Value) -> Value | int:
    """The value of a turn, or the last; the only one without a choice."""
    chosen = values[-1]
    for k in range(len(values) - 2, -1, -1):
        chosen = Mux(turn == k, values[k], chosen)
    return chosen


class SpatialScaling(_Stage):
    """The current of all neurons of a layer that nothing inhibits (numerics, 3)."""

    def __init__(self, layer: Layer, widths: LayerWidths) -> None:
        assert layer.neurons is not None
        self._neurons = layer.neurons
        i = frame_layout(layer.n_e, bal=widths.bal)
        super().__init__(i, frame_layout(layer.n_e, current=layer.neurons.membrane), 2)

    def _transform(self, m: Module, delay: Delay) -> None:
        neurons = self._neurons
        for source, result, g_e, b_e in zip(self.i.p, self.o.p, neurons.g_e, neurons.b_e, strict=True):
            product = delay(multiple(source.bal, int(g_e)))
            current = round_shift(product, neurons.shift) + int(b_e)
            m.d.comb += result.current.eq(delay(saturate(current, neurons.membrane, Mux)))


class SpatialLIF(wiring.Component):
    """Leak, integration, spike and reset of all neurons, a time step a cycle (numerics, 4).

    Parameters
    ----------
    layer : Layer
    steps : int, >= 1
        Time steps of a sample.
    repeats : int, 1 or ``steps``
        Time steps that a current is for: beats come no closer than that.
    """

    #: Cycles from a current to its first potential and spike.
    LATENCY = 2

    i: stream.Interface
    o: stream.Interface

    def __init__(self, layer: Layer, *, steps: int, repeats: int) -> None:
        if repeats not in (1, steps):
            raise ValueError(f"repeats of the LIF core must be 1 or {steps}, not {repeats}")
        assert layer.neurons is not None
        self.latency = self.LATENCY
        self._neurons, self._steps, self._repeats = layer.neurons, steps, repeats
        membrane = layer.neurons.membrane
        super().__init__(
            {
                "i": In(steady(frame_layout(layer.n_e, current=membrane))),
                "o": Out(steady(frame_layout(layer.n_e, v=membrane, spike=Format(1)))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        neurons = self._neurons
        currents: Any = Signal(self.i.p.shape(), reset_less=True)
        step, left = Signal(index_of(self._steps)), Signal(range(self._repeats + 1))
        with m.If(self.i.valid):
            m.d.sync += [currents.eq(self.i.p), left.eq(self._repeats)]
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        m.d.sync += self.o.valid.eq(left != 0)
        with m.If(left != 0):
            m.d.sync += step.eq(Mux(step == self._steps - 1, 0, step + 1))
        theta, membrane = neurons.theta, neurons.membrane
        for source, result in zip(currents, self.o.p, strict=True):
            v = Mux(step == 0, 0, result.v)
            total = integrate(v, source.current, theta, neurons.tau_shift, neurons.leak, neurons.reset, Mux)
            u = total[: membrane.width + 1].as_signed()
            spike = u >= theta
            with m.If(left != 0):
                m.d.sync += [
                    result.v.eq(saturate(after_reset(u, spike, theta, neurons.reset, Mux), membrane, Mux)),
                    result.spike.eq(spike),
                ]
        return m


class SpatialReadout(wiring.Component):
    """Logits, summed over the time steps of a sample, and the class (numerics, 5).

    Parameters
    ----------
    classes, steps : int
    bal, logit : Format
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, classes: int, steps: int, bal: Format, logit: Format) -> None:
        self._steps, self._logit = steps, logit
        self._cycles = ceil_div((classes - 1).bit_length(), _LEVELS)
        #: Cycles from the last time step of a sample to its result.
        self.latency = 1 + self._cycles
        super().__init__(
            {
                "i": In(steady(frame_layout(classes, bal=bal))),
                "o": Out(steady(result_layout(classes, logit))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        delay = pipeline(m, Const(1))
        step, last = Signal(index_of(self._steps)), Signal()
        logits = [Signal(shape_of(self._logit), name="logit", reset_less=True) for _ in self.i.p]
        m.d.comb += last.eq(step == self._steps - 1)
        with m.If(self.i.valid):
            m.d.sync += step.eq(Mux(last, 0, step + 1))
            m.d.sync += [
                logit.eq(Mux(step == 0, 0, logit) + source.bal) for logit, source in zip(logits, self.i.p, strict=True)
            ]
        result: Any = self.o.p
        named = [(logit, Const(k, result["class"].shape())) for k, logit in enumerate(logits)]
        _, place = largest(named, delay, levels=_LEVELS)
        m.d.comb += [
            self.o.valid.eq(delay(self.i.valid & last, self.latency, reset=True)),
            result["class"].eq(place),
            *(mine.eq(delay(logit, self._cycles)) for mine, logit in zip(result.logits, logits, strict=True)),
        ]
        return m
