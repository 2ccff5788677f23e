"""The payloads that travel between components, each defined once."""

from amaranth import Shape, signed, unsigned
from amaranth.lib import data

from quant.formats import Format

__all__ = [
    "accumulator_layout",
    "event_layout",
    "frame_layout",
    "group_layout",
    "index_of",
    "place_layout",
    "result_layout",
    "shape_of",
    "window_layout",
    "word_layout",
]


def shape_of(fmt: Format) -> Shape:
    """The Amaranth shape of a fixed-point format's integer code."""
    return signed(fmt.width) if fmt.signed else unsigned(fmt.width)


def index_of(count: int) -> range:
    """The shape of a number ``0 <= k < count``; of one bit at least, as Verilog has no signals of no bits."""
    return range(max(2, count))


def event_layout(sources: int, value_bits: int) -> data.StructLayout:
    """One beat between layers: an event ``(index, value)``, or, with ``last`` set, the end of the time step.

    Of a row-major layer all time steps of a sample have one end. It is a beat of its own, whose index and value mean
    nothing. A silent source sends nothing else.
    """
    return data.StructLayout({"index": index_of(sources), "value": value_bits, "last": 1})


def group_layout(groups: int, value_bits: int, lanes: int) -> data.StructLayout:
    """One beat to a map: values of ``lanes`` neighbours, those of a beat of neurons, or, with ``last``, the end.

    Value ``k`` is of the source ``lanes * index + k``; at least one is not 0.
    """
    return data.StructLayout({"index": index_of(groups), "value": data.ArrayLayout(value_bits, lanes), "last": 1})


def place_layout(depth: int, groups: int, value_bits: int, lanes: int) -> data.StructLayout:
    """Values of a map: to which ``lanes`` lanes of which word they are added, or, with ``last``, the end of the step.

    They are the lanes ``group * lanes`` and those behind it.
    """
    return data.StructLayout(
        {
            "word": index_of(depth),
            "group": index_of(groups),
            "value": data.ArrayLayout(value_bits, lanes),
            "last": 1,
        }
    )


def word_layout(words: int, lanes: int, value_bits: int) -> data.StructLayout:
    """``lanes`` inputs side by side, those of a word of the ``words`` of a column; ``last`` says that they end it."""
    return data.StructLayout({"word": index_of(words), "values": data.ArrayLayout(value_bits, lanes), "last": 1})


def window_layout(rows: int, value_bits: int, events: int) -> data.StructLayout:
    """Up to ``events`` events of a column at once, or, with ``last`` set, its end.

    Each has its part of the weights, of ``rows`` rows. A value of 0 is no event.
    """
    event = data.StructLayout({"index": index_of(rows), "value": value_bits})
    return data.StructLayout({"events": data.ArrayLayout(event, events), "last": 1})


def accumulator_layout(i_ee: Format, n_e: int, i_ie: Format | None = None, n_i: int = 0) -> data.StructLayout:
    """All currents of one time step in one beat: ``i_ee`` of ``n_e`` neurons, ``i_ie`` of ``n_i``, if there are any."""
    layout = {"i_ee": data.ArrayLayout(shape_of(i_ee), n_e)}
    if i_ie is not None and n_i:
        layout["i_ie"] = data.ArrayLayout(shape_of(i_ie), n_i)
    return data.StructLayout(layout)


def frame_layout(lanes: int, **fields: Format) -> data.ArrayLayout:
    """``lanes`` neurons side by side, each with the given fields.

    A frame is the ``ceil(n / lanes)`` beats of one time step; element ``k`` of beat ``b`` is neuron
    ``b * lanes + k``. In the last beat, elements beyond the last neuron are zero.
    """
    return data.ArrayLayout(data.StructLayout({name: shape_of(fmt) for name, fmt in fields.items()}), lanes)


def result_layout(classes: int, logit: Format) -> data.StructLayout:
    """One beat a sample: the class and all logits."""
    return data.StructLayout({"class": index_of(classes), "logits": data.ArrayLayout(shape_of(logit), classes)})
