"""Speed side by side: training against the paper's formulation, the golden model against the float model.

Times are medians of interleaved rounds, so that other load hits both alike. ``OMP_NUM_THREADS`` sets the threads.
"""

import time
from collections.abc import Callable, Iterator
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.reference_formulation import ReferenceNetwork
from quant.golden import GoldenModel
from quant.network import Input
from quant.quantisers import Scheme
from sw.console import exit_on_error
from sw.network import SpikingNetwork

ROUNDS = 9
BATCH = 128
Case = tuple[str, str | list[int | str], tuple[int, int, int], int]
CASES: tuple[Case, ...] = (
    ("784-128-10, T = 2", [128], (28, 28, 1), 2),
    ("lenet, T = 4", "lenet", (28, 28, 1), 4),
)
LARGE: Case = ("vgg8 at CIFAR shape, T = 4", "vgg8", (32, 32, 3), 4)


def build(case: Case) -> tuple[SpikingNetwork, Tensor]:
    """A network after E-I Init, and a batch like MNIST: a fifth of the codes is not zero."""
    _, hidden, shape, steps = case
    generator = torch.Generator().manual_seed(0)
    features = shape[0] * shape[1] * shape[2]
    size = BATCH if case is not LARGE else 16
    x = torch.randint(1, 256, (size, features), generator=generator).float()
    x *= torch.rand(size, features, generator=generator) < 0.2
    network = SpikingNetwork(Input(features, 8, shape=shape), hidden, 10, steps=steps)
    network.initialise(x, generator)
    return network, x


def step(network: nn.Module, x: Tensor, clamp: Callable[[], None]) -> Callable[[], None]:
    """One step of training."""
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-5, momentum=0.9)
    labels = torch.arange(len(x)) % 10

    def run() -> None:
        loss = cross_entropy(network(x), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        clamp()

    return run


def medians(*runs: Callable[[], object]) -> list[float]:
    """Seconds of each, measured in turns."""
    seconds: list[list[float]] = [[] for _ in runs]
    for turn in range(ROUNDS + 2):
        for run, record in zip(runs, seconds, strict=True):
            started = time.perf_counter()
            run()
            if turn >= 2:  # the first ones warm up
                record.append(time.perf_counter() - started)
    return [median(record) for record in seconds]


def training(case: Case) -> str:
    """A line: the paper's formulation, ours, and ours quantisation-aware."""
    network, x = build(case)
    reference = ReferenceNetwork(network)
    quantised, _ = build(case)
    quantised.quantise(Scheme())
    runs = [step(reference, x, lambda: None), step(network, x, network.clamp), step(quantised, x, quantised.clamp)]
    theirs, ours, aware = medians(*runs)
    figures = f"{1e3 * theirs:.1f} | {1e3 * ours:.1f} | {1e3 * aware:.1f} | {theirs / ours:.2f} | {theirs / aware:.2f}"
    return f"| {case[0]} | {figures} |"


def golden(case: Case) -> str:
    """A line: samples a second of the float model's forward pass, and of the golden model."""
    network, x = build(case)
    quantised, _ = build(case)
    quantised.quantise(Scheme())
    model, codes = GoldenModel(quantised.integer_network("speed")), x.to(torch.uint8).numpy()
    network.eval()

    def forward() -> None:
        with torch.no_grad():
            network(x)

    floating, integer = medians(forward, lambda: model.run(codes))
    rates = f"{len(x) / floating:.0f} | {len(x) / integer:.0f} | {floating / integer:.2f}"
    return f"| {case[0]} | {rates} |"


def lines() -> Iterator[str]:
    """Both tables."""
    yield f"{torch.get_num_threads()} threads, medians of {ROUNDS} interleaved rounds\n"
    yield "| training step, 128 samples | paper's, ms | ours, ms | ours, QAT, ms | paper's / ours | paper's / QAT |"
    yield "| --- | --- | --- | --- | --- | --- |"
    yield from map(training, CASES)
    yield "\n| forward, samples a second | float model | golden model | golden / float |\n| --- | --- | --- | --- |"
    yield from map(golden, (*CASES, LARGE))


if __name__ == "__main__":
    with exit_on_error():
        torch.set_flush_denormal(True)
        for line in lines():
            print(line, flush=True)
