"""Co-simulation: the generated Verilog against the golden model, every probed value of every sample."""

import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np

from hw.manifest import Manifest
from quant.errors import ChandelierError
from quant.files import replacing
from quant.formats import Format
from sim.beats import tap_values
from sim.compare import Comparison, Signals, compare
from sim.harness import bench_verilog
from sim.report import CosimReport, Spread
from sim.runs import Recording, Stall, Stimulus, record
from sim.verilator import Build, WaveFormat, build

__all__ = ["Golden", "Subject", "cosimulate", "cosimulate_many", "simulated_signals"]

#: ``golden(start, stop)``: the signals of these samples.
Golden = Callable[[int, int], Signals]


@dataclass(frozen=True, eq=False)
class Subject:
    """A design, what it gets, and what it should make of it.

    Parameters
    ----------
    folder : Path
        What ``chandelier rtl`` wrote.
    codes : (samples, features) or, for a sequence, (samples, steps, features), uint8
    golden : Golden
        ``golden(start, stop)`` gives, of these samples, each (layer, signal) as integers
        (samples, steps or 1, neurons). Called in this process, for one shard after the other, while simulators run.
    formats : mapping, optional
        Format of each (layer, signal) that has fractional bits: messages then give the value, too.
    """

    folder: Path
    codes: np.ndarray
    golden: Golden
    formats: Mapping[tuple[int, str], Format] = field(default_factory=dict)


