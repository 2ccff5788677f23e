"""Running simulators: samples cut into shards, a process for each, and what the taps recorded."""

import json
import math
import shutil
import tempfile
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from hw.manifest import Manifest
from quant.errors import ChandelierError
from quant.files import refusing
from sim.beats import beat_words, input_beats
from sim.bench import JOB_VARIABLE, DesignJob, Job, Status
from sim.harness import Tap, taps_of
from sim.verilator import Build, Simulator

__all__ = ["Recording", "Stall", "Stimulus", "cut", "record"]

#: The chance of a pause in each cycle: of sources and sinks alike, or (of sources, of sinks).
Stall = float | tuple[float, float]

# A simulator takes half a second to start, so it should run for longer than that; but not for so long that nothing
# is compared until the end, or that what it recorded fills the memory. The number of cores must play no part:
# where a shard begins decides its pauses.
_SHARDS, _SMALLEST, _LARGEST = 16, 50, 1000


@dataclass(frozen=True)
class Stimulus:
    """A design and what it gets.

    Parameters
    ----------
    folder : Path
    manifest : Manifest
    codes : (samples, features) or (samples, steps, features), uint8
    start : int
        Number of the first sample, where they are a shard of more.
    """

    folder: Path
    manifest: Manifest
    codes: np.ndarray
    start: int = 0

    @cached_property
    def taps(self) -> list[Tap]:
        """The recorded streams."""
        return taps_of(self.manifest)


@dataclass(frozen=True)
class Recording:
    """What one design did with the samples from ``start`` to before ``stop``.

    Parameters
    ----------
    start, stop : int
    words : list of (words,) uint64
        Recorded at each tap, up to the number expected there.
    missing, surplus : list of int
        Beats too few and too many at each tap.
    waited : list of int
        Beats at each tap that were not taken at once.
    violations : list of (int, int)
        How often a tap saw an offered beat change before it was taken, and in which cycle first.
    deadlock : int
        Cycles without any progress, after which the run was given up; 0 if it ended by itself.
    started, finished : (samples,) int64
        Cycles of the samples' first input beats and of their results, as many as there were.
    cycles : int
        Simulated clock cycles.
    """

    start: int
    stop: int
    words: list[np.ndarray]
    missing: list[int]
    surplus: list[int]
    waited: list[int]
    violations: list[tuple[int, int]]
    deadlock: int
    started: np.ndarray
    finished: np.ndarray
    cycles: int


