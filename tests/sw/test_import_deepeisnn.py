"""Networks of DeepEISNN compute here what they compute there; what is no such network is refused, and never run."""

import json
import os
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from quant.errors import ChandelierError
from quant.golden import GoldenModel
from quant.network_file import load_network
from sw.batches import input_of
from sw.config import Config, load_config, parse_config
from sw.data import load
from sw.import_deepeisnn import import_deepeisnn
from sw.quantise import quantise_run
from sw.training import load_run_network, train
from tests.deepeisnn import Network, mlp, resnet, vgg

CLASSES = 10


def _quiet(*_: object) -> None:
    """No progress."""


def _images(folder: Path, shape: tuple[int, ...], seed: int = 0) -> str:
    """A data set of random images (height, width, channels), or sequences of them; its path."""
    rng = np.random.default_rng(seed)
    halves = {"train": 32, "test": 24}
    arrays: dict[str, Any] = {f"y_{half}": np.arange(n) % CLASSES for half, n in halves.items()}
    arrays |= {f"x_{half}": rng.integers(0, 256, (n, *shape)).astype(np.uint8) for half, n in halves.items()}
    np.savez(folder / "data.npz", **arrays, kind="sequence" if len(shape) == 4 else "static")
    return str(folder / "data.npz")


def _save_checkpoint(network: Network, path: Path) -> Path:
    """As the reference's training does, with all the states that a resumed one needs."""
    parameters = [torch.nn.Parameter(tensor) for tensor in network.state.values()]
    optimiser = torch.optim.SGD(parameters, lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 10)
    sum(p.square().sum() for p in parameters).backward()  # type: ignore[union-attr]
    optimiser.step()
    schedule.step()
    content = {
        "next_epoch": 7,
        "model_state_dict": network.state,
        "optimizer_state_dict": [optimiser.state_dict()],
        "warmup_scheduler_state_dict": [],
        "scheduler_state_dict": [schedule.state_dict()],
        "best_val_acc": np.float64(91.5),
        "config": network.config,
        "rng_state": torch.get_rng_state(),
        "cuda_rng_state": [torch.get_rng_state()],
        "np_rng_state": np.random.get_state(),
        "py_rng_state": random.getstate(),
    }
    torch.save(content, path)
    return path


def _save_folder(network: Network, path: Path) -> Path:
    """As the reference's networks are released."""
    path.mkdir()
    save_file({name: tensor.contiguous() for name, tensor in network.state.items()}, path / "model.safetensors")
    (path / "config.json").write_text(json.dumps(network.config))
    return path


NETWORKS: dict[str, tuple[Callable[[int], Network], tuple[int, ...]]] = {
    "mlp4": (lambda seed: mlp(7 * 6 * 3, (50, 40, 30), CLASSES, seed=seed), (7, 6, 3)),
    "light-vgg": (lambda seed: vgg((3, 8, 8), (8, "P", 12, 16, "P", 8, "P"), (), CLASSES, seed=seed), (8, 8, 3)),
    "full-vgg": (lambda seed: vgg((3, 9, 6), (8, 8, "P", 12), (24, 20), CLASSES, seed=seed), (9, 6, 3)),
    "wide-kernel": (lambda seed: vgg((2, 6, 9), (8, "P"), (), CLASSES, seed=seed, kernel=(3, 5), ratio=3), (6, 9, 2)),
    "events": (lambda seed: vgg((2, 8, 8), (8, "P", 8), (), CLASSES, seed=seed, sequence=True), (3, 8, 8, 2)),
    "resnet": (lambda seed: resnet(3, 8, ((8, 2), (12, 1), (16, 2)), CLASSES, seed=seed), (8, 8, 3)),
    "wider-resnet": (lambda seed: resnet(1, 8, ((12, 1), (12, 1)), CLASSES, seed=seed, steps=5), (7, 7, 1)),
}


