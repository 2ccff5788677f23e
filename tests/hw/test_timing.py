"""Each component against its timing: with random pauses on both sides, every beat passes when the model says so."""

import random
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle
from typing import Any

import numpy as np
import pytest
from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.accumulator import SynapseAccumulator
from hw.divisive import DivisiveInhibition
from hw.encoder import EventEncoder
from hw.floor import FloorStabiliser
from hw.geometry import Walk
from hw.global_inhibition import GlobalInhibition
from hw.layouts import event_layout
from hw.lif import LIFCore
from hw.map_timing import ForkTiming, MergeTiming, PlacerTiming, ScannerTiming, SplitterTiming, WindowTiming
from hw.packing import ceil_div
from hw.placer import EventPlacer
from hw.population import PopulationUnit
from hw.readout import Readout
from hw.replay import Replay
from hw.routing import EventFork, EventMerge
from hw.scaling import Scaling
from hw.scanner import MapScanner
from hw.serialiser import Serialiser
from hw.splitter import WordSplitter
from hw.stabiliser import Stabiliser
from hw.timing import (
    DivisiveTiming,
    EncoderTiming,
    EventTiming,
    GlobalTiming,
    LIFTiming,
    PopulationTiming,
    ReadoutTiming,
    ReplayTiming,
    RigidTiming,
    SerialiserTiming,
    StabiliserTiming,
    SynapseTiming,
    Take,
)
from hw.window_accumulator import WindowAccumulator
from quant.formats import Format
from quant.maps import Window
from quant.reciprocal import Reciprocal
from tests.hw.exchange import exchange
from tests.hw.test_geometry import together

#: Beats of each run, or time steps where a beat is a whole one.
BEATS, STEPS = 90, 16
U4, U8, S8, S12, S16, S24 = (Format.parse(f"{name}.0") for name in ("u4", "u8", "s8", "s12", "s16", "s24"))
MEMBRANE = Format.parse("s10.6")


@dataclass
class Sink:
    """What takes beats in the cycles in which it is ``ready``, and notes when: it stands for the next component."""

    ready: list[int]
    received: list[int] = field(default_factory=list)

    def event(self, offered: int) -> int:
        """A beat of any kind."""
        self.received.append(self.ready[bisect_left(self.ready, offered)])
        return self.received[-1]

    marker = event


#: A component, its input beats as vectors of bits, how many beats come out, and its timing before a sink.
Case = tuple[Any, list[int], int, Callable[[Sink], Take]]


def _noise(rng: random.Random, dut: Any, beats: int) -> list[int]:
    return [rng.getrandbits(dut.i.p.shape().size) for _ in range(beats)]


def _lanes(rng: random.Random, most: int = 9) -> tuple[int, int, int]:
    """Neurons, lanes, and beats of a frame."""
    n = rng.randint(1, most)
    lanes = rng.randint(1, n)
    return n, lanes, ceil_div(n, lanes)


def _of_kinds(taker: EventTiming, markers: Iterable[bool], work: Callable[[], None] | None = None) -> Take:
    """Offers beats of two kinds, in their order; markers are followed by ``work``."""
    kinds = iter(markers)

    def take(offered: int) -> int:
        if not next(kinds):
            return taker.event(offered)
        passed = taker.marker(offered)
        if work:
            work()
        return passed

    return take


def _scaling(rng: random.Random) -> Case:
    n, lanes, _ = _lanes(rng)
    shared = {"gain_e_bits": 4, "shift": 3, "membrane": MEMBRANE, "bal": S12, "product": S24}
    dut = Scaling(lanes=lanes, g_e=[3] * n, b_e=[1] * n, **shared)  # type: ignore[arg-type]
    return dut, _noise(rng, dut, BEATS), BEATS, lambda sink: RigidTiming(Scaling.LATENCY, sink.event).take


def _floor(rng: random.Random) -> Case:
    dut = FloorStabiliser(lanes=2, bal=S12, d=U8, floor=9)
    return dut, _noise(rng, dut, BEATS), BEATS, lambda sink: RigidTiming(FloorStabiliser.LATENCY, sink.event).take


def _synapses(rng: random.Random) -> Case:
    n_e, n_i, d = rng.randint(1, 5), rng.randint(0, 3), rng.randint(4, 9)
    row = n_e + n_i
    events = rng.choice([1, 1, 2, 3])
    lanes = rng.randint(1, row) if events == 1 else row * events
    w_ee, w_ie = np.ones((n_e, d), np.uint8), np.ones((n_i, d), np.uint8)
    shared: dict[str, Any] = {"synapse": Format(1), "value_bits": 1, "i_ee": U8, "i_ie": U8}
    dut = SynapseAccumulator(w_ee=w_ee, w_ie=w_ie, lanes=lanes, **shared)
    marker = 1 << dut.i.p.shape().size - 1  # beats of events are of input 0 of each part
    beats = [b for _ in range(STEPS) for b in [0] * rng.choice([0, 1, 3, 20]) + [marker]]

    def timing(sink: Sink) -> Take:
        synapses = SynapseTiming(ceil_div(row, lanes), events, sink.event)
        return _of_kinds(synapses, map(bool, beats), synapses.work)

    return dut, beats, STEPS, timing


