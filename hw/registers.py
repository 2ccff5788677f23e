"""The registers of the AXI shell, as ``registers.rdl`` (SystemRDL 2.0) describes them; C header and table of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from quant.optional import optional

__all__ = ["ADDRESS_BITS", "SOURCE", "Register", "RegisterField", "c_header", "markdown_table", "read_registers"]

#: Of the byte addresses.
ADDRESS_BITS = 8
#: Where they are described.
SOURCE = Path(__file__).with_name("registers.rdl")


@dataclass(frozen=True)
class RegisterField:
    """Bits ``lsb`` and up of a register.

    Parameters
    ----------
    name : str
        Unique among all fields: the register's, with the field's own behind it where there are several.
    kind : str
        A ``constant`` of the design, a ``state`` that the hardware shows, or a ``pulse`` that a written 1 makes.
    value : int
        Of a constant.
    """

    name: str
    lsb: int
    width: int
    kind: Literal["constant", "state", "pulse"]
    value: int
    description: str

    @property
    def mask(self) -> int:
        """Its bits in the register."""
        return (1 << self.width) - 1 << self.lsb


@dataclass(frozen=True)
class Register:
    """A word of 32 bits at the byte address ``offset``."""

    name: str
    offset: int
    description: str
    fields: tuple[RegisterField, ...]


def read_registers(**constants: int) -> list[Register]:
    """All registers, in the order of their addresses, with the constants of a design, or with zeros.

    Raises
    ------
    ChandelierError
        If the compiler of SystemRDL is not installed.
    """
    compiler = optional("systemrdl", "a register map", "chandelier[axi]").RDLCompiler()
    compiler.compile_file(str(SOURCE))
    root = compiler.elaborate("chandelier", parameters=dict(constants))
    return [
        Register(
            name=node.inst_name,
            offset=node.absolute_address,
            description=str(node.get_property("desc")),
            fields=tuple(
                RegisterField(
                    name=node.inst_name if field.inst_name == "value" else f"{node.inst_name}_{field.inst_name}",
                    lsb=field.lsb,
                    width=field.width,
                    kind="pulse" if field.is_sw_writable else "state" if field.is_hw_writable else "constant",
                    value=int(str(field.get_property("reset", default=0))),
                    description=str(field.get_property("desc") or ""),
                )
                for field in node.fields()
            ),
        )
        for node in root.top.registers()
    ]


def c_header(registers: Sequence[Register]) -> str:
    """Offsets of the registers, and shift and mask of each field that is not the whole register."""
    lines = ["/* The registers of the AXI shell: see registers.md. */", "#ifndef CHANDELIER_AXI_H"]
    lines += ["#define CHANDELIER_AXI_H", ""]
    for register in registers:
        lines.append(f"#define CHANDELIER_{register.name.upper()} 0x{register.offset:02X}u")
        for field in register.fields:
            if field.width < 32:
                name = f"CHANDELIER_{field.name.upper()}"
                lines += [f"#define {name}_SHIFT {field.lsb}", f"#define {name}_MASK 0x{field.mask:X}u"]
    return "\n".join([*lines, "", "#endif", ""])


def markdown_table(registers: Sequence[Register], *, values: bool) -> str:
    """A table of all fields; with ``values``, those of a design's constants, too."""
    head = ["offset", "register", "bits", "access", "meaning", *(["value"] if values else [])]
    lines = [head, ["---"] * len(head)]
    for register in registers:
        for field in register.fields:
            bits = f"{field.lsb + field.width - 1}..{field.lsb}" if field.width > 1 else f"{field.lsb}"
            own = field is register.fields[0]
            name = field.name.removeprefix(register.name + "_")
            place = [f"`0x{register.offset:02X}`", f"`{register.name}`"] if own else ["", ""]
            meaning = f"{register.description} " if own else ""
            meaning += "" if name == register.name else f"`{name}`: {field.description}"
            row = [*place, bits, "write" if field.kind == "pulse" else "read", meaning.strip()]
            lines.append(row + ([f"`0x{field.value:X}`" if field.kind == "constant" else ""] if values else []))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