def _imported(network: Network, data: str, folder: Path) -> tuple[Config, Path]:
    run = folder / "runs" / "n"
    return import_deepeisnn(_save_checkpoint(network, folder / "ckpt-best.pth"), run, data), run


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NETWORKS)
def test_logits_are_those_of_the_reference(tmp_path: Path, name: str, seed: int) -> None:
    make, shape = NETWORKS[name]
    network, data = make(seed), _images(tmp_path, shape, seed)
    config, run = _imported(network, data, tmp_path)
    dataset = load(data)
    first = np.load(data)["x_test"] / 255
    expected = network.forward(np.moveaxis(first, -1, -3))
    assert all(0.02 < rate < 0.98 for rate in network.rates), network.rates
    assert network.replaced > 0
    codes = torch.from_numpy(input_of(config, dataset).encode(dataset.x_test)).double()
    with torch.no_grad():
        logits = load_run_network(config, dataset, run, "float").double()(codes)
    assert np.abs(expected).max() > 0.1
    assert np.abs(logits.numpy() - expected).max() < 1e-9, f"seed {seed}"


def test_the_formula_says_what_the_tensors_are(tmp_path: Path) -> None:
    hidden = {}
    for name, (make, shape) in NETWORKS.items():
        (folder := tmp_path / name).mkdir()
        config, _ = _imported(make(0), _images(folder, shape), folder)
        hidden[name] = config.network.hidden
    assert hidden == {
        "mlp4": ["50", "40", "30"],
        "light-vgg": ["8C3", "P2", "12C3", "16C3", "P2", "8C3", "P2"],
        "full-vgg": ["8C3", "8C3", "P2", "12C3", "24", "20"],
        "wide-kernel": ["8C3x5", "P2"],
        "events": ["8C3", "P2", "8C3"],
        "resnet": ["8C3", "8R", "8R", "12Rs2", "16Rs2", "16R", "PG"],
        "wider-resnet": ["8C3", "12R", "12Rs2", "PG"],
    }


def test_both_forms_of_a_network_become_the_same_run(tmp_path: Path) -> None:
    make, shape = NETWORKS["resnet"]
    network, data = make(0), _images(tmp_path, shape)
    network.config |= {"neuron": {"tau": 4.0, "surrogate_function": "sigmoid"}, "dropout": 0.25, "momentum": 0.8}
    files = _save_checkpoint(network, tmp_path / "c.pth"), _save_folder(network, tmp_path / "released")
    runs = [tmp_path / "a" / "n", tmp_path / "b" / "n"]
    configs = [import_deepeisnn(path, run, data) for path, run in zip(files, runs, strict=True)]
    assert (runs[0] / "float.safetensors").read_bytes() == (runs[1] / "float.safetensors").read_bytes()
    for config, run in zip(configs, runs, strict=True):
        assert sorted(path.name for path in run.iterdir()) == ["config.json", "float.safetensors"]
        assert load_config(run / "config.json") == config
        assert config.training.start == str(run / "float.safetensors")
        assert (config.network.steps, config.network.ratio, config.network.tau_shift) == (3, 4, 2)
        assert (config.network.dropout, config.training.momentum, config.training.batch) == (0.25, 0.8, 16)
        assert config.training.learning_rate == config.quantisation.learning_rate == 0.002
    import_deepeisnn(files[1], runs[0], data)  # an import may be repeated
    (runs[0] / "metrics.jsonl").write_text("")
    with pytest.raises(ChandelierError, match=r"holds metrics\.jsonl, which would be lost"):
        import_deepeisnn(files[1], runs[0], data)


