"""What a report measures itself, of what no verb leaves a file: the golden model on the test set, and one sample."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hw.folding import Foldings, default_foldings
from hw.rtl import write_rtl
from quant.errors import ChandelierError
from quant.golden import GoldenModel
from quant.network import IntegerNetwork
from sim.cosim import simulated_signals
from sw.activity import Measurement, measure
from sw.data import Dataset
from sw.quantise import phase_accuracy
from sw.report.evidence import Evidence
from sw.report.signals import LayerSignals, layer_signals
from sw.samples import dataset_codes

__all__ = ["Results", "Sample", "run"]

#: Signals of a single sample that are drawn.
_DRAWN = ("spike", "u", "v")


@dataclass(frozen=True)
class Sample:
    """A sample of the test set, and what golden model and hardware make of it.

    ``golden`` and ``simulated`` are (layer, signal) -> (steps or 1, values), ``simulated`` of what the design is probed
    for, and ``None`` if it was not simulated.
    """

    number: int
    label: int
    codes: np.ndarray
    predicted: int
    logits: np.ndarray
    golden: Mapping[tuple[int, str], np.ndarray]
    simulated: Mapping[tuple[int, str], np.ndarray] | None

    def wrong(self, layer: int) -> np.ndarray | None:
        """Where the spikes of a layer differ, (steps, values); ``None`` if nothing was simulated."""
        if self.simulated is None:
            return None
        different: np.ndarray = self.simulated[layer, "spike"] != self.golden[layer, "spike"]
        return different


@dataclass(frozen=True)
class Results:
    """What came of the test set.

    Parameters
    ----------
    data : Dataset
    float_accuracy : float, optional
        Of the network before quantisation, if there is one.
    classes : (samples,)
        What the golden model takes every test sample for.
    samples : int
        How many of them ``layers`` and ``measured`` are of, the first ones.
    layers : list of LayerSignals
    foldings : sequence of Folding, or "spatial"
        Of the design that is there, or those that it would have by default.
    measured : Measurement, optional
        Cycles and operations with these; not of a fully spatial design, nor of what does not become hardware.
    sample : Sample
    """

    data: Dataset
    float_accuracy: float | None
    classes: np.ndarray
    samples: int
    layers: list[LayerSignals]
    foldings: Foldings
    measured: Measurement | None
    sample: Sample

    def accuracy(self, samples: int | None = None) -> float:
        """Share of the first ``samples``, or of all, that the golden model takes for what they are."""
        return float((self.classes == self.data.y_test)[:samples].mean())

    @property
    def confusion(self) -> np.ndarray:
        """(label, class) -> test samples."""
        counts = np.zeros((self.data.classes, self.data.classes), np.int64)
        np.add.at(counts, (self.data.y_test, self.classes), 1)
        return counts


def run(
    evidence: Evidence,
    network: IntegerNetwork,
    dataset: Dataset,
    data: str,
    *,
    samples: str | None,
    sample: int,
    simulate: bool,
    say: Callable[[str], None],
) -> Results:
    """Measures what a report shows.

    Parameters
    ----------
    data : str
        What ``dataset`` was loaded as.
    samples : str, optional
        Test samples whose signals are looked at: a number, ``all``, or by default a few; accuracy is of them all.
    sample : int
        The one that is drawn.
    simulate : bool
        Whether the design is simulated with it.
    say
        Is told what begins.

    Raises
    ------
    ChandelierError
        If the data do not fit the network, or there is no such sample.
    """
    codes = dataset_codes(network, dataset, "all")
    if not 0 <= sample < len(codes):
        raise ChandelierError(f"--sample must be 0..{len(codes) - 1}, the test samples of {data}, not {sample}")
    few = dataset_codes(network, dataset, samples)
    say(f"golden model: {len(codes):,} test samples of {data}")
    classes = GoldenModel(network).classify(codes)
    say(f"signals, cycles and operations: {len(few):,} samples")
    foldings = evidence.design.foldings if evidence.design else default_foldings(network)
    try:
        measured = None if foldings == "spatial" else measure(network, data, samples, foldings=foldings)
    except ChandelierError:  # of a network that does not become hardware, as the page says
        measured = None
    floating = None
    if evidence.run is not None and evidence.config is not None:
        floating = phase_accuracy(evidence.run, evidence.config, dataset, "float")
    return Results(
        data=dataset,
        float_accuracy=floating,
        classes=classes,
        samples=len(few),
        layers=layer_signals(network, few),
        foldings=foldings,
        measured=measured,
        sample=_sample(evidence, network, codes, dataset, sample, foldings if simulate else None, say),
    )


def _sample(
    evidence: Evidence,
    network: IntegerNetwork,
    codes: np.ndarray,
    dataset: Dataset,
    number: int,
    simulated: Foldings | None,
    say: Callable[[str], None],
) -> Sample:
    """One sample in golden model and, in a design with these foldings, in hardware."""
    one = codes[number : number + 1]
    trace, signals = GoldenModel(network).run(one, _DRAWN), None
    if simulated is not None:
        say("simulating the design with one sample; the simulator is built, unless it has been built before")
        with tempfile.TemporaryDirectory(prefix="chandelier-") as scratch:
            folder = evidence.design.folder if evidence.design else Path(scratch) / "rtl"
            if not evidence.design:
                write_rtl(network, folder, foldings=simulated)
            signals = {key: values[0] for key, values in simulated_signals(folder, one).items()}
    return Sample(
        number=number,
        label=int(dataset.y_test[number]),
        codes=one[0],
        predicted=int(trace.classes[0]),
        logits=trace.logits[0],
        golden={key: values[0] for key, values in trace.signals.items()},
        simulated=signals,
    )
