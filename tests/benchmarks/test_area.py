"""The estimated area against what yosys and nextpnr's packer took for designs that the model was not fitted to."""

import pytest

from benchmarks.area import design
from hw.area import estimate, stages

#: By ``python -m benchmarks.area`` (yosys 0.70, nextpnr-ecp5 0.11.1): LUT, FF, BRAM, DSP of odd designs.
MEASURED = {
    7: (3969, 3787, 1, 3),
    17: (15338, 12637, 19, 15),
    23: (2072, 2181, 2, 2),
}


@pytest.mark.parametrize("seed", MEASURED)
def test_unseen_designs(seed: int) -> None:
    luts, ffs, brams, dsps = MEASURED[seed]
    area = estimate(*design(seed))
    assert area.luts == pytest.approx(luts, rel=0.15)
    assert area.ffs == pytest.approx(ffs, rel=0.10)
    assert (area.brams, area.dsps) == (brams, dsps)


def test_more_lanes_take_more() -> None:
    network, (first, *others) = design(17)
    fewer = estimate(network, [type(first)(first.synapse_lanes // 3, 1, 1), *others])
    area = estimate(network, [first, *others])
    assert fewer.luts < area.luts and fewer.ffs < area.ffs and fewer.dsps < area.dsps


def test_a_stage_is_called_what_synthesis_calls_it() -> None:
    names = [stage.name for stage in stages(*design(17))]
    assert names[:2] == ["layer0.accumulator", "layer0.population"] and names[-1] == "elsewhere"
    assert len(set(names)) == len(names)
