"""What a worker does for a trial of a study: predict, train, measure; and place and route a design of the front."""

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hw.area import Area, estimate
from hw.devices import CAPACITIES
from hw.exact_cycles import simulate_cycles
from hw.folding import Folding, cycles_range, foldings_for
from hw.search import FILL
from hw.synthesis import synthesise
from quant.errors import ChandelierError, SetupError
from quant.golden import GoldenModel
from quant.network import IntegerNetwork
from quant.strict import Strict
from sw.activity import measure
from sw.config import Config, validated
from sw.data import Dataset, load
from sw.quantise import quantise_run
from sw.samples import dataset_codes
from sw.study import AIMS, Aim, DeviceName, Study
from sw.training import initial_network, load_run_network, train

__all__ = ["Figures", "Refused", "dominates", "route", "train_trial"]


class Figures(Strict):
    """What came of a design.

    Parameters
    ----------
    accuracy : float
        Of the integer network, on the test set.
    luts, ffs, brams, dsps : int
        Of the area model, or as placed and routed.
    device : str
        The first of the study's that holds them.
    lanes : list of Folding
    cycles : float
        From result to result, mean of a few test samples.
    clock : float
        MHz: the study's, or as placed and routed.
    energy : float, optional
        nJ a sample, of operations and memories; counted after the whole training, or where it is an aim.
    routed : bool
        Whether it was placed and routed.
    """

    accuracy: float
    luts: int
    ffs: int
    brams: int
    dsps: int
    device: DeviceName
    lanes: list[Folding]
    cycles: float
    clock: float
    energy: float | None
    routed: bool = False

    @property
    def images_per_second(self) -> float:
        """At the clock."""
        return self.clock * 1e6 / self.cycles

    def values(self, aims: list[Aim]) -> list[float]:
        """What the study is for, in its order."""
        return [float(getattr(self, aim)) for aim in aims]


class Refused(Strict):
    """Why a trial has no figures, and by what share it is too large."""

    why: str
    excess: float


def dominates(a: Figures, b: Figures, aims: list[Aim]) -> bool:
    """Whether ``a`` is as good as ``b`` in all aims, and better in one."""
    signs = [1 if AIMS[aim] else -1 for aim in aims]
    gains = [s * (x - y) for s, x, y in zip(signs, a.values(aims), b.values(aims), strict=True)]
    return min(gains) >= 0 and max(gains) > 0


@dataclass(frozen=True)
class _Plan:
    """A network's lanes, mean cycles from result to result, and area, and where it fits."""

    foldings: tuple[Folding, ...]
    cycles: float
    area: Area
    device: DeviceName


def _plan(study: Study, network: IntegerNetwork, data: Dataset, target: int) -> _Plan | Refused:
    """The lanes for ``target`` cycles, or for the fewest that there are, if they fit a device."""
    golden, codes = GoldenModel(network), dataset_codes(network, data, None)
    events = golden.events(codes)
    activity = [np.count_nonzero(own) / own.size for own in events]
    foldings = foldings_for(network, max(target, cycles_range(network, activity)[0]), activity)
    area = estimate(network, foldings)
    excess = math.inf
    for device in study.hardware.devices:
        logic, memories, multipliers = CAPACITIES[device]
        shares = (area.luts / logic / FILL, area.ffs / logic / FILL, area.brams / memories, area.dsps / multipliers)
        excess = min(excess, max(shares) - 1)
        if max(shares) <= 1:
            cycles = simulate_cycles(network, foldings, events, golden.zeros(codes))
            return _Plan(foldings, float(cycles.intervals.mean()), area, device)
    return Refused(why=f"{area} is too much for {', '.join(study.hardware.devices)}", excess=excess)


def _shortened(config: Config, share: float) -> Config:
    """The same with that share of the epochs, rounded up."""
    values = config.model_dump()
    for section in ("training", "quantisation"):
        values[section]["epochs"] = math.ceil(share * values[section]["epochs"])
    return validated(Config, values, config.name)


def train_trial(
    study: Study, config: Config, target: int, folder: str, short: bool
) -> tuple[Figures, IntegerNetwork] | Refused:
    """Trains a trial, with a share of the epochs if ``short``; measures its design with lanes for ``target`` cycles.

    A design that by prediction fits no device is refused before it is trained at all; so is one that cannot be, and one
    whose training diverges.

    Parameters
    ----------
    folder : str
        Of the run. Where it is on a file system that workers share, another one goes on after the last epoch if this
        one is lost.

    Raises
    ------
    SetupError
        If it is not the design that is wrong.
    """
    data, run = load(config.data.name), Path(folder) / ("short" if short else "full")
    try:
        return _trained(study, config, data, target, run, short=short)
    except SetupError:
        raise
    except ChandelierError as error:
        return Refused(why=str(error), excess=1.0)


def _trained(
    study: Study, config: Config, data: Dataset, target: int, run: Path, *, short: bool
) -> tuple[Figures, IntegerNetwork] | Refused:
    if short:
        config = _shortened(config, study.study.short)
        if isinstance(plan := _plan(study, initial_network(config, data), data, target), Refused):
            return plan
    accuracy = train(config, data, run, lambda *_: None)[-1]["test_accuracy"]
    if short:
        network = load_run_network(config, data, run, "quantised").integer_network(config.name)
    else:
        result = quantise_run(run, None)
        network, accuracy = result.network, result.accuracy
    if isinstance(plan := _plan(study, network, data, target), Refused):
        return plan
    energy = None
    if not short or "energy" in study.study.aims:  # which takes longer to count than all else here
        energy = measure(network, config.data.name, None, foldings=plan.foldings).energy / 1000
    figures = Figures(
        accuracy=float(accuracy),  # type: ignore[arg-type]
        **vars(plan.area),
        device=plan.device,
        lanes=list(plan.foldings),
        cycles=plan.cycles,
        clock=study.hardware.clock,
        energy=energy,
    )
    return figures, network


def route(study: Study, network: IntegerNetwork, figures: Figures) -> Figures | Refused:
    """The figures with area and clock as placed and routed, on the device of the estimate or the next that it fits.

    Raises
    ------
    SetupError
        If it is not the design that is wrong.
    """
    devices = study.hardware.devices[study.hardware.devices.index(figures.device) :]
    said = ""
    for device in devices:
        try:
            with tempfile.TemporaryDirectory(prefix="chandelier-") as scratch:
                report = synthesise(network, Path(scratch) / "design", device=device, foldings=figures.lanes)
        except SetupError:
            raise
        except ChandelierError as error:
            said = str(error)
            continue
        used = {kind: usage.used for kind, usage in report.resources.items()}
        area = Area(luts=used["LUT"], ffs=used["FF"], brams=used["BRAM"], dsps=used["DSP"])
        assert report.clocks is not None
        return figures.model_copy(update={**vars(area), "device": device, "clock": report.clocks[1], "routed": True})
    return Refused(why=said, excess=1.0)
