"""Co-simulation of the toy design: agreement, and every way in which a design can be wrong."""

import errno
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import pywellen

import sim.runs
from quant.errors import ChandelierError
from sim.cosim import Subject, cosimulate, cosimulate_many, simulated_signals
from sim.runs import Stall
from tests.sim import toy


def _subject(folder: Path, samples: int, seed: int) -> Subject:
    codes = toy.random_codes(samples, seed)
    values = toy.golden(codes)
    return Subject(folder, codes, lambda start, stop: {key: array[start:stop] for key, array in values.items()})


@pytest.mark.parametrize("stall_probability", [0.0, 0.5, (0.0, 0.9)])
def test_toy_agrees(tmp_path: Path, stall_probability: Stall) -> None:
    subject = _subject(toy.write_toy(tmp_path), 120, seed=1)
    done: list[tuple[int, int]] = []
    report = cosimulate(
        subject.folder,
        subject.codes,
        subject.golden,
        stall_probability=stall_probability,
        progress=lambda *counts: done.append(counts),
    )
    assert report.passed, report
    assert report.compared == {
        (0, "sum"): 120,
        (0, "moment"): 120,
        (1, "bal"): 720,
        (1, "logits"): 360,
        (1, "class"): 120,
    }
    assert done == [(40, 120), (80, 120), (120, 120)]


def test_a_design_says_itself_what_its_signals_are(tmp_path: Path) -> None:
    folder, codes = toy.write_toy(tmp_path), toy.random_codes(120, seed=3)
    signals, expected = simulated_signals(folder, codes), toy.golden(codes)
    assert signals.keys() == expected.keys()
    assert all((signals[key] == expected[key]).all() for key in expected)


def test_cycles_are_counted_to_the_cycle(tmp_path: Path) -> None:
    """The toy takes a sample in one cycle an event, one for the marker, four for the frames and one for the result."""
    subject = _subject(toy.write_toy(tmp_path), 30, seed=2)
    report = cosimulate(subject.folder, subject.codes, subject.golden)
    cycles = np.count_nonzero(subject.codes, axis=1) + 5
    assert report.latency is not None
    assert (report.latency.min, report.latency.max) == (cycles.min(), cycles.max())
    assert report.latency.mean == pytest.approx(cycles.mean())


def test_pauses_are_those_of_the_seed(tmp_path: Path) -> None:
    subject = _subject(toy.write_toy(tmp_path), 40, seed=3)
    spreads = [
        cosimulate(subject.folder, subject.codes, subject.golden, stall_probability=0.3, seed=seed, jobs=jobs).latency
        for seed, jobs in ((7, 1), (7, 2), (8, 2))
    ]
    assert spreads[0] == spreads[1] != spreads[2]


def test_designs_side_by_side(tmp_path: Path) -> None:
    subjects = [
        _subject(toy.write_toy(tmp_path / name, name), samples, samples)
        for name, samples in (("left", 60), ("right", 3))
    ]
    reports = cosimulate_many(subjects, stall_probability=0.2)
    assert [(report.design, report.samples, report.passed) for report in reports] == [
        ("left", 60, True),
        ("right", 3, True),
    ]


def test_a_design_may_have_fewer_samples_than_there_are_shards(tmp_path: Path) -> None:
    subjects = [
        _subject(toy.write_toy(tmp_path / name, name), samples, samples)
        for name, samples in (("left", 60), ("right", 1))
    ]
    reports = cosimulate_many(subjects, optimise=False)
    assert [(report.samples, report.passed) for report in reports] == [(60, True), (1, True)]
    assert sum(reports[1].compared.values()) == 12


def test_what_was_not_compared_has_not_passed(tmp_path: Path) -> None:
    """A golden model that calls nothing as the design does agrees with anything."""
    subject = _subject(toy.write_toy(tmp_path), 4, seed=8)
    with pytest.raises(ChandelierError, match="toy: nothing was compared"):
        cosimulate(subject.folder, subject.codes, lambda start, stop: {}, optimise=False)


def test_flipped_memory_bit_is_found_where_it_is(tmp_path: Path) -> None:
    """The negative control: what is compared is what is simulated."""
    subject = _subject(toy.write_toy(tmp_path), 60, seed=4)
    assert cosimulate(subject.folder, subject.codes, subject.golden).passed
    memory = tmp_path / "toy_weights.mem"
    words = memory.read_text().split()
    words[2] = f"{int(words[2], 16) ^ 1:02x}"
    memory.write_text("\n".join(words))
    report = cosimulate(subject.folder, subject.codes, subject.golden)
    assert report.build_cached, "memory contents are no part of a build"
    sample = int(np.flatnonzero(subject.codes[:, 2])[0])
    assert str(report.first).startswith(f"sample {sample}, layer 0, neuron 0, moment: expected ")
    assert not report.faults
    assert not report.passed