def _inhibition(rng: random.Random, unit: Any, model: Any) -> Case:
    n_e, n_i = rng.randint(1, 40), rng.randint(1, 6)
    p, n = rng.randint(1, n_i), rng.randint(1, n_e)
    shared: dict[str, Any] = {"a": 2, "i_ee": U8, "i_ie": U8, "bal": S16, "inhibition_bits": 1}
    dut = unit(w_ei=np.ones((n_e, n_i), np.uint8), population_lanes=p, neuron_lanes=n, **shared)
    chunks, groups = ceil_div(n_i, p), ceil_div(n_e, n)
    return dut, _noise(rng, dut, STEPS), STEPS * groups, lambda sink: model(chunks, groups, sink.event).take


def _population(rng: random.Random) -> Case:
    return _inhibition(rng, PopulationUnit, PopulationTiming)


def _global(rng: random.Random) -> Case:
    return _inhibition(rng, GlobalInhibition, GlobalTiming)


def _serialiser(rng: random.Random) -> Case:
    n, lanes, groups = _lanes(rng)
    dut = Serialiser(n=n, lanes=lanes, a=3, i_ee=U8, bal=S12)
    return dut, _noise(rng, dut, STEPS), STEPS * groups, lambda sink: SerialiserTiming(groups, sink.event).take


def _stabiliser(rng: random.Random) -> Case:
    n, lanes, beats = _lanes(rng)
    dut = Stabiliser(n=n, lanes=lanes, bal=S12, d=U8)
    neuron, some = dut.i.p.shape().elem_shape, rng.choice([0.05, 0.3])
    zeros = [[rng.random() < some for _ in range(lanes)] for _ in range(STEPS * beats)]
    one = 1 << neuron["d"].offset
    vectors = [sum(one << k * neuron.size for k, zero in enumerate(beat) if not zero) for beat in zeros]
    return dut, vectors, len(vectors), lambda sink: StabiliserTiming(beats, map(any, zeros), sink.event).take


def _divisive(rng: random.Random) -> Case:
    n, lanes, _ = _lanes(rng)
    shared: dict[str, Any] = {"gain_e_bits": 4, "shift": 3, "membrane": MEMBRANE, "bal": S12, "product": S24, "d": U8}
    dut = DivisiveInhibition(lanes=lanes, g_e=[3] * n, b_e=[1] * n, reciprocal=Reciprocal(4, 8), **shared)
    return dut, _noise(rng, dut, BEATS), BEATS, lambda sink: DivisiveTiming(sink.event).take


def _replay(rng: random.Random) -> Case:
    n, lanes, beats = _lanes(rng)
    times = rng.randint(2, 4)
    dut, count = Replay(n=n, lanes=lanes, current=MEMBRANE, times=times), STEPS * beats

    def timing(sink: Sink) -> Take:
        replay, ends = ReplayTiming(beats, sink.event), cycle([False] * (beats - 1) + [True])

        def take(offered: int) -> int:
            passed = replay.take(offered)
            for _ in range(times - 1 if next(ends) else 0):
                replay.repeat()
            return passed

        return take

    return dut, _noise(rng, dut, count), times * count, timing


def _lif(rng: random.Random) -> Case:
    n, lanes, beats = _lanes(rng, most=4)
    dut, count = LIFCore(n=n, lanes=lanes, steps=3, membrane=MEMBRANE, tau_shift=1, theta=64), BEATS // beats * beats
    return dut, _noise(rng, dut, count), count, lambda sink: LIFTiming(beats, sink.event).take


def _encoder(rng: random.Random) -> Case:
    events = rng.choice([1, 1, 2, 3])
    groups, beats = rng.randint(1, 4), rng.randint(1, 4)
    lanes = groups * events
    dut = EventEncoder(n=lanes * beats, lanes=lanes, membrane=MEMBRANE, events=events)
    neuron = dut.i.p.shape().elem_shape
    spikes = np.array([[rng.random() < 0.3 for _ in range(lanes)] for _ in range(STEPS * beats)])
    place = neuron["spike"].offset
    vectors = [sum(1 << k * neuron.size + place for k in np.flatnonzero(beat).tolist()) for beat in spikes]
    counts = spikes.reshape(len(spikes), groups, events).sum(1).max(1).tolist()

    def timing(sink: Any) -> Take:
        return EncoderTiming(beats, iter(counts), sink).take

    return dut, vectors, STEPS, timing


