"""The registers of the AXI shell: their description, what is made of it, and the hardware behind AXI4-Lite."""

import random
import re
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import pytest
from amaranth.sim import Simulator

from hw.axi import RegisterBank
from hw.registers import Register, c_header, markdown_table, read_registers

PAGE = Path(__file__).parents[2] / "docs" / "registers.md"


def test_every_field_has_a_place_of_its_own() -> None:
    registers = read_registers(FEATURES=784, FINGERPRINT=0x0123456789ABCDEF)
    assert len({register.offset for register in registers}) == len(registers)
    assert all(register.offset % 4 == 0 and register.offset < 256 for register in registers)
    names = [field.name for register in registers for field in register.fields]
    assert len(set(names)) == len(names)
    for register in registers:
        masks = [field.mask for field in register.fields]
        assert sum(masks) == reduce(or_, masks) < 1 << 32, register.name
    values = {field.name: field.value for register in registers for field in register.fields}
    assert (values["features"], values["fingerprint_low"], values["fingerprint_high"]) == (784, 0x89ABCDEF, 0x01234567)


def test_the_documentation_has_the_registers() -> None:
    """After a change of ``registers.rdl`` put this table there."""
    assert markdown_table(read_registers(), values=False) in PAGE.read_text()


def test_the_c_header_has_the_registers() -> None:
    defined = dict(re.findall(r"^#define (\w+) (\w+)$", c_header(read_registers()), re.MULTILINE))
    for register in read_registers():
        assert int(defined[f"CHANDELIER_{register.name.upper()}"].rstrip("u"), 16) == register.offset
    assert (defined["CHANDELIER_STATUS_WEIGHTS_SHIFT"], defined["CHANDELIER_STATUS_WEIGHTS_MASK"]) == ("1", "0x6u")


def _expected(register: Register, states: dict[str, int]) -> int:
    return sum(
        (field.value if field.kind == "constant" else states.get(field.name, 0)) << field.lsb
        for field in register.fields
    )


@pytest.mark.parametrize("seed", range(3))
def test_reads_and_writes(seed: int) -> None:
    """Any address and strobes, both halves of a write in any order, and a master that is slow to take answers."""
    rng = random.Random(seed)
    registers = read_registers(FEATURES=rng.getrandbits(32), BITS=rng.randrange(1, 9))
    bank: Any = RegisterBank(registers)
    fields = [field for register in registers for field in register.fields]
    states = {field.name: rng.getrandbits(field.width) for field in fields if field.kind == "state"}
    pulses = [field for field in fields if field.kind == "pulse"]
    (control,) = (register.offset for register in registers if register.name == "control")
    by_offset = {register.offset: register for register in registers}

    async def offer(ctx: Any, channel: str, values: dict[str, int]) -> None:
        for name, value in values.items():
            ctx.set(getattr(bank.bus, name), value)
        ctx.set(getattr(bank.bus, f"{channel}valid"), 1)
        await ctx.tick().until(getattr(bank.bus, f"{channel}ready"))
        ctx.set(getattr(bank.bus, f"{channel}valid"), 0)
        await ctx.tick().repeat(rng.randrange(1, 4))

    async def answer(ctx: Any, channel: str, *values: Any) -> tuple[int, ...]:
        ctx.set(getattr(bank.bus, f"{channel}ready"), 1)
        sampled = await ctx.tick().sample(*values).until(getattr(bank.bus, f"{channel}valid"))
        ctx.set(getattr(bank.bus, f"{channel}ready"), 0)
        await ctx.tick().repeat(rng.randrange(1, 4))
        return tuple(sampled)

    came: dict[str, int] = {field.name: 0 for field in pulses}

    async def count(ctx: Any) -> None:
        async for _, _, *highs in ctx.tick().sample(*(getattr(bank, name) for name in came)):
            for name, high in zip(came, highs, strict=True):
                came[name] += high

    async def testbench(ctx: Any) -> None:
        for name, value in states.items():
            ctx.set(getattr(bank, name), value)
        expected = dict.fromkeys(came, 0)
        for _ in range(90):
            place, word, strobe = (
                rng.choice([control, rng.choice(list(by_offset)), rng.randrange(256)]),
                rng.getrandbits(32),
                rng.randrange(16),
            )
            register = by_offset.get(place & ~3)
            if rng.random() < 0.5:
                await offer(ctx, "ar", {"araddr": place, "arprot": rng.randrange(8)})
                data, response = await answer(ctx, "r", bank.bus.rdata, bank.bus.rresp)
                assert (data, response) == (0 if register is None else _expected(register, states), 0), hex(place)
                continue
            halves = [("aw", {"awaddr": place, "awprot": 0}), ("w", {"wdata": word, "wstrb": strobe})]
            for channel, values in rng.sample(halves, 2):
                await offer(ctx, channel, values)
            assert await answer(ctx, "b", bank.bus.bresp) == (0,)
            for field in pulses:
                if place & ~3 == control and word >> field.lsb & 1 and strobe >> field.lsb // 8 & 1:
                    expected[field.name] += 1
            assert came == expected, f"seed {seed}: 0x{word:08x}, strobes {strobe:04b}, to 0x{place:02x}"
        assert all(expected.values())

    simulator = Simulator(bank)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.add_process(count)
    simulator.run()