@dataclass(frozen=True)
class _Shard:
    """What one simulator process does: of every design, the samples of its range."""

    stimuli: Sequence[Stimulus]
    ranges: Sequence[range]
    folder: Path
    stall_probability: Stall
    seed: int

    def run(self, build: Build, simulator: Simulator, memories: Path, waves: Path | None) -> list[Recording]:
        """Simulates, and returns what each design did."""
        self.folder.mkdir()
        job = self._write_job()
        build.run(simulator, memories, self.folder, {JOB_VARIABLE: str(self.folder)}, waves)
        status_file = self.folder / "status.json"
        if not status_file.exists():
            raise ChandelierError(f"the simulator died; the end of its log: {_tail(self.folder / 'log')}")
        recordings = list(self._recordings(job, Status(**json.loads(status_file.read_text()))))
        shutil.rmtree(self.folder)
        return recordings

    def _write_job(self) -> Job:
        designs = []
        for number, (stimulus, samples) in enumerate(zip(self.stimuli, self.ranges, strict=True)):
            codes = stimulus.codes[samples.start - stimulus.start : samples.stop - stimulus.start]
            input_beats(stimulus.manifest.input, codes).tofile(self.folder / f"beats{number}")
            designs.append(
                DesignJob(
                    samples=len(samples),
                    seed=((self.seed << 24) + (number << 16) + samples.start) % (1 << 62),
                    beat_words=beat_words(stimulus.manifest.input.width),
                    tap_words=[len(samples) * tap.sets * tap.beats * tap.words for tap in stimulus.taps],
                )
            )
        both = self.stall_probability
        source, sink = both if isinstance(both, tuple) else (both, both)
        idle_limit = _idle_limit([stimulus.manifest for stimulus in self.stimuli], source, sink)
        job = Job(designs, int(source * (1 << 32)), int(sink * (1 << 32)), idle_limit)
        (self.folder / "job.json").write_text(json.dumps(asdict(job)))
        return job

    def _recordings(self, job: Job, status: Status) -> Iterator[Recording]:
        first_tap = 0
        for number, (stimulus, samples) in enumerate(zip(self.stimuli, self.ranges, strict=True)):
            own = slice(first_tap, first_tap + len(stimulus.taps))
            first_tap = own.stop
            pairs = zip(stimulus.taps, status.tap_words[own], job.designs[number].tap_words, strict=True)
            surplus = [(seen - expected) // tap.words for tap, seen, expected in pairs]
            finished = np.array(status.finished[number], np.int64)
            yield Recording(
                start=samples.start,
                stop=samples.stop,
                words=[np.fromfile(self.folder / f"tap{k}", np.uint64) for k in range(own.start, own.stop)],
                missing=[max(0, -beats) for beats in surplus],
                surplus=[max(0, beats) for beats in surplus],
                waited=status.tap_waited[own],
                violations=[(count, cycle) for count, cycle in status.violations[own]],
                deadlock=job.idle_limit if status.deadlock and len(finished) < len(samples) else 0,
                started=np.array(status.started[number], np.int64),
                finished=finished,
                cycles=status.cycles,
            )


def _idle_limit(manifests: Sequence[Manifest], source: float, sink: float) -> int:
    """Cycles that no design can need between two recorded beats: all synapses of its layers, and all of ``W_EI``.

    And a pause a hundred times as long as is to be expected.
    """
    slowest = max(
        sum(
            layer.d * math.ceil((layer.n_e + layer.n_i) / layer.folding.synapse_lanes)
            + 4 * layer.n_e * max(1, layer.n_i)
            for layer in manifest.layers
        )
        for manifest in manifests
    )
    return int((10_000 + 2 * slowest) / (1 - source) + 100 / (1 - sink))


def _tail(log: Path) -> str:
    """The last lines of a log, in one."""
    return " | ".join(log.read_text(errors="replace").splitlines()[-20:]) if log.exists() else "it left none"


def _gather_memories(stimuli: Sequence[Stimulus], folder: Path) -> None:
    """Makes one folder with the memory files of all designs, which open them by their bare names."""
    folder.mkdir()
    for stimulus in stimuli:
        for file in stimulus.manifest.files:
            if file.endswith(".mem"):
                (folder / file).symlink_to((stimulus.folder / file).resolve())


def cut(samples: int, shards: int | None = None, start: int = 0) -> list[range]:
    """The samples from ``start`` on in shards, by default as many as their number says, on every machine alike."""
    shards = shards or max(1, math.ceil(samples / min(max(samples // _SHARDS, _SMALLEST), _LARGEST)))
    return [range(start + samples * k // shards, start + samples * (k + 1) // shards) for k in range(shards)]


def record(
    build: Build,
    stimuli: Sequence[Stimulus],
    *,
    stall_probability: Stall,
    seed: int,
    waves: Path | None,
    jobs: int,
    shards: int | None = None,
) -> Generator[list[Recording], None, None]:
    """Simulates all designs with all their samples, at most ``jobs`` processes at a time.

    Yields what each design did with one shard of its samples, shard after shard. When the generator is closed, at any
    time, no process and no temporary file stays behind.

    Raises
    ------
    ChandelierError
        If a simulator dies, or there is no room for its files.
    """
    samples = max(len(stimulus.codes) for stimulus in stimuli)
    shards = len(cut(samples, 1 if waves else shards))
    cuts = zip(*(cut(len(stimulus.codes), shards, stimulus.start) for stimulus in stimuli), strict=True)
    simulators = [Simulator(build.toolchain) for _ in range(shards)]
    with (
        refusing(Path(tempfile.gettempdir())),
        tempfile.TemporaryDirectory(prefix="chandelier-") as name,
        ThreadPoolExecutor(jobs) as pool,
    ):
        folder = Path(name)
        _gather_memories(stimuli, folder / "memories")
        futures: deque[Future[list[Recording]]] = deque()
        try:
            for k, (simulator, ranges) in enumerate(zip(simulators, cuts, strict=True)):
                shard = _Shard(stimuli, ranges, folder / f"shard{k}", stall_probability, seed)
                futures.append(pool.submit(shard.run, build, simulator, folder / "memories", waves))
            while futures:
                yield futures.popleft().result()
        finally:
            for simulator in simulators:
                simulator.stop()
            for future in futures:
                future.cancel()
