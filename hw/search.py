"""The fastest folding that fits a device: trials with yosys and nextpnr's packer, which know what a design takes."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hw.devices import find_device
from hw.folding import Folding, cycles_range, foldings_for, slowest_stage
from hw.synthesis import Usage, packed_usage
from quant.errors import ChandelierError
from quant.network import IntegerNetwork

__all__ = ["Fit", "fastest_foldings"]

#: Share of look-up tables and flip-flops that may be used: beyond, placement finds no end, or no clock.
FILL = 0.85
#: From one candidate to the next, cycles differ by this factor.
RESOLUTION = 1.1
#: ``progress(done, most, verdict)``: so many trials of at most so many have been made, the last with that outcome.
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Fit:
    """What the search found.

    Parameters
    ----------
    foldings : tuple of Folding
    cycles : float
        A sample, on average.
    usage : dict
        Kind of resource -> usage, the shell's included.
    limit : str
        What the next faster design takes too much of, or that there is none.
    """

    foldings: tuple[Folding, ...]
    cycles: float
    usage: Mapping[str, Usage]
    limit: str


def _excess(usage: Mapping[str, Usage]) -> str:
    """What there is too much of, or nothing."""
    shares = {kind: FILL if "LUT" in kind or "FF" in kind else 1 for kind in usage}
    over = [k for k, u in usage.items() if u.available is not None and u.used > shares[k] * u.available]
    return ", ".join(f"{kind}: {usage[kind]}" for kind in over)


def fastest_foldings(
    network: IntegerNetwork,
    device: str,
    activity: Sequence[float] | None = None,
    progress: Progress = lambda done, most, verdict: None,
) -> Fit:
    """The folding of the fewest cycles a sample that fits the device, by bisection of the cycles.

    Each trial is the cheapest folding for so many cycles (``hw.folding.foldings_for``), synthesised and packed in the
    shell. What is slower is taken to be smaller.

    Parameters
    ----------
    device : str
        One of ``hw.devices.DEVICES`` that nextpnr knows.
    activity : (layers,), optional
        As of ``foldings_for``.

    Raises
    ------
    ChandelierError
        If there is no such device, not even single lanes fit, or a tool is missing.
    """
    find_device(device)  # before the first trial is announced
    fewest, most = cycles_range(network, activity)
    candidates = [fewest]
    while candidates[-1] < most:
        candidates.append(min(most, max(candidates[-1] + 1, round(candidates[-1] * RESOLUTION))))
    found: tuple[tuple[Folding, ...], dict[str, Usage]] | None = None
    limit = "all lanes that there are"
    low, high, done, trials = 0, len(candidates), 0, len(candidates).bit_length()
    while low < high:
        middle = (low + high) // 2
        foldings = foldings_for(network, candidates[middle], activity)
        progress(done, trials, f"{candidates[middle]} cycles a sample")
        with tempfile.TemporaryDirectory(prefix="chandelier-") as scratch:
            usage = packed_usage(network, Path(scratch) / "trial", device=device, foldings=foldings)
        excess = _excess(usage)
        done += 1
        progress(done, trials, f"{candidates[middle]} cycles a sample: {excess or 'fits'}")
        if excess:
            low, limit = middle + 1, excess
        else:
            high = middle
            found = foldings, usage
    if found is None:
        raise ChandelierError(f"{network.name} does not fit {device} with single lanes ({limit})")
    foldings, usage = found
    return Fit(foldings, slowest_stage(network, foldings, activity)[0], usage, limit)
