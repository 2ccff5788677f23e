"""Registers of a pipeline that stands still as a whole, and copies of registers with many loads."""

from collections.abc import Callable

from amaranth import Module, Signal, Value

__all__ = ["Delay", "copies", "pipeline"]

#: ``delay(value, cycles=1, reset=False)`` is ``value``, so many steps of a pipeline later.
Delay = Callable[..., Value]


def pipeline(m: Module, advance: Value) -> Delay:
    """Makes registers in ``m`` that take a new value only in cycles in which ``advance`` is high.

    A reset leaves them alone, unless ``delay`` is told otherwise: what says that a value is valid must be reset.
    """

    def delay(value: Value, cycles: int = 1, *, reset: bool = False) -> Value:
        for _ in range(cycles if len(value) else 0):  # Verilog has no registers of no bits
            held = Signal(value.shape(), name="held", reset_less=not reset)
            with m.If(advance):
                m.d.sync += held.eq(value)
            value = held
        return value

    return delay


def copies(m: Module, value: Value, count: int) -> list[Value]:
    """``value``, one cycle later, in ``count`` registers, so that none of them has to reach all who want to know it.

    The attribute ``keep`` asks synthesis not to make one of them again; yosys has to be told so
    (``hw.synthesis``).
    """
    registers = [Signal(value.shape(), name="copy", reset_less=True, attrs={"keep": 1}) for _ in range(count)]
    m.d.sync += [register.eq(value) for register in registers]
    return list[Value](registers)
