"""Lanes of a design, from the options of a verb."""

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from quant.errors import ChandelierError
from quant.network import IntegerNetwork
from sw.cli.options import Fold

if TYPE_CHECKING:
    from hw.folding import Foldings

__all__ = ["chosen_activity", "chosen_foldings"]


def chosen_activity(
    network: IntegerNetwork, target: int | None, device: str | None, data: str | None
) -> "list[float] | None":
    """What ``--target-cycles`` and ``--device`` reckon with: the activity on a data set; unknown without one."""
    if data is None or (target is None and device is None):
        return None
    from sw.activity import activity_of

    return activity_of(network, data)


def chosen_foldings(
    network: IntegerNetwork,
    target: int | None,
    synapse_lanes: str | None,
    population_lanes: str | None,
    neuron_lanes: str | None,
    *,
    fold: Fold = Fold.EVENTS,
    activity: "list[float] | None" = None,
) -> "Foldings":
    """The default folding of each layer, or one for ``target``, with what ``--synapse-lanes 160,8`` and the like say.

    One number stands for all layers. A fully spatial design has no foldings.
    """
    from hw.folding import check_foldings, default_foldings, foldings_for

    lanes = {"synapse_lanes": synapse_lanes, "population_lanes": population_lanes, "neuron_lanes": neuron_lanes}
    if fold is Fold.SPATIAL:
        for name, value in {"target_cycles": target, **lanes}.items():
            if value is not None:
                option = f"--{name.replace('_', '-')}"
                raise ChandelierError(f"{option} {value} does not go with --fold spatial, which has all lanes")
        return "spatial"
    foldings = list(default_foldings(network) if target is None else foldings_for(network, target, activity))
    for name, text in lanes.items():
        if text is None:
            continue
        counts = text.split(",")
        counts = counts * len(foldings) if len(counts) == 1 else counts
        if len(counts) != len(foldings) or not all(re.fullmatch(r"\s*\d{1,9}\s*", count) for count in counts):
            option = f"--{name.replace('_', '-')}"
            raise ChandelierError(f"{option} takes one number, or one for each of {len(foldings)} layers, not {text}")
        foldings = [replace(f, **{name: int(count)}) for f, count in zip(foldings, counts, strict=True)]
    check_foldings(network, foldings)
    return foldings
