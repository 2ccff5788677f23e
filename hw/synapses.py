"""What all synapse stages are made of: reads rows of weights, and multiplies them by the values of events."""

from collections.abc import Sequence
from operator import add
from typing import Any

import numpy as np
from amaranth import Const, Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.layouts import index_of, shape_of
from hw.loadable import chain_links, load_ports
from hw.packing import packed_memory
from hw.pipeline import copies, pipeline
from hw.product import multiple, narrow_product, tree
from quant.formats import Format

__all__ = ["SynapseProducts", "products_latency"]

#: Lanes that share a copy of an event's value.
LANES_A_COPY = 16


def products_latency(events: int) -> int:
    """Cycles from addresses and values to products: address, weights, weights, products, and the sum of several."""
    return 4 + (events > 1)


class SynapseProducts(wiring.Component):
    """``products[n] = sum_k weights_k[addresses[k], n] * values[k]``, ``latency`` cycles later, anew in every cycle.

    It never stands still, or thousands of registers would hang on one signal: a value of 0 is no event.

    Parameters
    ----------
    tables : sequence of (rows, columns), in the format ``synapse``
        The rows of weights of each event that comes at once. Each takes whole words of ``lanes``.
    lanes : int, >= 1
        Synapses of a word, and products.
    synapse : Format, 1..8 bits
    value_bits : int, >= 1
        Bits of the value of an event.
    loadable : bool
        The tables can be filled anew (``hw.loadable``).
    """

    addresses: Any
    values: Any
    products: Any

    def __init__(
        self,
        *,
        tables: Sequence[np.ndarray],
        lanes: int,
        synapse: Format,
        value_bits: int,
        loadable: bool = False,
    ) -> None:
        self._lanes, self._value_bits = lanes, value_bits
        self._memories = [packed_memory(table, lanes, synapse) for table in tables]
        #: Of the memories.
        self.names = [f"weights{k}" for k in range(len(tables))] if len(tables) > 1 else ["weights"]
        #: What can be filled anew.
        self.links = self._memories if loadable else []
        #: Cycles from addresses and values to products.
        self.latency = products_latency(len(tables))
        product = Format(synapse.width + value_bits + (len(tables) - 1).bit_length(), signed=synapse.signed)
        depth = max(memory.depth for memory in self._memories)
        super().__init__(
            {
                "addresses": In(data.ArrayLayout(index_of(depth), len(tables))),
                "values": In(data.ArrayLayout(value_bits, len(tables))),
                "products": Out(data.ArrayLayout(shape_of(product), lanes)),
                **load_ports(self.links),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        delay = pipeline(m, Const(1))
        terms: list[list[Any]] = [[] for _ in range(self._lanes)]
        for name, memory, address, value in zip(self.names, self._memories, self.addresses, self.values, strict=True):
            m.submodules[name] = memory
            read = memory.read_port()
            m.d.comb += read.addr.eq(delay(address))
            weights = data.View(read.data.shape(), delay(read.data.as_value()))
            earlier = delay(value)
            groups = -(-self._lanes // LANES_A_COPY)
            values = copies(m, delay(earlier), groups)
            thrices = copies(m, delay(multiple(earlier, 3)), groups)
            for lane, of_lane in enumerate(terms):
                copy = lane // LANES_A_COPY
                of_lane.append(delay(narrow_product(weights[lane], values[copy], thrices[copy])))
        chain_links(m, self)
        for product, of_lane in zip(self.products, terms, strict=True):
            m.d.comb += product.eq(of_lane[0] if len(of_lane) == 1 else delay(tree(of_lane, add)))
        return m
