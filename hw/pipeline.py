"""Registers of a pipeline that stands still as a whole."""

from collections.abc import Callable

from amaranth import Module, Signal, Value

__all__ = ["Delay", "pipeline"]

#: ``delay(value, cycles=1)`` is ``value``, so many steps of a pipeline later.
Delay = Callable[..., Value]


def pipeline(m: Module, advance: Value) -> Delay:
    """Makes registers in ``m`` that take a new value only in cycles in which ``advance`` is high."""

    def delay(value: Value, cycles: int = 1) -> Value:
        for _ in range(cycles if len(value) else 0):  # Verilog has no registers of no bits
            held = Signal(value.shape(), name="held")
            with m.If(advance):
                m.d.sync += held.eq(value)
            value = held
        return value

    return delay
