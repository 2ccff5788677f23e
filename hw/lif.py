"""The LIF core: leak, integrate, fire, reset."""

from typing import Any, get_args

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.layouts import frame_layout, index_of
from hw.packing import ceil_div
from hw.pipeline import pipeline
from quant.arithmetic import Reset, after_reset, integrate, saturate
from quant.formats import Format

__all__ = ["LIFCore"]


class LIFCore(wiring.Component):
    """``u = leak(v) + I``; ``s = u >= theta``; ``v = saturate(u - theta * s)``, or as ``reset`` says.

    (numerics page, section 4)

    ``v`` starts at 0 with each sample, that is, every ``steps`` frames. A beat a cycle, but no frame takes less than
    ``LATENCY`` cycles: they pass from reading a potential to writing it. One fetches ``v``, one makes ``u``, and one
    what is left of it.

    Parameters
    ----------
    n : int, >= 1
        Neurons of a frame: in row-major order those of a row.
    lanes : int, 1..n
        Neurons in a beat.
    steps : int, >= 1
        Time steps of a sample.
    membrane : Format, signed
        Of membrane potential and current.
    tau_shift : int, 1..12
        ``tau = 2**tau_shift / leak``.
    theta : int, 1..membrane.max
        Threshold in units of the membrane format.
    leak : int, 0..2**tau_shift
    reset : "subtract", "zero" or "delayed"

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    #: Cycles from a beat in to the same beat out.
    LATENCY = 3

    i: stream.Interface
    o: stream.Interface

    def __init__(
        self,
        *,
        n: int,
        lanes: int,
        steps: int,
        membrane: Format,
        tau_shift: int,
        theta: int,
        leak: int = 1,
        reset: Reset = "subtract",
    ) -> None:
        if not 1 <= lanes <= n:
            raise ValueError(f"lanes of the LIF core must be 1..{n}, not {lanes}")
        if steps < 1:
            raise ValueError(f"steps of the LIF core must be at least 1, not {steps}")
        if not membrane.signed:
            raise ValueError(f"membrane of the LIF core must be signed, not {membrane}")
        if not 1 <= tau_shift <= 12:
            raise ValueError(f"tau_shift of the LIF core must be 1..12, not {tau_shift}")
        if not 0 <= leak <= 1 << tau_shift:
            raise ValueError(f"leak of the LIF core must be 0..{1 << tau_shift}, not {leak}")
        if reset not in get_args(Reset):
            raise ValueError(f"reset of the LIF core must be one of {', '.join(get_args(Reset))}, not {reset}")
        if not 1 <= theta <= membrane.max:
            raise ValueError(f"theta of the LIF core must be 1..{membrane.max}, not {theta}")
        self._lanes, self._beats, self._steps = lanes, ceil_div(n, lanes), steps
        self._membrane, self._theta, self._tau_shift, self._leak, self._reset = membrane, theta, tau_shift, leak, reset
        super().__init__(
            {
                "i": In(stream.Signature(frame_layout(lanes, current=membrane))),
                "o": Out(stream.Signature(frame_layout(lanes, v=membrane, spike=Format(1)))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layout = frame_layout(self._lanes, v=self._membrane)
        memory: Any = Memory(shape=layout, depth=max(2, self._beats), init=[])
        m.submodules.potentials = memory
        write = memory.write_port()
        read = memory.read_port(transparent_for=(write,))
        beat, next_beat = Signal(index_of(self._beats)), Signal(index_of(self._beats))
        step, advance, taken, last = Signal(index_of(self._steps)), Signal(), Signal(), beat == self._beats - 1
        # The beats under way, before they are written: first the one that has been fetched.
        under_way: Any = Signal(data.ArrayLayout(data.StructLayout({"valid": 1, "beat": index_of(self._beats)}), 2))
        conflict = Cat(other.valid & (other.beat == beat) for other in under_way).any()
        m.d.comb += [
            advance.eq(self.o.ready | ~self.o.valid),
            self.i.ready.eq(advance & ~conflict),
            taken.eq(self.i.valid & self.i.ready),
            write.en.eq(advance & under_way[1].valid),
            write.addr.eq(under_way[1].beat),
            next_beat.eq(Mux(taken, Mux(last, 0, beat + 1), beat)),
            # Always one ahead: the potentials are there when their currents come.
            read.addr.eq(next_beat),
        ]
        m.d.sync += beat.eq(next_beat)
        with m.If(advance):
            m.d.sync += [
                under_way[0].valid.eq(taken),
                under_way[0].beat.eq(beat),
                under_way[1].eq(under_way[0]),
                self.o.valid.eq(under_way[1].valid),
            ]
        with m.If(taken & last):
            m.d.sync += step.eq(Mux(step == self._steps - 1, 0, step + 1))
        delay = pipeline(m, advance)
        for source, before, after, result in zip(self.i.p, read.data, write.data, self.o.p, strict=True):
            v, current = delay(Mux(step == 0, 0, before.v)), delay(source.current)
            sum_ = integrate(v, current, self._theta, self._tau_shift, self._leak, self._reset, Mux)
            u = delay(sum_[: self._membrane.width + 1]).as_signed()
            spike = u >= self._theta
            m.d.comb += [
                after.v.eq(saturate(after_reset(u, spike, self._theta, self._reset, Mux), self._membrane, Mux)),
                result.v.eq(delay(after.v)),
                result.spike.eq(delay(spike)),
            ]
        return m