#: Ways to break the toy: what in its source to replace, by what, and what is to be said first.
WRONG = {
    "silent": (
        "assign i__ready = !o__valid;\n  assign o__payload = {logit2",
        "assign i__ready = 0;\n  assign o__payload = {logit2",
        r"deadlock: nothing moved for \d+ cycles, after 0 results",
    ),
    "short": ("beat == 3", "beat[0]", "stream unfolder.o: 40 beats are missing"),
    "long": ("o__valid <= beat == 3", "o__valid <= beat[0]", "stream o: 20 beats too many"),
    "restless": (
        "assign o__payload = {moment, sum}",
        "reg tick = 0; always @(posedge clk) tick <= !tick; assign o__payload = {moment, sum} + tick",
        r"stream adder.o: an offered beat changed before it was taken, \d+ times, first in cycle \d+",
    ),
}


def test_broken_designs_are_told_what_is_wrong(tmp_path: Path) -> None:
    subjects = []
    for name, (old, new, _) in WRONG.items():
        subject = _subject(toy.write_toy(tmp_path / name, name), 20, seed=5)
        source = subject.folder / f"{name}.v"
        assert old in source.read_text()
        source.write_text(source.read_text().replace(old, new))
        subjects.append(subject)
    for report, (_, _, fault) in zip(cosimulate_many(subjects), WRONG.values(), strict=True):
        assert not report.passed
        assert re.fullmatch(fault, report.faults[0]), report
        assert report.faults[0] in str(report)


def test_waves_of_both_formats_say_the_same(tmp_path: Path) -> None:
    """Read by a library that knows nothing of Verilator: the stand-ins for its compressors keep to the format."""
    subject = _subject(toy.write_toy(tmp_path / "toy"), 4, seed=6)
    waves = []
    for name in ("toy.vcd", "toy.fst"):
        assert cosimulate(subject.folder, subject.codes, subject.golden, waves=tmp_path / name).passed
        waves.append(pywellen.Waveform(str(tmp_path / name)))
    values = [
        {var.full_name: [var.signal.value_at(time) for time in range(300)] for var in wave.all_vars()} for wave in waves
    ]
    assert values[0] == values[1]
    assert len(set(values[0]["bench.dut0.sums"])) > 1


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            {"codes": np.zeros((4, 9), np.uint8)},
            r"toy takes uint8 codes of shape \(samples, 8\), not uint8 of shape \(4, 9\)",
        ),
        ({"codes": np.full((4, 8), 8, np.uint8)}, "toy takes codes of 3 bits, and one is 8"),
        ({"signals": ["spike"]}, "toy has no signal 'spike'; it has bal, class, logits, moment, sum"),
        ({"stall_probability": 1.0}, "the stall probability must be at least 0 and less than 1, not 1.0"),
        (
            {"stall_probability": (0.5, 1.5)},
            r"the stall probability must be at least 0 and less than 1, not \(0.5, 1.5\)",
        ),
        ({"waves": Path("toy.png")}, "toy.png: the name of a wave file ends in .fst or .vcd"),
    ],
)
def test_refusals(tmp_path: Path, change: dict, complaint: str) -> None:
    subject = _subject(toy.write_toy(tmp_path), 4, seed=7)
    arguments = {"codes": subject.codes, "golden": subject.golden} | change
    with pytest.raises(ChandelierError, match=complaint):
        cosimulate(subject.folder, **arguments)


def test_a_full_temporary_folder_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> np.ndarray:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    subject = _subject(toy.write_toy(tmp_path), 4, seed=9)
    monkeypatch.setattr(sim.runs, "input_beats", full)
    with pytest.raises(ChandelierError, match=rf"^cannot write {tempfile.gettempdir()}: No space left on device$"):
        cosimulate(subject.folder, subject.codes, subject.golden, optimise=False)


_LONG_RUN = """
from pathlib import Path
import numpy as np
from sim.cosim import cosimulate
codes = np.ones((20_000, 8), np.uint8)
cosimulate(Path({folder!r}), codes, lambda start, stop: print("running", flush=True) or {{}})
"""


def test_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    """An interrupt, in the middle of a run, ends the simulators and removes the temporary files."""
    folder, temporary = toy.write_toy(tmp_path / "toy"), tmp_path / "temporary"
    temporary.mkdir()
    environment = os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", _LONG_RUN.format(folder=str(folder))]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"running\n"
        assert list(temporary.iterdir())
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) != 0
    assert not list(temporary.iterdir())
    mine = [p for p in Path("/proc").glob("[0-9]*/environ") if _belongs_to(p, str(temporary))]
    assert not mine


def _belongs_to(environ: Path, temporary: str) -> bool:
    try:
        return f"TMPDIR={temporary}".encode() in environ.read_bytes()
    except OSError:
        return False