def test_states_of_an_older_numpy_are_skipped_too(tmp_path: Path) -> None:
    make, shape = NETWORKS["mlp4"]
    path, old = _save_checkpoint(make(0), tmp_path / "c.pth"), tmp_path / "old.pth"
    with zipfile.ZipFile(path) as given, zipfile.ZipFile(old, "w") as made:
        for name in given.namelist():
            part = given.read(name)
            assert not name.endswith("data.pkl") or b"numpy._core.multiarray\n" in part
            made.writestr(name, part.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"))
    data = _images(tmp_path, shape)
    assert import_deepeisnn(old, tmp_path / "n", data).network.hidden == ["50", "40", "30"]


def _golden_accuracy(path: Path, data: str) -> float:
    network, dataset = load_network(path), load(data)
    return float(np.mean(GoldenModel(network).classify(network.input.encode(dataset.x_test)) == dataset.y_test))


@pytest.mark.parametrize("name", ["mlp4", "full-vgg", "events", "resnet"])
def test_it_is_quantised_as_it_is_and_fine_tuned(tmp_path: Path, name: str) -> None:
    """Quantising compares the integer logits of golden model and trained network on the whole test set."""
    make, shape = NETWORKS[name]
    data = _images(tmp_path, shape)
    config, run = _imported(make(0), data, tmp_path)
    as_it_is = quantise_run(run, tmp_path / "a.safetensors")
    assert as_it_is.phase == "float" and as_it_is.float_accuracy is not None
    assert as_it_is.accuracy == _golden_accuracy(tmp_path / "a.safetensors", data)
    text = config.model_dump_json().replace('"epochs":10', '"epochs":1')
    metrics = train(parse_config(text, "c.json"), load(data), run, _quiet)
    assert [line["phase"] for line in metrics] == ["quantised"]
    tuned = quantise_run(run, tmp_path / "b.safetensors")
    assert tuned.phase == "quantised" and tuned.float_accuracy == as_it_is.float_accuracy
    assert tuned.accuracy == metrics[0]["test_accuracy"] == _golden_accuracy(tmp_path / "b.safetensors", data)


def test_training_starts_from_the_weights_that_it_is_given(tmp_path: Path) -> None:
    make, shape = NETWORKS["mlp4"]
    data = _images(tmp_path, shape)
    config, run = _imported(make(0), data, tmp_path)
    values = json.loads(config.model_dump_json())
    values["training"] |= {"epochs": 1, "learning_rate": 1e-12}
    values["quantisation"]["epochs"] = 0
    train(parse_config(json.dumps(values), "c.json"), load(data), tmp_path / "again", _quiet)
    before, after = (load_file(path / "float.safetensors") for path in (run, tmp_path / "again"))
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, rtol=1e-6, atol=1e-6)
    values["network"]["hidden"] = ["50", "40", "31"]
    with pytest.raises(ChandelierError, match=r"float\.safetensors: hidden\.2\.\S+ is torch\.float32 of shape"):
        train(parse_config(json.dumps(values), "c.json"), load(data), tmp_path / "other", _quiet)
    values["training"]["start"] = str(tmp_path / "nothing.safetensors")
    with pytest.raises(ChandelierError, match=r"nothing\.safetensors is not there"):
        train(parse_config(json.dumps(values), "c.json"), load(data), tmp_path / "other", _quiet)


def _change(name: str, value: Callable[[torch.Tensor], torch.Tensor | None]) -> Callable[[Network], None]:
    """Replaces a tensor by what ``value`` makes of it, or removes it."""

    def changed(network: Network) -> None:
        new = value(network.state.pop(name, torch.zeros(2, 2)))
        if new is not None:
            network.state[name] = new

    return changed


def _holding(number: float) -> Callable[[torch.Tensor], torch.Tensor]:
    def value(tensor: torch.Tensor) -> torch.Tensor:
        changed = tensor.clone()
        changed.view(-1)[-1] = number
        return changed

    return value


def _says(**values: object) -> Callable[[Network], None]:
    return lambda network: network.config.update(values)


def _without(*starts: str) -> Callable[[Network], None]:
    def changed(network: Network) -> None:
        network.state = {name: tensor for name, tensor in network.state.items() if not name.startswith(starts)}

    return changed