def _walk(rng: random.Random, channels: Sequence[int] = (1, 2, 3)) -> Walk:
    source = rng.randint(1, 6), rng.randint(1, 6), rng.choice(channels)
    pool = rng.randint(1, min(2, source[0])), rng.randint(1, min(2, source[1]))
    if rng.random() < 0.2:
        return Walk(source, pool)
    kernel = rng.randint(1, min(4, source[0] // pool[0])), rng.randint(1, min(4, source[1] // pool[1]))
    padding = rng.randrange(kernel[0]), rng.randrange(kernel[1])
    return Walk(source, pool, Window(kernel, (rng.randint(1, 3), rng.randint(1, 3)), padding))


def _steps(rng: random.Random, walk: Walk) -> Walk:
    """The walk, perhaps over several time steps that are gathered together."""
    if rng.random() < 0.4:
        return walk
    return replace(walk, steps=rng.randint(2, 3), row_major=rng.random() < 0.5, row_major_source=rng.random() < 0.5)


def _events(
    rng: random.Random, dut: Any, most: int, steps: int = STEPS, at_once: int = 1
) -> tuple[list[dict[str, Any]], list[int]]:
    """Beats of up to ``most`` events a step, or groups of them, and their vectors of bits."""
    layout, beats = dut.i.p.shape(), list[dict[str, Any]]()
    for _ in range(steps):
        count = rng.choice([0, 1, rng.randint(0, most)])
        value = 1 if at_once == 1 else [1] * at_once
        beats += [{"index": rng.randrange(most), "value": value, "last": 0} for _ in range(count)]
        beats.append({"index": 0, "value": value, "last": 1})
    return beats, [layout.const(beat).as_bits() for beat in beats]


def _placer(rng: random.Random) -> Case:
    walk = _steps(rng, _walk(rng))
    at_once = rng.choice(together(walk))
    dut, kept = EventPlacer(walk=walk, value_bits=1, events=at_once), walk.positions()[::at_once] >= 0
    beats, vectors = _events(rng, dut, walk.events // at_once, STEPS // walk.markers * walk.markers, at_once)
    goes_on = [bool(kept[beat["index"]]) for beat in beats if not beat["last"]]

    def timing(sink: Sink) -> Take:
        placer = PlacerTiming(walk, at_once, iter(goes_on), sink)
        return _of_kinds(placer, [beat["last"] == 1 for beat in beats])

    return dut, vectors, STEPS // walk.markers, timing


def _scanner(rng: random.Random) -> Case:
    walk = _steps(rng, _walk(rng))
    dut = MapScanner(walk=walk, value_bits=1, sum_bits=9)
    place = {"word": walk.depth - 1, "group": walk.lanes - 1, "value": [1]}
    markers = [last for _ in range(STEPS) for last in [False] * rng.choice([0, 1, 9, 2 * walk.visits]) + [True]]
    vectors = [dut.i.p.shape().const(place | {"last": last}).as_bits() for last in markers]

    def timing(sink: Sink) -> Take:
        scanner = ScannerTiming(walk, sink.event)

        def work() -> None:
            for _ in range(walk.turns):
                scanner.work()

        return _of_kinds(scanner, markers, work)

    return dut, vectors, STEPS * walk.steps * walk.output[0] * walk.columns, timing


def _splitter(rng: random.Random) -> Case:
    events, words = rng.choice([1, 1, 2, 3, 4]), rng.choice([1, 2, 5, 30])
    lanes, density = events * rng.randint(1, 4), rng.choice([0.1, 0.3, 0.9])
    dut = WordSplitter(words=words, lanes=lanes, value_bits=1, events=events)
    lit = np.array([[rng.random() < density for _ in range(lanes)] for _ in range(STEPS * words)])
    counts, vectors = [], []
    for number, values in enumerate(lit):
        word = {"word": number % words, "values": values.tolist(), "last": number % words == words - 1}
        vectors.append(dut.i.p.shape().const(word).as_bits())
        parts = (np.arange(lanes) + number % words) % events
        counts.append([int(values[parts == part].sum()) for part in range(events)])
    return dut, vectors, STEPS, lambda sink: SplitterTiming(words, iter(counts), events, sink).take


def _window(rng: random.Random) -> Case:
    walk, n_e, n_i = _walk(rng, channels=(2, 4)), rng.randint(1, 3), rng.randint(0, 1)
    row = walk.taps * (n_e + n_i)
    events = rng.choice([1, 1, 2])
    lanes = rng.randint(1, row) if events == 1 else row * events
    d = walk.rows * (walk.window or Window(walk.shape[:2], walk.shape[:2])).kernel[1] * walk.shape[2]
    w_ee, w_ie = np.ones((n_e, d), np.uint8), np.ones((n_i, d), np.uint8)
    shared: dict[str, Any] = {"synapse": Format(1), "value_bits": 1, "i_ee": S16, "i_ie": S16}
    dut = WindowAccumulator(walk=walk, w_ee=w_ee, w_ie=w_ie, lanes=lanes, **shared)
    columns = 3 * walk.output[0] * walk.columns
    markers = [last for _ in range(columns) for last in [False] * rng.choice([0, 0, 1, 3, 20]) + [True]]
    vectors = [last << dut.i.p.shape().size - 1 for last in markers]

    def timing(sink: Sink) -> Take:
        return _of_kinds(WindowTiming(walk, ceil_div(row, lanes), events, sink.event), markers)

    return dut, vectors, 3 * walk.output[0] * walk.output[1], timing


class _Residual(wiring.Component):
    """A source whose events come by a short cut, and then the words of a map, of one column, that they are added to."""

    i: stream.Interface
    o: stream.Interface

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        event = event_layout(walk.visits, 1)
        super().__init__({"i": In(stream.Signature(event)), "o": Out(stream.Signature(event))})

    def elaborate(self, platform: object) -> Module:
        m, event = Module(), self.i.p.shape()
        m.submodules.fork = fork = EventFork(event=event, outputs=2)
        m.submodules.scanner = scanner = MapScanner(walk=self._walk, value_bits=1, sum_bits=1)
        m.submodules.merge = merge = EventMerge(event=event, inputs=2)
        wiring.connect(m, wiring.flipped(self.i), fork.i)
        wiring.connect(m, fork.o[1], merge.i[0])
        for source, taker in (fork.o[0], scanner.i), (scanner.o, merge.i[1]):
            m.d.comb += [taker.valid.eq(source.valid), taker.p.last.eq(source.p.last), source.ready.eq(taker.ready)]
        wiring.connect(m, merge.o, wiring.flipped(self.o))
        return m


def _residual(rng: random.Random) -> Case:
    walk = Walk((rng.randint(1, 20), 1, 1))
    dut = _Residual(walk)
    beats, vectors = _events(rng, dut, walk.visits)

    def timing(sink: Sink) -> Take:
        first, second = MergeTiming(2, sink).inputs
        words = _of_kinds(second, cycle([False] * (walk.visits - 1) + [True]))
        scanner = ScannerTiming(walk, words)
        return _of_kinds(ForkTiming([first, scanner]), [beat["last"] == 1 for beat in beats], scanner.work)

    return dut, vectors, STEPS, timing


def _readout(rng: random.Random) -> Case:
    n, lanes, beats = _lanes(rng)
    steps = rng.randint(1, 3)
    dut = Readout(n=n, lanes=lanes, steps=steps, bal=S12, logit=S16)

    def timing(sink: Sink) -> Take:
        readout = ReadoutTiming(beats * steps, lanes)
        sink.received = readout.results
        return readout.take

    return dut, _noise(rng, dut, STEPS * beats * steps), STEPS, timing


CASES = (_scaling, _floor, _synapses, _population, _global, _serialiser, _stabiliser, _divisive, _replay, _lif)
MAP_CASES = (_placer, _scanner, _splitter, _window, _residual)


def _ends_step(beat: Any) -> bool:
    """Whether an output beat counts: of beats of two kinds the markers."""
    return not isinstance(beat, dict) or bool(beat.get("last", 1))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("case", [*CASES, *MAP_CASES, _encoder, _readout])
def test_every_beat_passes_when_the_model_says(case: Callable[[random.Random], Case], seed: int) -> None:
    dut, vectors, outputs, timing = case(random.Random(seed))
    layout = dut.i.p.shape()
    # The readout's model is of a taker that is always ready, as that of a network is.
    stall = 0.0 if case is _readout else (0.0, 0.3, 0.7)[seed % 3]
    result = exchange(dut, map(layout.from_bits, vectors), outputs, seed=seed, stall=stall, counts=_ends_step)
    sink = Sink(result.ready)
    take, offers = timing(sink), iter(result.offered)
    passed = _passed(take, offers, first=1 if case is _scaling else 0)
    count = len(result.sent)
    assert passed[:count] == result.sent, f"seed {seed}"
    assert sink.received == result.received, f"seed {seed}"


def _passed(take: Take, offers: Iterator[int], first: int) -> list[int]:
    """When the beats pass; a component that reads a memory first takes nothing before the cycle ``first``."""
    return [take(max(offered, first)) for offered in offers]