def cosimulate_many(
    subjects: Sequence[Subject],
    *,
    signals: Collection[str] | None = None,
    stall_probability: Stall = 0.0,
    seed: int = 0,
    waves: Path | None = None,
    optimise: bool = True,
    jobs: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[CosimReport]:
    """Co-simulates designs side by side in one bench, which saves building one for each.

    Parameters
    ----------
    subjects : sequence of Subject
        Their top modules have different names.
    signals : collection of str, optional
        Compares only these; without it, all that both design and golden model offer.
    stall_probability : float, or (float, float), 0 <= p < 1
        The chance, in each cycle, that a source or a sink pauses; or that a source does, and that a sink does. Only a
        sink that is much slower than its source fills all queues.
    seed : int
        Of the pauses; with the same seed they are the same on any machine.
    waves : Path, optional
        Writes waves there, of the kind that its suffix says: ``.fst`` or ``.vcd``. Meant for a few samples:
        it takes a slower simulator, and a single process.
    optimise : bool
        Without it the simulator builds in half the time and runs at two thirds of the speed: for a few samples.
    jobs : int, optional
        Simulators at a time; the number of cores if not given.
    progress : callable
        Called with the samples done and those there are, of the first subject.

    Returns
    -------
    list of CosimReport
        One for each subject, whether it passed or not.

    Raises
    ------
    ChandelierError
        If input codes do not fit, a signal does not exist, nothing was compared, a tool is missing, or a simulator does
        not build or dies.
    """
    stimuli = [Stimulus(subject.folder, Manifest.read(subject.folder), subject.codes) for subject in subjects]
    _check(stimuli, signals, stall_probability)
    program = _program(stimuli, _wave_format(waves), optimise=optimise)
    start = time.monotonic()
    outcomes = [_Outcome(subject, stimulus, signals) for subject, stimulus in zip(subjects, stimuli, strict=True)]
    with ExitStack() as stack:
        recordings = record(
            program,
            stimuli,
            stall_probability=stall_probability,
            seed=seed,
            waves=None if waves is None else stack.enter_context(replacing(waves.absolute())),
            jobs=jobs or os.cpu_count() or 1,
        )
        for shard in stack.enter_context(closing(recordings)):
            for outcome, recording in zip(outcomes, shard, strict=True):
                outcome.add(recording)
            progress(shard[0].stop, len(subjects[0].codes))
    seconds = time.monotonic() - start
    return [outcome.report(seconds, program) for outcome in outcomes]


def cosimulate(
    folder: Path,
    codes: np.ndarray,
    golden: Golden,
    *,
    formats: Mapping[tuple[int, str], Format] | None = None,
    **options: Any,
) -> CosimReport:
    """Co-simulates one design: :func:`cosimulate_many`, whose ``options`` it takes, of a single :class:`Subject`."""
    return cosimulate_many([Subject(folder, codes, golden, formats or {})], **options)[0]


def simulated_signals(folder: Path, codes: np.ndarray) -> dict[tuple[int, str], np.ndarray]:
    """What a design itself makes of a few samples: every signal that it is probed for, nothing compared.

    Parameters
    ----------
    folder : Path
        What ``chandelier rtl`` wrote.
    codes : (samples, features) or, for a sequence, (samples, steps, features), uint8

    Returns
    -------
    dict
        (layer, signal) -> (samples, steps or 1, values) int64.

    Raises
    ------
    ChandelierError
        If input codes do not fit, a tool is missing, the simulator does not build or dies, or beats are missing.
    """
    stimulus = Stimulus(folder, Manifest.read(folder), codes)
    _check([stimulus], None, 0.0)
    parts: dict[tuple[int, str], list[np.ndarray]] = {}
    program = _program([stimulus], None)
    recordings = record(program, [stimulus], stall_probability=0.0, seed=0, waves=None, jobs=os.cpu_count() or 1)
    with closing(recordings):
        for (recording,) in recordings:
            for tap, words, missing in zip(stimulus.taps, recording.words, recording.missing, strict=True):
                if missing:
                    raise ChandelierError(f"{stimulus.manifest.top}: {missing} beats of stream {tap.name} are missing")
                for signal, values in tap_values(tap, words).items():
                    parts.setdefault((tap.layer, signal), []).append(values.reshape(-1, tap.sets, values.shape[1]))
    return {key: np.concatenate(shards) for key, shards in parts.items()}


def _program(stimuli: Sequence[Stimulus], waves: WaveFormat | None, *, optimise: bool = True) -> Build:
    """The simulator of the designs side by side."""
    verilog = [s.folder / file for s in stimuli for file in s.manifest.files if file.endswith(".v")]
    return build(verilog, bench_verilog([s.manifest for s in stimuli]), waves, optimise=optimise)


class _Outcome:
    """Gathers what is found out about one design, shard by shard."""

    def __init__(self, subject: Subject, stimulus: Stimulus, signals: Collection[str] | None) -> None:
        self._subject, self._stimulus, self._signals = subject, stimulus, signals
        self._comparisons: list[Comparison] = []
        self._intervals: list[np.ndarray] = []
        self._latencies: list[np.ndarray] = []
        self._waited: Counter[str] = Counter()
        self._cycles = 0

    def add(self, recording: Recording) -> None:
        """Compares a recording with the golden model, and keeps the outcome."""
        golden = self._subject.golden(recording.start, recording.stop) if recording.stop > recording.start else {}
        self._comparisons.append(compare(self._stimulus.taps, recording, golden, self._signals, self._subject.formats))
        finished = recording.finished[: len(recording.started)]
        self._intervals.append(np.diff(finished))
        self._latencies.append(finished - recording.started[: len(finished)])
        for tap, waited in zip(self._stimulus.taps, recording.waited, strict=True):
            self._waited[tap.name] += waited
        self._cycles += recording.cycles

    def report(self, seconds: float, program: Build) -> CosimReport:
        """The report on all that was added; refused if it would call equal what was never compared."""
        faulty = [comparison.faults for comparison in self._comparisons if comparison.faults]
        compared = sum((comparison.compared for comparison in self._comparisons), Counter())
        if not compared and not faulty:
            raise ChandelierError(
                f"{self._stimulus.manifest.top}: nothing was compared, as the golden model has none of its signals"
            )
        return CosimReport(
            design=self._stimulus.manifest.top,
            samples=len(self._stimulus.codes),
            compared=dict(compared),
            mismatches=sum(comparison.mismatches for comparison in self._comparisons),
            first=next((comparison.first for comparison in self._comparisons if comparison.first), None),
            faults=tuple(faulty[0]) if faulty else (),
            waited=dict(self._waited),
            interval=Spread.of(np.concatenate(self._intervals)),
            latency=Spread.of(np.concatenate(self._latencies)),
            cycles=self._cycles,
            seconds=seconds,
            build_seconds=program.seconds,
            build_cached=program.cached,
        )


def _wave_format(waves: Path | None) -> WaveFormat | None:
    if waves is None:
        return None
    for suffix in get_args(WaveFormat):
        if waves.suffix == f".{suffix}":
            return cast(WaveFormat, suffix)
    raise ChandelierError(f"{waves}: the name of a wave file ends in .fst or .vcd")


def _check(stimuli: Sequence[Stimulus], signals: Collection[str] | None, stall_probability: Stall) -> None:
    """Refuses what cannot be simulated."""
    both = stall_probability if isinstance(stall_probability, tuple) else (stall_probability,)
    if not all(0 <= chance < 1 for chance in both):
        raise ChandelierError(f"the stall probability must be at least 0 and less than 1, not {stall_probability}")
    tops = Counter(stimulus.manifest.top for stimulus in stimuli)
    for top, count in tops.items():
        if count > 1:
            raise ChandelierError(f"{count} designs are called {top}: generate them under different names")
    for stimulus in stimuli:
        _check_codes(stimulus)
        offered = {field.signal for tap in stimulus.taps for field in tap.fields}
        for signal in signals or ():
            if signal not in offered:
                raise ChandelierError(
                    f"{stimulus.manifest.top} has no signal {signal!r}; it has {', '.join(sorted(offered))}"
                )


def _check_codes(stimulus: Stimulus) -> None:
    port, codes = stimulus.manifest.input, stimulus.codes
    shape = (port.features,) if port.kind == "static" else (port.steps, port.features)
    if codes.dtype != np.uint8 or codes.shape[1:] != shape or not len(codes):
        raise ChandelierError(
            f"{stimulus.manifest.top} takes uint8 codes of shape (samples, {', '.join(map(str, shape))}), "
            f"not {codes.dtype} of shape {codes.shape}"
        )
    if codes.max() >> port.bits:
        raise ChandelierError(f"{stimulus.manifest.top} takes codes of {port.bits} bits, and one is {codes.max()}")
