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
from sim.beats import tap_values
from sim.compare import Comparison, Signals, compare
from sim.harness import BENCH, bench_verilog
from sim.report import CosimReport, Spread
from sim.runs import Recording, Stall, Stimulus, record
from sim.verilator import Build, WaveFormat, build
from sim.waves import Formats, Scope, scopes_of, view_verilog, write_views

__all__ = [
    "Golden",
    "Part",
    "Subject",
    "cosimulate",
    "cosimulate_many",
    "cosimulate_part",
    "merged",
    "simulated_signals",
]

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
    formats: Formats = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Part:
    """What came of one shard of a design's samples.

    Parameters
    ----------
    comparison : Comparison
    intervals, latencies : (results,) int64
        Cycles between results, and from a sample's first input to its result.
    waited : Counter
        Beats of each stream that were not taken at once.
    cycles : int
    """

    comparison: Comparison
    intervals: np.ndarray
    latencies: np.ndarray
    waited: Counter[str]
    cycles: int


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
        it takes a slower simulator, and a single process. Beside it are files for viewers (``sim.waves``).
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
    views: dict[str, list[Scope]] = {}
    if waves is not None:
        views = {
            f"view{k}": scopes_of(stimulus.manifest, f"dut{k}", subject.formats)
            for k, (subject, stimulus) in enumerate(zip(subjects, stimuli, strict=True))
        }
    program = _program(stimuli, _wave_format(waves), views, optimise=optimise)
    start = time.monotonic()
    parts: list[list[Part]] = [[] for _ in subjects]
    last = 0  # cycle in which a result came
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
            for own, subject, stimulus, recording in zip(parts, subjects, stimuli, shard, strict=True):
                own.append(_part(subject, stimulus, recording, signals))
                last = max(last, int(max(recording.finished, default=0)))
            progress(shard[0].stop, len(subjects[0].codes))
    seconds = time.monotonic() - start
    if waves is not None:
        write_views(waves, {f"{BENCH}.{name}": scopes for name, scopes in views.items()}, last)
    return [
        merged(stimulus.manifest.top, len(stimulus.codes), own, seconds=seconds, program=program)
        for stimulus, own in zip(stimuli, parts, strict=True)
    ]


def cosimulate(
    folder: Path,
    codes: np.ndarray,
    golden: Golden,
    *,
    formats: Formats | None = None,
    **options: Any,
) -> CosimReport:
    """Co-simulates one design: :func:`cosimulate_many`, whose ``options`` it takes, of a single :class:`Subject`."""
    return cosimulate_many([Subject(folder, codes, golden, formats or {})], **options)[0]


def cosimulate_part(subject: Subject, start: int, *, stall_probability: float, seed: int) -> tuple[Part, Build]:
    """Co-simulates one shard of a design's samples, of which the first is number ``start``, in a process of its own.

    ``subject.codes`` are those of the shard alone. All parts are those of :func:`cosimulate` if they are cut as
    ``sim.runs.cut`` does it.

    Returns
    -------
    Part, Build
        For :func:`merged`.

    Raises
    ------
    ChandelierError
        As of :func:`cosimulate_many`.
    """
    stimulus = Stimulus(subject.folder, Manifest.read(subject.folder), subject.codes, start)
    _check([stimulus], None, stall_probability)
    program = _program([stimulus], None, {})
    options: dict[str, Any] = {"stall_probability": stall_probability, "seed": seed, "waves": None}
    with closing(record(program, [stimulus], **options, jobs=1, shards=1)) as recordings:
        ((recording,),) = recordings
    return _part(subject, stimulus, recording, None), program


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
    program = _program([stimulus], None, {})
    recordings = record(program, [stimulus], stall_probability=0.0, seed=0, waves=None, jobs=os.cpu_count() or 1)
    with closing(recordings):
        for (recording,) in recordings:
            for tap, words, missing in zip(stimulus.taps, recording.words, recording.missing, strict=True):
                if missing:
                    raise ChandelierError(f"{stimulus.manifest.top}: {missing} beats of stream {tap.name} are missing")
                for signal, values in tap_values(tap, words).items():
                    parts.setdefault((tap.layer, signal), []).append(values.reshape(-1, tap.sets, values.shape[1]))
    return {key: np.concatenate(shards) for key, shards in parts.items()}


def _program(
    stimuli: Sequence[Stimulus],
    waves: WaveFormat | None,
    views: Mapping[str, Sequence[Scope]],
    *,
    optimise: bool = True,
) -> Build:
    """The simulator of the designs side by side."""
    verilog = [s.folder / file for s in stimuli for file in s.manifest.files if file.endswith(".v")]
    blocks = [view_verilog(name, scopes) for name, scopes in views.items()]
    return build(verilog, bench_verilog([s.manifest for s in stimuli], blocks), waves, optimise=optimise)


def _part(subject: Subject, stimulus: Stimulus, recording: Recording, signals: Collection[str] | None) -> Part:
    """Compares a recording with the golden model."""
    golden = subject.golden(recording.start, recording.stop) if recording.stop > recording.start else {}
    finished = recording.finished[: len(recording.started)]
    return Part(
        comparison=compare(stimulus.taps, recording, golden, signals, subject.formats),
        intervals=np.diff(finished),
        latencies=finished - recording.started[: len(finished)],
        waited=Counter({tap.name: n for tap, n in zip(stimulus.taps, recording.waited, strict=True)}),
        cycles=recording.cycles,
    )


def merged(design: str, samples: int, parts: Sequence[Part], *, seconds: float, program: Build) -> CosimReport:
    """The report on all parts of a design, in the order of their samples.

    Raises
    ------
    ChandelierError
        If it would call equal what was never compared.
    """
    comparisons = [part.comparison for part in parts]
    faulty = [comparison.faults for comparison in comparisons if comparison.faults]
    compared = sum((comparison.compared for comparison in comparisons), Counter[tuple[int, str]]())
    if not compared and not faulty:
        raise ChandelierError(f"{design}: nothing was compared, as the golden model has none of its signals")
    waited: Counter[str] = Counter()
    for part in parts:
        waited.update(part.waited)  # which, other than a sum, keeps zeros
    return CosimReport(
        design=design,
        samples=samples,
        compared=dict(compared),
        mismatches=sum(comparison.mismatches for comparison in comparisons),
        first=next((comparison.first for comparison in comparisons if comparison.first), None),
        faults=tuple(faulty[0]) if faulty else (),
        waited=dict(waited),
        interval=Spread.of(np.concatenate([part.intervals for part in parts])),
        latency=Spread.of(np.concatenate([part.latencies for part in parts])),
        cycles=sum(part.cycles for part in parts),
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
