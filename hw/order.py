"""In which order layers work: step by step, or row-major, all time steps of a row of pixels in a row.

In row-major order, potentials and repeated currents are those of a row, not of a map. Layers behind it then gather the
maps of all time steps, in the place of one. So it is done where no denominator waits for those of other rows, and where
it saves memory.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from hw.geometry import Walk
from hw.global_inhibition import is_global
from hw.placer import EventPlacer
from hw.scanner import MapScanner
from quant.maps import NETWORK_INPUT
from quant.network import IntegerNetwork

__all__ = ["Order", "orders_of", "row_major_order", "walk_of", "walks_of"]


@dataclass(frozen=True)
class Order:
    """Of a layer.

    Parameters
    ----------
    row_major : bool
        It does all time steps of a row before the next row; otherwise step by step.
    start : int
        Time steps that it waits for before it begins with a sample, but for the first one: where steps are gathered
        together for it, or for a layer before it.
    """

    row_major: bool
    start: int


def row_major_order(values: np.ndarray, rows: int) -> np.ndarray:
    """Values of maps of ``rows`` rows, in the order in which a row-major layer has them.

    From (samples, steps, values) to (samples, rows, steps, values of a row).
    """
    samples, steps, _ = values.shape
    return values.reshape(samples, steps, rows, -1).swapaxes(1, 2)


def _source_map(network: IntegerNetwork, index: int) -> tuple[int, int, int]:
    source = network.layers[index].wiring.sources_of(index)[0]
    return network.input.map if source == NETWORK_INPUT else network.maps[source][1]


def _walk(network: IntegerNetwork, index: int, chosen: Sequence[bool], *, own: bool) -> Walk | None:
    """The walk of a layer, ``own`` if it is row-major, behind layers of which ``chosen`` says it."""
    wires = network.layers[index].wiring
    sources = wires.sources_of(index)
    # With a single time step both orders are the same.
    behind = sources[0] != NETWORK_INPUT and chosen[sources[0]] and network.steps > 1
    if wires.window is None and wires.pool == (1, 1) and len(sources) == 1 and not behind:
        return None
    steps = network.layer_steps(index) if own or behind else 1
    return Walk(_source_map(network, index), wires.pool, wires.window, steps, own, behind)


def _gathering_bits(network: IntegerNetwork, index: int, walk: Walk | None) -> int:
    """Bits of what a layer needs to gather maps: two sets of them, and where each pixel belongs."""
    if walk is None:
        return 0
    return MapScanner.map_bits(walk, network.input_max(index).bit_length()) + EventPlacer.table_bits(walk)


def _saved_bits(network: IntegerNetwork, index: int, chosen: list[bool]) -> int:
    """Bits of memory that the layer's row-major order saves, there and in those that it sends to.

    ``chosen`` says it of the layers before it.
    """
    neurons, (rows, *rest) = network.layers[index].neurons, network.maps[index][1]
    assert neurons is not None
    frames = 2 if network.layer_steps(index) < network.steps else 1  # potentials, and currents that are repeated
    saved = (rows - 1) * prod(rest) * neurons.membrane.width * frames
    later = [False] * (len(network.layers) - index - 1)
    takers = [i for i, layer in enumerate(network.layers) if index in layer.wiring.sources_of(i)]
    for i in [index, *takers]:
        bits = [
            _gathering_bits(network, i, _walk(network, i, [*chosen, own, *later], own=own and i == index))
            for own in (False, True)
        ]
        saved -= bits[1] - bits[0]
    return saved


def _may_be_row_major(network: IntegerNetwork, index: int) -> bool:
    """Whether the layer has rows, and no denominator in it waits for those of other rows."""
    layer = network.layers[index]
    if layer.neurons is None or layer.wiring.window is None:
        return False
    return not layer.n_i or layer.neurons.floor > 0 or is_global(layer)


def _chosen(network: IntegerNetwork, barred: Collection[int]) -> list[bool]:
    """Of each layer, whether it is row-major; those that are barred are not."""
    chosen: list[bool] = []
    for i in range(len(network.layers)):
        may = i not in barred and _may_be_row_major(network, i)
        chosen.append(may and _saved_bits(network, i, chosen) > 0)
    return chosen


def _orders(network: IntegerNetwork, chosen: Sequence[bool]) -> list[Order]:
    orders: list[Order] = []
    for i in range(len(chosen)):
        before = [orders[j] for j in network.layers[i].wiring.sources_of(i) if j != NETWORK_INPUT]
        start = max((order.start for order in before), default=0)
        if chosen[i] and not any(order.row_major for order in before):
            start += network.layer_steps(i) - 1  # all steps have to be there
        orders.append(Order(chosen[i], start))
    return orders


def _ancestors(network: IntegerNetwork, index: int) -> set[int]:
    """All layers that a layer depends on."""
    found = {index}
    for i in range(index, -1, -1):
        if i in found:
            found |= {j for j in network.layers[i].wiring.sources_of(i) if j != NETWORK_INPUT}
    return found - {index}


def _clashing(network: IntegerNetwork, orders: Sequence[Order]) -> int | None:
    """A layer whose sum could stand still, or adds up sources of different orders.

    A sum takes its sources one after the other, of each all that comes up to a marker. So that nothing waits for what
    comes after it, in the order of time steps, and there of layers, sources begin in the order in which they are taken;
    those that send step by step all begin with the same step.
    """
    for i, layer in enumerate(network.layers):
        own = [orders[j] for j in layer.wiring.sources_of(i) if j != NETWORK_INPUT]
        starts = [order.start for order in own]
        kinds = {order.row_major for order in own}
        if len(kinds) > 1 or starts != sorted(starts) or (kinds == {False} and len(set(starts)) > 1):
            return i
    return None


def orders_of(network: IntegerNetwork) -> list[Order]:
    """The order of each layer: row-major where that is possible and saves memory.

    Where sources of a residual sum would be of different orders, or the sum could stand still, all that leads there
    works step by step.
    """
    barred: set[int] = set()
    while True:
        orders = _orders(network, _chosen(network, barred))
        clash = _clashing(network, orders)
        if clash is None:
            return orders
        barred |= _ancestors(network, clash)


def walks_of(network: IntegerNetwork) -> list[Walk | None]:
    """The walk of each layer; ``None`` if its neurons see one source as it is, and need no map of it."""
    chosen = [order.row_major for order in orders_of(network)]
    return [_walk(network, i, chosen, own=own) for i, own in enumerate(chosen)]


def walk_of(network: IntegerNetwork, index: int) -> Walk | None:
    """The walk of a layer: one of :func:`walks_of`, which is for who needs several."""
    return walks_of(network)[index]
