"""The cocotb test that runs inside the simulator: clock, reset, and waiting until all results are out.

The beats themselves pass between the design and ``harness.cpp``; Python wakes up once per thousand cycles.
What to send is read from the folder named in the environment variable ``CHANDELIER_JOB``, and what was seen is
written there: ``job.json`` and ``status.json`` have the form of :class:`Job` and :class:`Status`.
"""

import ctypes
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import Timer

__all__ = ["JOB_VARIABLE", "PERIOD", "DesignJob", "Job", "Status", "cosimulation"]

JOB_VARIABLE = "CHANDELIER_JOB"
#: Nanoseconds of a clock cycle: the fewest that one can have.
PERIOD = 2
_CHUNK = 1000  # cycles between two looks
_DRAIN = 1000  # cycles after the last result, in which nothing more should come


@dataclass
class DesignJob:
    """What one design gets, and how much is expected of it.

    Its input beats are in ``beats<number>`` (``beat_words`` 64-bit words each, bit 63 set in the first of each sample).
    ``tap_words`` are the 64-bit words expected at each of its taps.
    """

    samples: int
    seed: int
    beat_words: int
    tap_words: list[int]


@dataclass
class Job:
    """One run: stalls in units of ``2**-32``, ``idle_limit`` the cycles without progress that mean a deadlock."""

    designs: list[DesignJob]
    source_stall: int
    sink_stall: int
    idle_limit: int


@dataclass
class Status:
    """What came of a run; the words seen at tap ``k`` are in ``tap<k>``.

    ``started`` and ``finished`` are, for each design, the clock cycles of every sample's first input beat and result.
    ``tap_words`` counts all words seen, also those beyond the expected ones, ``tap_waited`` the beats that were not
    taken in the cycle in which they were first offered; ``violations`` are, for each tap, how
    often an offered beat changed before it was taken, and in which cycle first.
    """

    cycles: int
    seconds: float
    deadlock: bool
    started: list[list[int]]
    finished: list[list[int]]
    tap_words: list[int]
    tap_waited: list[int]
    violations: list[tuple[int, int]]


_RETURNS_COUNT = (
    "harness_activity",
    "harness_results",
    "harness_samples_started",
    "harness_words_seen",
    "harness_beats_waited",
    "harness_violations",
    "harness_first_violation",
)
_RETURNS_BUFFER = ("harness_started", "harness_finished", "harness_words")


def _load_harness() -> ctypes.CDLL:
    """The functions of ``harness.cpp``, which are part of this very process."""
    harness = ctypes.CDLL(None)
    for name in _RETURNS_COUNT:
        getattr(harness, name).restype = ctypes.c_uint64
    for name in _RETURNS_BUFFER:
        getattr(harness, name).restype = ctypes.POINTER(ctypes.c_uint64)
    counts, stalls = [ctypes.c_uint64] * 2, [ctypes.c_uint32] * 2
    harness.harness_add_design.argtypes = [ctypes.c_char_p, *counts, *stalls, ctypes.c_uint64]
    harness.harness_add_tap.argtypes = [ctypes.c_uint64]
    return harness


def _set_up(harness: ctypes.CDLL, job: Job, folder: Path) -> None:
    for number, design in enumerate(job.designs):
        beats = (folder / f"beats{number}").read_bytes()
        stalls = job.source_stall, job.sink_stall
        harness.harness_add_design(beats, len(beats) // 8, design.beat_words, *stalls, design.seed)
        for words in design.tap_words:
            harness.harness_add_tap(words)


async def _run(harness: ctypes.CDLL, job: Job) -> tuple[int, bool]:
    """Runs until all results are out, or nothing moves any more: cycles, and whether it was the latter."""
    cycles = idle = activity = 0
    while any(harness.harness_results(n) < design.samples for n, design in enumerate(job.designs)):
        await Timer(_CHUNK * PERIOD, "ns")
        cycles += _CHUNK
        before, activity = activity, harness.harness_activity()
        idle = idle + _CHUNK if activity == before else 0
        if idle > job.idle_limit:
            return cycles, True
    await Timer(_DRAIN * PERIOD, "ns")
    return cycles + _DRAIN, False


def _collect(harness: ctypes.CDLL, job: Job, cycles: int, seconds: float, deadlock: bool, folder: Path) -> Status:
    designs, taps = range(len(job.designs)), range(sum(len(design.tap_words) for design in job.designs))
    expected = [words for design in job.designs for words in design.tap_words]
    seen = [harness.harness_words_seen(k) for k in taps]
    for k in taps:
        kept = 8 * min(seen[k], expected[k])
        (folder / f"tap{k}").write_bytes(ctypes.string_at(harness.harness_words(k), kept) if kept else b"")
    return Status(
        cycles=cycles,
        seconds=seconds,
        deadlock=deadlock,
        started=[harness.harness_started(n)[: harness.harness_samples_started(n)] for n in designs],
        finished=[harness.harness_finished(n)[: harness.harness_results(n)] for n in designs],
        tap_words=seen,
        tap_waited=[harness.harness_beats_waited(k) for k in taps],
        violations=[(harness.harness_violations(k), harness.harness_first_violation(k)) for k in taps],
    )


@cocotb.test()
async def cosimulation(bench: Any) -> None:
    """Sends the beats of the job, and writes down all that passes the taps."""
    folder = Path(os.environ[JOB_VARIABLE])
    job = Job(**json.loads((folder / "job.json").read_text()))
    job.designs = [DesignJob(**design) for design in job.designs]  # type: ignore[arg-type]
    harness = _load_harness()
    _set_up(harness, job, folder)
    bench.rst.value = 1
    Clock(bench.clk, PERIOD, "ns").start()
    await Timer(4 * PERIOD + 1, "ns")  # reset ends at a falling edge
    bench.rst.value = 0
    start = time.monotonic()
    cycles, deadlock = await _run(harness, job)
    status = _collect(harness, job, cycles, time.monotonic() - start, deadlock, folder)
    (folder / "status.json").write_text(json.dumps(asdict(status)))
