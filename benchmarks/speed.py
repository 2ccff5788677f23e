"""Speed side by side: training against the paper's formulation, the golden model against the float model.

Times are those of the processor, all threads added up (``OMP_NUM_THREADS`` sets how many): medians of rounds in which
all take turns. Ratios are medians of the rounds' ratios, so that what other load does to the caches hits all alike.
Before anything is timed, the paper's formulation and ours train for a few steps in float64: logits and losses have to
be the same.
"""

import sys
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

sys.path.insert(0, str(Path(__file__).parents[1]))  # for when this file is what Python was given

from benchmarks.reference_formulation import ReferenceNetwork
from quant.errors import ChandelierError
from quant.golden import GoldenModel, first_argmax
from quant.network import Input
from quant.quantisers import Scheme
from sw.console import Update, exit_on_error, progress_bars
from sw.network import SpikingNetwork

ROUNDS = 9
#: What a single measurement takes at least: what is quick is repeated.
SECONDS = 0.1
BATCH = 128
#: Steps of training, and samples of each, in which the formulations are compared, and the largest difference allowed.
SAME_STEPS, SAME_BATCH, SAME = 8, 32, 1e-9
Case = tuple[str, str | list[int | str], tuple[int, int, int], int]
CASES: tuple[Case, ...] = (
    ("784-128-10, T = 2", [128], (28, 28, 1), 2),
    ("784-128-10, T = 4", [128], (28, 28, 1), 4),
    ("lenet, T = 4", "lenet", (28, 28, 1), 4),
)
LARGE: Case = ("vgg8 at CIFAR shape, T = 4", "vgg8", (32, 32, 3), 4)


def build(case: Case, size: int = BATCH) -> tuple[SpikingNetwork, Tensor]:
    """A network after E-I Init, and a batch like MNIST: a fifth of the codes is not zero."""
    _, hidden, shape, steps = case
    generator = torch.Generator().manual_seed(0)
    features = shape[0] * shape[1] * shape[2]
    x = torch.randint(1, 256, (size, features), generator=generator).float()
    x *= torch.rand(size, features, generator=generator) < 0.2
    network = SpikingNetwork(Input(features, 8, shape=shape), hidden, 10, steps=steps)
    network.initialise(x, generator)
    return network, x


def step(network: nn.Module, x: Tensor, clamp: Callable[[], None], rate: float = 1e-5) -> Callable[[], Tensor]:
    """One step of training, which returns the loss before it."""
    optimiser = torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9)
    labels = torch.arange(len(x)) % 10

    def run() -> Tensor:
        loss = cross_entropy(network(x), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        clamp()
        return loss.detach()

    return run


def sameness(case: Case) -> str:
    """A line: how far the two formulations are apart in float64."""
    network, x = build(case)
    network, x = network.double(), x[:SAME_BATCH].double()
    reference = ReferenceNetwork(network)
    apart = float((network(x) - reference(x)).detach().abs().max())
    ours, theirs = step(network, x, network.clamp, 1e-3), step(reference, x, lambda: None, 1e-3)
    losses = [(float(ours()), float(theirs())) for _ in range(SAME_STEPS)]
    drift = max(abs(a - b) for a, b in losses)
    if not max(apart, drift) < SAME:
        raise ChandelierError(f"{case[0]}: logits are {apart} apart and losses {drift}, where {SAME} is allowed")
    return f"| {case[0]} | {apart:.1e} | {drift:.1e} | {losses[0][0]:.4f} to {losses[-1][0]:.4f} |"


def _seconds(run: Callable[[], object], repeats: int) -> float:
    started = time.process_time()
    for _ in range(repeats):
        run()
    return (time.process_time() - started) / repeats


def rounds(name: str, progress: Update, *runs: Callable[[], object]) -> list[list[float]]:
    """Seconds of each in every round, measured in turns after a first round that warms up."""
    repeats = [max(1, round(SECONDS / _seconds(run, 2))) for run in runs]
    seconds: list[list[float]] = [[] for _ in runs]
    for done in range(ROUNDS):
        for run, times, record in zip(runs, repeats, seconds, strict=True):
            record.append(_seconds(run, times))
        progress(name, done + 1, ROUNDS, "")
    return seconds


def ratio(a: list[float], b: list[float]) -> float:
    """The median of the rounds' ratios."""
    return median(x / y for x, y in zip(a, b, strict=True))


def training(case: Case, progress: Update) -> str:
    """A line: the paper's formulation, ours, and ours quantisation-aware."""
    network, x = build(case)
    reference, quantised = ReferenceNetwork(network), deepcopy(network)
    quantised.quantise(Scheme())
    runs = [step(reference, x, lambda: None), step(network, x, network.clamp), step(quantised, x, quantised.clamp)]
    theirs, ours, aware = rounds(f"training {case[0]}", progress, *runs)
    times = " | ".join(f"{1e3 * median(seconds):.1f}" for seconds in (theirs, ours, aware))
    return f"| {case[0]} | {times} | {ratio(theirs, ours):.2f} | {ratio(theirs, aware):.2f} |"


def golden(case: Case, progress: Update) -> str:
    """A line: samples a second of the float model, from the same codes to classes, and of the golden model.

    Both in the golden model's batches of a test set, which are smaller where maps are large.
    """
    network, x = build(case, 16 if case is LARGE else BATCH if isinstance(case[1], str) else 1000)
    quantised = deepcopy(network)
    quantised.quantise(Scheme())
    model, codes = GoldenModel(quantised.integer_network("speed")), x.to(torch.uint8).numpy()
    network.eval()

    size = len(next(iter(model.batches(codes))).classes)

    def forward() -> list[Tensor]:
        with torch.no_grad():
            return [first_argmax(network(part.float())) for part in torch.from_numpy(codes).split(size)]

    floating, integer = rounds(f"forward {case[0]}", progress, forward, lambda: model.classify(codes))
    rates = f"{len(x) / median(floating):.0f} | {len(x) / median(integer):.0f} | {ratio(floating, integer):.2f}"
    return f"| {case[0]} | {rates} |"


def lines(progress: Update) -> Iterator[str]:
    """All tables."""
    yield f"| float64, {SAME_STEPS} steps | logits differ by | losses differ by | loss |\n| --- | --- | --- | --- |"
    yield from map(sameness, CASES)
    yield f"\n{torch.get_num_threads()} threads, processor time, medians of {ROUNDS} interleaved rounds\n"
    yield "| training step, 128 samples | paper's, ms | ours, ms | ours, QAT, ms | paper's / ours | paper's / QAT |"
    yield "| --- | --- | --- | --- | --- | --- |"
    yield from (training(case, progress) for case in CASES)
    yield "\n| forward, samples a second | float model | golden model | golden / float |\n| --- | --- | --- | --- |"
    yield from (golden(case, progress) for case in (*CASES, LARGE))


if __name__ == "__main__":
    with exit_on_error():
        torch.set_flush_denormal(True)
        with progress_bars() as progress:
            table = list(lines(progress))
        print("\n".join(table))
