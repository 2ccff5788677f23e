"""The memory of the neurons' gains and biases, read beat by beat."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from amaranth import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.layouts import index_of
from hw.loadable import chain_links, load_ports
from quant.formats import Format

__all__ = ["ParameterMemory"]


class ParameterMemory(wiring.Component):
    """``data`` are gain and bias of the neurons of the beat that comes; ``taken`` says that it does.

    ``ready`` is low in the first cycle after a reset: the first word is read then.

    Parameters
    ----------
    of : str
        The stage that it belongs to, for errors.
    lanes : int, 1..n
        Neurons in a beat; n is the length of ``g_e``.
    g_e : sequence of int
        Of ``gain_e_bits`` bits, unsigned.
    b_e : sequence of int
        As many, in the format ``membrane``.
    gain_e_bits : int, 1..16
    membrane : Format, signed
    loadable : bool
        They can be filled anew (``hw.loadable``).

    Raises
    ------
    ValueError
        If a parameter is out of its range; the line names it and the stage.
    """

    taken: Signal
    ready: Signal
    data: Any

    def __init__(
        self,
        of: str,
        *,
        lanes: int,
        g_e: Sequence[int] | np.ndarray,
        b_e: Sequence[int] | np.ndarray,
        gain_e_bits: int,
        membrane: Format,
        loadable: bool = False,
    ) -> None:
        if len(g_e) != len(b_e):
            raise ValueError(f"b_e of {of} must have {len(g_e)} values like g_e, not {len(b_e)}")
        if not 1 <= lanes <= len(g_e):
            raise ValueError(f"lanes of {of} must be 1..{len(g_e)}, not {lanes}")
        neurons = [{"g_e": int(g), "b_e": int(b)} for g, b in zip(g_e, b_e, strict=True)]
        neurons += [{"g_e": 0, "b_e": 0}] * (-len(neurons) % lanes)
        contents = [neurons[k : k + lanes] for k in range(0, len(neurons), lanes)]
        neuron = data.StructLayout({"g_e": unsigned(gain_e_bits), "b_e": signed(membrane.width)})
        layout = data.ArrayLayout(neuron, lanes)
        self._beats = len(contents)
        self._memory: Any = Memory(shape=layout, depth=max(2, self._beats), init=contents)
        #: What can be filled anew.
        self.links = [self._memory] if loadable else []
        super().__init__({"taken": In(1), "ready": Out(1), "data": Out(layout), **load_ports(self.links)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beats, port = self._beats, self._memory.read_port()
        m.submodules.neurons = self._memory
        chain_links(m, self)
        beat, following = Signal(index_of(beats)), Signal(index_of(beats), init=1 % beats)
        m.d.comb += [
            # Always one ahead: the data are there when the beat comes.
            port.addr.eq(Mux(self.taken, following, beat)),
            self.data.eq(port.data),
        ]
        m.d.sync += self.ready.eq(1)
        with m.If(self.taken):
            m.d.sync += [beat.eq(following), following.eq(Mux(following == beats - 1, 0, following + 1))]
        return m
