"""Replay: the currents of a static input, computed once a sample, handed on once a time step."""

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.layouts import frame_layout, index_of
from hw.packing import ceil_div
from quant.formats import Format

__all__ = ["Replay"]


class Replay(wiring.Component):
    """Each frame ``times`` times: the first time as it comes, then from memory. A beat a cycle, latency 0.

    Parameters
    ----------
    n : int, >= 1
        Neurons of a frame: in row-major order those of a row.
    lanes : int, 1..n
        Neurons in a beat.
    current : Format
    times : int, >= 2

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, n: int, lanes: int, current: Format, times: int) -> None:
        if not 1 <= lanes <= n:
            raise ValueError(f"lanes of the replay must be 1..{n}, not {lanes}")
        if times < 2:
            raise ValueError(f"times of the replay must be at least 2, not {times}")
        self._beats, self._times = ceil_div(n, lanes), times
        self._layout = frame_layout(lanes, current=current)
        super().__init__({"i": In(stream.Signature(self._layout)), "o": Out(stream.Signature(self._layout))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        memory: Any = Memory(shape=self._layout, depth=max(2, self._beats), init=[])
        m.submodules.frame = memory
        write = memory.write_port()
        read = memory.read_port(transparent_for=(write,))
        turn = Signal(index_of(self._times))
        beat, next_beat = Signal(index_of(self._beats)), Signal(index_of(self._beats))
        given, from_memory, last = Signal(), Signal(), beat == self._beats - 1
        payload: Any = self.o.p
        m.d.comb += [
            from_memory.eq(turn != 0),
            given.eq(self.o.valid & self.o.ready),
            self.o.valid.eq(self.i.valid | from_memory),
            self.i.ready.eq(self.o.ready & ~from_memory),
            payload.eq(Mux(from_memory, read.data, self.i.p)),
            # Also while it waits: it is the same again, and what the taker says does not have to come to the memory.
            write.en.eq(self.i.valid & ~from_memory),
            write.addr.eq(beat),
            write.data.eq(self.i.p),
            next_beat.eq(Mux(given, Mux(last, 0, beat + 1), beat)),
            # Always one ahead: the data are there when their turn comes.
            read.addr.eq(next_beat),
        ]
        m.d.sync += beat.eq(next_beat)
        with m.If(given & last):
            m.d.sync += turn.eq(Mux(turn == self._times - 1, 0, turn + 1))
        return m