REFUSALS: list[tuple[str, Callable[[Network], None], str]] = [
    ("light-vgg", _change("layers.2.conv_ie.weight", lambda _: None), r"tensor layers\.2\.conv_ie\.weight is missing"),
    ("light-vgg", _change("layers.2.conv_ee.weight", lambda _: None), r"tensor layers\.2\.conv_ee\.weight is missing"),
    ("light-vgg", _change("layers.3.bias", lambda _: None), r"tensor layers\.3\.bias is missing"),
    ("light-vgg", _without("layers.9.", "layers.10."), r"from layers\.2 to layers\.15 are 13 modules"),
    ("light-vgg", _change("layers.4.v", lambda x: x), r"tensor 'layers\.4\.v' belongs to no layer"),
    ("light-vgg", _change("a\nb", lambda x: x), r"tensor 'a\\nb' belongs to no layer"),
    ("light-vgg", _change("layers.3.gain_e", lambda x: x.flatten()), r"layers\.3\.gain_e has the shape \(8,\)"),
    ("light-vgg", _change("layers.3.gain_i", lambda x: x[:1]), r"layers\.3\.gain_i has the shape \(1, 1, 1\)"),
    ("light-vgg", _change("layers.2.conv_ee.weight", lambda x: x[:, :2]), r"layers\.2\.conv_ee\.weight has the shape"),
    ("light-vgg", _change("layers.2.conv_ie.weight", lambda x: x[:0]), r"layers\.2\.conv_ie\.weight has the shape \(0"),
    ("light-vgg", _change("layers.15.conv_ie.weight", lambda x: x[:1]), r"layers\.15\.conv_ie\.weight has 1 I neurons"),
    ("mlp4", _change("layers.2.weight_ee", lambda x: x[:, :-1]), r"layers\.2\.weight_ee has the shape \(50, 125\)"),
    ("mlp4", _change("layers.2.weight_ee", _holding(-0.25)), r"layers\.2\.weight_ee holds -0\.25"),
    ("mlp4", _change("layers.8.weight_ei", _holding(-1.0)), r"layers\.8\.weight_ei holds -1\.0"),
    ("mlp4", _change("layers.8.gain_i", _holding(-1.0)), r"layers\.8\.gain_i holds -1\.0"),
    (
        "mlp4",
        _change("layers.8.gain_e", _holding(float("nan"))),
        r"'layers\.8\.gain_e' holds a number that is not fini",
    ),
    ("mlp4", _change("layers.8.bias", _holding(float("-inf"))), r"'layers\.8\.bias' holds a number that is not finite"),
    ("mlp4", _change("layers.8.bias", lambda x: x.double() * 1e300), r"'layers\.8\.bias' .* not finite in float32"),
    ("mlp4", _change("layers.8.bias", lambda x: x.int()), r"'layers\.8\.bias' is not a tensor of floating-point"),
    ("mlp4", _change("layers.99999.weight_ee", lambda x: x), r"'layers\.99999\.weight_ee' belongs to no layer"),
    ("mlp4", _change("layers.9999.weight_ee", lambda x: x), r"from layers\.17 to layers\.9999 are 9982 modules"),
    ("mlp4", lambda n: n.state.clear(), r"no E-I layers"),
    ("resnet", _without("layer2.0."), r"layer3\.0 follows layer1\.1: a block is missing"),
    ("resnet", _without("layer1.0."), r"layer1\.1 follows layer0\.0: a block is missing"),
    ("resnet", _change("layer2.0.conv3.conv_ee.weight", lambda x: x), r"layer2\.0\.conv3\S+ is of a bottleneck block"),
    ("resnet", _without("layer3.0.downsample."), r"layer3\.0\.downsample\.0\.conv_ee\.weight is missing"),
    ("resnet", _without("conv1."), r"tensor conv1\.conv_ee\.weight is missing"),
    ("resnet", _without("fc."), r"tensor fc\.weight_ee is missing"),
    ("resnet", _without("layer3.1."), r"says num_layers 12, and its tensors say 10"),
    ("resnet", _says(arch="VGG"), r"says arch VGG, and its tensors say ResNet"),
    ("light-vgg", _says(light_classifier=False), r"says light_classifier False, and its tensors say True"),
    ("full-vgg", _says(light_classifier=True), r"says light_classifier True, and its tensors say False"),
    ("full-vgg", _says(num_layers=8), r"says num_layers 8, and its tensors say 6"),
    ("mlp4", _says(ei_ratio=8), r"says ei_ratio 8, and its tensors have 4\.\.4"),
    ("mlp4", _says(type="BN-SNN"), r"type: Input should be 'EI-SNN', not 'BN-SNN'"),
    ("mlp4", _says(T=0), r"T: Input should be greater than or equal to 1, not 0"),
    ("mlp4", _says(T="4"), r"T: Input should be a valid integer, not '4'"),
    ("mlp4", lambda n: n.config.pop("T"), r"T: Field required"),
    ("mlp4", _says(neuron={"tau": 3.0}), r"neuron\.tau: must be a power of two, 2\.\.256: the leak is a shift, not 3"),
    ("mlp4", _says(neuron={"v_reset": 0.0}), r"neuron\.v_reset: Input should be None, not 0\.0"),
    ("mlp4", _says(neuron={"v_threshold": 0.5}), r"neuron\.v_threshold: .* not 0\.5"),
    ("mlp4", _says(neuron={"decay_input": True}), r"neuron\.decay_input: Input should be False, not True"),
    ("mlp4", _says(dropout=1.0), r"dropout: Input should be less than 1, not 1\.0"),
    ("mlp4", _says(batch_size=0), r"config\.json: training\.batch: Input should be greater than or equal to 1, not 0"),
    ("mlp4", _says(dataset="DVSGesture"), r"trained on DVSGesture, and \S+ has static samples"),
    ("events", _says(T=4), r"the network has 4 time steps, and \S+ 3"),
]


