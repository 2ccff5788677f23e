"""Configurations: the shipped ones load, and every mistake is one line that names the key."""

from pathlib import Path

import numpy as np
import pytest
import torch

from quant.errors import ChandelierError
from quant.widths import network_widths
from sw.batches import Batches
from sw.config import Config, load_config, parse_config, with_seed
from sw.data import Dataset
from sw.training import build_network

CONFIGS = sorted(Path(__file__).parents[2].joinpath("configs").glob("*.toml"))
GOOD = 'name = "n"\n[data]\nname = "digits"\n[network]\nhidden = [8]\n'


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_shipped_configurations_load_and_are_named_like_their_file(path: Path) -> None:
    config = load_config(path)
    assert config.name == path.stem
    assert Config.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "depth = 3\n", "unknown key network.depth"),
        (GOOD + "[trainin]\nepochs = 1\n", "unknown key trainin"),
        ('[data]\nname = "digits"\n', "name: Field required"),
        (GOOD.replace("[8]", "[]"), "network.hidden needs at least one layer"),
        (GOOD.replace("[8]", "[0]"), r"'0' is neither a width"),
        (GOOD + "[quantisation]\nsynapse_bits = 9\n", "quantisation.synapse_bits: .*less than or equal to 8, not 9"),
        (GOOD + "[quantisation]\nreciprocal_bits = 5\n", "bits of the reciprocal must be 6..24, not 5"),
        (GOOD + '[quantisation]\nmembrane = "u8.4"\n', "membrane must be a signed format of 4..24 bits, not u8.4"),
        (GOOD + '[quantisation]\nmembrane = "s8.7"\n', "membrane s8.7 cannot hold the threshold"),
        (GOOD + '[quantisation]\nmembrane = "wide"\n', "a format is written like s12.6 or u4.0, not 'wide'"),
        (GOOD + "[training]\nlearning_rate = nan\n", "training.learning_rate: .*finite"),
        (GOOD + "[training]\nepochs = 0\n[quantisation]\nepochs = 0\n", "nothing to train"),
        (GOOD + '[ei]\nstabilisation = "none"\n', "set quantisation.epochs = 0"),
        ('name = "../up"\n[data]\nname = "digits"\n[network]\nhidden = [8]\n', "name: String should match"),
        (
            GOOD.replace('"digits"', '"digits"\naugment = true'),
            "data.augment: Input should be 'none', 'affine'.*, not True",
        ),
        ("name = ", "is not TOML"),
    ],
)
def test_a_mistake_is_one_line(text: str, message: str) -> None:
    with pytest.raises(ChandelierError, match=message) as caught:
        parse_config(text, "x.toml")
    assert str(caught.value).startswith("x.toml") and "\n" not in str(caught.value)


def test_a_missing_or_unreadable_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ChandelierError, match="cannot read the configuration"):
        load_config(tmp_path / "nothing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ChandelierError, match="cannot read the configuration"):
        load_config(tmp_path / "binary.toml")


def test_a_seed_changes_the_name() -> None:
    config = with_seed(parse_config(GOOD, "x.toml"), 3)
    assert (config.name, config.seed) == ("n-seed3", 3)


#: Shapes of the data sets that have to be brought: of a sample, of its image, and the classes.
_SHAPES: dict[str, tuple[tuple[int, ...], tuple[int, int, int], int]] = {
    "cifar10": ((3072,), (32, 32, 3), 10),
    "cifar100": ((3072,), (32, 32, 3), 100),
    "tiny-imagenet": ((3072,), (32, 32, 3), 200),
    "dvs128-gesture": ((16, 4608), (48, 48, 2), 11),
    "cifar10-dvs": ((10, 4608), (48, 48, 2), 10),
}


@pytest.mark.parametrize("path", [p for p in CONFIGS if load_config(p).data.name in _SHAPES], ids=lambda p: p.name)
def test_configurations_of_the_papers_scale_build_networks_whose_integers_fit(path: Path) -> None:
    """Without the data: what would end a run after days must be seen here."""
    config = load_config(path)
    sample, image, classes = _SHAPES[config.data.name]
    x, y = np.zeros((1, *sample), np.float32), np.array([classes - 1])
    dataset = Dataset(config.data.name, x, y, x, y, image)
    network = build_network(config, dataset)
    Batches(config, dataset, torch.Generator())  # refuses an augmentation that does not go with the data
    network.quantise(config.quantisation.scheme())
    network_widths(network.integer_network(config.name))
    assert network.steps == (sample[0] if len(sample) == 2 else 4)
    assert len(network.layers()) == {"vgg8": 6, "vgg16": 14, "resnet18": 21}[str(config.network.hidden)]
