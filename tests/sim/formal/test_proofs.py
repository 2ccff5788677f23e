"""The quick proofs, the runner and its errors. All proofs, each with its planted bug: ``make proofs``."""

from itertools import product
from pathlib import Path

import pytest

from hw.skid import Skid
from hw.tools import find_tool
from quant.arithmetic import after_reset, leak, saturate
from quant.errors import ChandelierError
from quant.formats import Format
from sim.formal import queues, streams
from sim.formal.__main__ import PROOFS, main, prove
from sim.formal.proof import Bug, Proof, find_tools, plant
from sim.formal.transactions import Transactions


@pytest.mark.parametrize("proof", [queues.PROOFS[2], streams.PROOFS[0]], ids=lambda proof: proof.component)
def test_quick_proofs(proof: Proof) -> None:
    outcome = prove(proof, find_tools())
    assert outcome.proven, outcome
    assert outcome.refuted, f"the planted bug passes: {outcome}"


def test_every_bug_can_be_planted() -> None:
    for proof in PROOFS:
        assert plant(proof.subject, proof.bug) is not proof.subject, proof.component


def test_a_bug_whose_place_is_gone() -> None:
    with pytest.raises(ValueError, match=r"^hw\.skid has 'nowhere' 0 times"):
        plant(Skid, Bug("nowhere", "somewhere"))


def test_a_false_claim_is_refuted_and_a_bug_that_breaks_nothing_is_told() -> None:
    """A bench whose claim is that the bytes come out turned over, and a bug that is none."""
    false = Proof(
        "turned over",
        "Skid",
        Skid,
        lambda subject: Transactions(
            subject(streams.BYTE), lambda seen: seen.taken[0].byte == ~seen.given.byte, settles=4
        ),
        Bug("LATENCY = 1", "LATENCY = 2"),
        depth=4,
    )
    outcome = prove(false, find_tools())
    assert not outcome.proven and not outcome.good
    assert outcome.detail == "cycle 2: not 'the beat is the right one'"
    harmless = Proof("copies", "Skid", Skid, streams.PROOFS[0].bench, false.bug, depth=3)
    outcome = prove(harmless, find_tools())
    assert outcome.proven and not outcome.refuted and not outcome.good


def test_two_steps_lead_to_every_potential() -> None:
    """What the proofs of the LIF core say of all potentials, they say of those that a sample can reach in two steps."""
    for membrane, theta in ((Format.parse("s10.6"), 64), (Format.parse("s6.2"), 4)):
        codes = range(membrane.min, membrane.max + 1)
        reached = {0}
        for _ in range(2):
            sums = {leak(v, 1) + current for v, current in product(reached, codes)}
            reached |= {saturate(after_reset(u, u >= theta, theta, "subtract"), membrane) for u in sums}
        assert reached == set(codes)


def test_a_program_that_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    yosys = find_tool("yosys")
    monkeypatch.setattr("sim.formal.proof.find_tool", lambda name: yosys)
    monkeypatch.setattr("sim.formal.proof.SOLVER", "nosolver")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(ChandelierError, match=r"^nosolver is not installed; type: pip install 'chandelier\[verify\]'$"):
        find_tools()


def test_words_that_name_no_proof() -> None:
    assert main(["no such component"]) == 1