@pytest.mark.parametrize("form", ["checkpoint", "folder"])
@pytest.mark.parametrize("case", range(len(REFUSALS)))
def test_what_does_not_fit_is_refused_by_name(tmp_path: Path, case: int, form: str) -> None:
    name, change, message = REFUSALS[case]
    make, shape = NETWORKS[name]
    network, data = make(0), _images(tmp_path, shape)
    change(network)
    path = tmp_path / "given"
    if form == "folder":
        _save_folder(network, path)
    else:
        torch.save({"model_state_dict": network.state, "config": network.config}, path)
    with pytest.raises(ChandelierError, match=message) as caught:
        import_deepeisnn(path, tmp_path / "runs" / "n", data)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
    assert not (tmp_path / "runs").exists()


class _Calls:
    """Pickled, it is a call."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def _write_marker(path: str) -> None:
    Path(path).write_text("it was run")


@pytest.mark.parametrize("where", ["model_state_dict", "config", "np_rng_state", "tensor"])
@pytest.mark.parametrize("how", ["system", "exec", "own", "getattr", "load"])
def test_a_checkpoint_is_never_run(tmp_path: Path, where: str, how: str) -> None:
    marker = tmp_path / "marker"
    calls = {
        "system": _Calls(os.system, f"touch {marker}"),
        "exec": _Calls(exec, f"open({str(marker)!r}, 'w')"),
        "own": _Calls(_write_marker, str(marker)),
        "getattr": _Calls(getattr, _Calls(__import__, "os"), "system"),
        "load": _Calls(torch.load, str(marker)),
    }
    make, shape = NETWORKS["mlp4"]
    network, data = make(0), _images(tmp_path, shape)
    content: dict[str, Any] = {"model_state_dict": network.state, "config": network.config}
    if where == "tensor":
        content["model_state_dict"]["layers.2.weight_ee"] = calls[how]
    else:
        content[where] = calls[how]
    torch.save(content, tmp_path / "c.pth")
    with pytest.raises(ChandelierError, match=r"c\.pth names \S+, which is no data: .* is not run$") as caught:
        import_deepeisnn(tmp_path / "c.pth", tmp_path / "n", data)
    assert "\n" not in str(caught.value)
    assert not marker.exists() and not (tmp_path / "n").exists()
    if how in ("system", "exec", "own"):  # whoever unpickles the file without such care does run it
        torch.load(tmp_path / "c.pth", weights_only=False)
        assert marker.exists()


def test_numpy_is_given_nothing_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random states are made of arrays: what they name is skipped, whatever it is to be made from."""
    make, shape = NETWORKS["mlp4"]
    network, data = make(0), _images(tmp_path, shape)
    calls = [_Calls(np.dtype, "O", 0, 1), _Calls(np.ndarray, (1 << 40,)), np.arange(5), np.float64(3), np.dtype("i4")]
    content = {"model_state_dict": network.state, "config": network.config, "np_rng_state": calls}
    torch.save(content, tmp_path / "c.pth")
    import_deepeisnn(tmp_path / "c.pth", tmp_path / "n", data)
    content["config"] = network.config | {"T": np.arange(3)}
    torch.save(content, tmp_path / "c.pth")
    with pytest.raises(
        ChandelierError, match=r"T: Input should be a valid integer, not <sw\.deepeisnn_files\._Skipped"
    ):
        import_deepeisnn(tmp_path / "c.pth", tmp_path / "n", data)


