"""A generated design, as a shell around it instantiates it."""

from typing import Any

from amaranth import ClockSignal, Instance, Value
from amaranth.lib import stream

__all__ = ["RESET_CYCLES", "design_instance"]

#: Cycles for which a design is reset where anything is under way: what is in registers that no reset reaches has left
#: by then, and is not added to what comes next.
RESET_CYCLES = 16


def design_instance(
    top: str,
    reset: Value,
    events: stream.Interface,
    results: stream.Interface,
    images: tuple[Value, Value, Value, Value] | None = None,
) -> Instance:
    """The module ``top`` that ``hw.rtl`` writes, in the domain ``sync``.

    Parameters
    ----------
    reset : Value
        High for ``RESET_CYCLES``, or before there has been anything.
    events, results : stream
        To the design, and from it.
    images : (valid, payload, ready, status), optional
        The configuration port, where weights are loadable (docs/loading.md).
    """
    configuration: dict[str, Any] = {}
    if images is not None:
        names = ("i_c__valid", "i_c__payload", "o_c__ready", "o_status")
        configuration = dict(zip(names, images, strict=True))
    return Instance(
        top,
        i_clk=ClockSignal(),
        i_rst=reset,
        i_i__valid=events.valid,
        i_i__payload=events.p,
        i_o__ready=results.ready,
        o_i__ready=events.ready,
        o_o__valid=results.valid,
        o_o__payload=results.p.as_value(),
        **configuration,
    )