def _with_pickle(path: Path, steps: bytes) -> Path:
    """A checkpoint whose pickle is ``steps``."""
    torch.save({}, path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, steps if name.endswith("data.pkl") else part)
    return path


def _bomb(path: Path) -> Path:
    with zipfile.ZipFile(_with_pickle(path, b"\x80\x02}."), "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(1 << 24))
    return path


def _saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def _given(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _state(tensor: object) -> object:
    return {"model_state_dict": {"layers.2.weight_ee": tensor}, "config": {"T": 4}}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p, r"c\.pth is not there: give a checkpoint"),
        (
            lambda p: _given(p, b""),
            r"is not a checkpoint as torch\.save writes it, or is damaged: File is not a zip file",
        ),
        (lambda p: _given(p, b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R."), r"File is not a zip file"),
        (
            lambda p: _with_pickle(p, b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R."),
            r"names os\.system, which is no",
        ),
        (
            lambda p: _with_pickle(p, b"\x80\x02}(" + b")" + b"\x85" * 200_000 + b"K\x01u."),
            r"has more than 16384 tuples",
        ),
        (
            lambda p: _with_pickle(p, b"\x80\x02c__builtin__\nbytearray\n\x8a\x06\0\0\0\0\0\x40\x85R."),
            r"c\.pth is not a",
        ),
        (_bomb, r"its parts are larger than the file"),
        (lambda p: _saved(p, torch.zeros(3)), r"it has no dictionary 'model_state_dict'"),
        (lambda p: _saved(p, {"model_state_dict": {}}), r"it has no dictionary 'config'"),
        (lambda p: _saved(p, {"model_state_dict": {}, "config": {}}), r"T: Field required$"),
        (
            lambda p: _saved(p, _state(torch.zeros(1).expand(1 << 40))),
            r"of shape \(1099511627776,\) is larger than the",
        ),
        (lambda p: _saved(p, _state(torch.zeros(4, 4).to_sparse())), r"weight_ee' is not a tensor of floating-point"),
        (
            lambda p: _saved(p, _state(torch.zeros(4, 4, device="meta"))),
            r"weight_ee' is not a tensor of floating-point",
        ),
        (lambda p: _saved(p, _state([1.0])), r"weight_ee' is not a tensor of floating-point"),
        (lambda p: _saved(p, _state(torch.zeros(4, dtype=torch.complex64))), r"is not a tensor of floating-point"),
        (lambda p: p.mkdir() or p, r"model\.safetensors is not there: a released network is"),
    ],
)
def test_files_that_are_none_are_one_line(tmp_path: Path, make: Callable[[Path], Path], message: str) -> None:
    with pytest.raises(ChandelierError, match=message) as caught:
        import_deepeisnn(make(tmp_path / "c.pth"), tmp_path / "n", "digits")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "[", "[" * 100_000, "[]", "3", '{"T": NaN}', '{"T": 1e400}', '{"T": ' + "9" * 5000 + "}"]
)
def test_a_damaged_configuration_is_one_line(tmp_path: Path, text: str) -> None:
    make, shape = NETWORKS["mlp4"]
    path = _save_folder(make(0), tmp_path / "released")
    (path / "config.json").write_text(text)
    with pytest.raises(ChandelierError, match="released") as caught:
        import_deepeisnn(path, tmp_path / "n", _images(tmp_path, shape))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_data_that_the_network_is_not_for_are_refused(tmp_path: Path) -> None:
    for name, shape, message in (
        ("light-vgg", (8, 8, 1), r"layers\.2\.conv_ee\.weight has the shape \(8, 3, 3, 3\), .* 8x8x1 \(height"),
        ("light-vgg", (16, 16, 3), r"weight_ee has the shape \(10, 8\), .* on a map of 2x2x8"),
        ("light-vgg", (3, 3, 3), r"network\.hidden: 'P2' on a map of 1x1x16: pooling by \(2, 2\) does not fit"),
        ("light-vgg", (3, 8, 8, 3), r"trained on CIFAR10, and \S+ has sequences"),
        ("wider-resnet", (1, 1, 1), r"8 layers become 7: the images are too small for the network"),
    ):
        network = NETWORKS[name][0](0)
        path = _saved(tmp_path / "c.pth", {"model_state_dict": network.state, "config": network.config})
        with pytest.raises(ChandelierError, match=message):
            import_deepeisnn(path, tmp_path / "n", _images(tmp_path, shape))
    events = NETWORKS["events"][0](0)
    events.config.pop("dataset")
    path = _saved(tmp_path / "c.pth", {"model_state_dict": events.state, "config": events.config})
    with pytest.raises(ChandelierError, match=r"first layer is layers\.1, and not as of a network for static samples"):
        import_deepeisnn(path, tmp_path / "n", _images(tmp_path, (8, 8, 2)))
    flat = NETWORKS["light-vgg"][0](0)
    path = _saved(tmp_path / "c.pth", {"model_state_dict": flat.state, "config": flat.config})
    rng = np.random.default_rng(0)
    half = {"x": rng.random((20, 192)), "y": np.arange(20) % CLASSES}
    arrays: dict[str, Any] = {f"{key}_{name}": value for key, value in half.items() for name in ("train", "test")}
    np.savez(tmp_path / "flat.npz", **arrays)
    with pytest.raises(ChandelierError, match=r"the network has convolutions, and \S+ has no images"):
        import_deepeisnn(path, tmp_path / "n", str(tmp_path / "flat.npz"))
    arrays |= {"y_train": arrays["y_train"] % 7, "y_test": arrays["y_test"] % 7}
    np.savez(tmp_path / "flat.npz", **arrays)
    small = mlp(192, (8,), CLASSES)
    path = _saved(tmp_path / "c.pth", {"model_state_dict": small.state, "config": small.config})
    with pytest.raises(ChandelierError, match=r"layers\.7\.weight_ee has 10 classes, and \S+ 7"):
        import_deepeisnn(path, tmp_path / "n", str(tmp_path / "flat.npz"))
