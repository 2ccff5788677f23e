"""Networks of DeepEISNN, the paper's reference implementation, become runs of ours (docs/import.md).

What is read is its layout: names, shapes, and the order of modules in a sequence, of which only some have tensors.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from quant.errors import ChandelierError
from quant.files import replacing_directory
from sw.architectures import Stage, stages
from sw.batches import input_of
from sw.config import Config, parse_config
from sw.data import Dataset, load
from sw.deepeisnn_files import Settings, read
from sw.training import CONFIG_FILE, build_network

__all__ = ["import_deepeisnn"]

State = dict[str, Tensor]

#: Modules from one layer to the next: the layer's two, Split, LIF, (in a VGG) Dropout, Merge.
_MODULES = {"MLP": 5, "VGG": 6}
_LAYER = re.compile(r"layers\.(\d{1,4})\.(conv_|weight_)[ei]e(?:\.weight)?")
_BLOCK = re.compile(r"layer(\d{1,2})\.(\d{1,3})\..*")


@dataclass(frozen=True)
class _Source:
    """The modules of the reference that hold a layer's tensors."""

    synapses: str
    norm: str
    convolution: bool

    def synapse(self, kind: str) -> str:
        """Name of the tensor ``w_ee`` or ``w_ie``."""
        return f"{self.synapses}.conv_{kind}.weight" if self.convolution else f"{self.synapses}.weight_{kind}"

    def names(self) -> dict[str, str]:
        """Of each of our tensors, the reference's name."""
        norm = {"w_ei": "weight_ei", "g_i": "gain_i", "g_e": "gain_e", "b_e": "bias"}
        return {f"w_{kind}": self.synapse(kind) for kind in ("ee", "ie")} | {
            name: f"{self.norm}.{theirs}" for name, theirs in norm.items()
        }


@dataclass(frozen=True)
class _Layout:
    """What the names and shapes of tensors say: our formula, and the layers in our order, the readout last.

    ``first`` is the index of the first layer's module; of a ResNet, which is not a sequence, ``None``.
    """

    arch: str
    hidden: list[str]
    sources: list[_Source]
    first: int | None


def _shape(state: State, name: str, dimensions: int) -> tuple[int, ...]:
    if name not in state:
        raise ChandelierError(f"the tensor {name} is missing")
    shape = tuple(state[name].shape)
    if len(shape) != dimensions or 0 in shape:
        raise ChandelierError(f"{name} has the shape {shape}, and needs {dimensions} dimensions, none of them 0")
    return shape


def _token(state: State, source: _Source) -> str:
    """What a layer is in our formula."""
    if not source.convolution:
        return str(_shape(state, source.synapse("ee"), 2)[0])
    n, _, height, width = _shape(state, source.synapse("ee"), 4)
    return f"{n}C{height}" if height == width else f"{n}C{height}x{width}"


def _sequence(state: State) -> _Layout:
    """Of an MLP or a VGG: ``layers.K``, where K counts modules without tensors, too."""
    found = {int(m[1]): m[2] == "conv_" for name in state if (m := _LAYER.fullmatch(name))}
    if not found:
        raise ChandelierError("there are no E-I layers in it: no tensor layers.K.weight_ee or layers.K.conv_ee.weight")
    indices = sorted(found)
    arch = "VGG" if found[indices[0]] else "MLP"
    sources = [_Source(f"layers.{k}", f"layers.{k + 1}", found[k]) for k in indices]
    hidden = []
    for (k, after), source in zip(pairwise(indices), sources, strict=False):
        hidden.append(_token(state, source))
        flatten = source.convolution and not found[after]
        poolings = after - k - _MODULES[arch] - flatten
        if found[after] > source.convolution or not 0 <= poolings <= source.convolution:
            raise ChandelierError(
                f"from layers.{k} to layers.{after} are {after - k} modules, and that is no {arch} of DeepEISNN: "
                f"a layer is missing, or there is one too many"
            )
        hidden += ["P2"] * poolings
    if sources[-1].convolution:
        raise ChandelierError(f"{sources[-1].synapses} is a convolution, and the last layer has to be fully connected")
    return _Layout(arch, hidden, sources, indices[0])


def _blocks(state: State) -> list[tuple[int, int]]:
    """Stage and number of every residual block, as in ``layerSTAGE.NUMBER``."""
    found = sorted({(int(m[1]), int(m[2])) for name in state if (m := _BLOCK.fullmatch(name))})
    for (stage, block), (next_stage, next_block) in pairwise([(0, 0), *found]):
        if (next_stage, next_block) not in ((stage, block + 1), (stage + 1, 0)):
            raise ChandelierError(f"layer{next_stage}.{next_block} follows layer{stage}.{block}: a block is missing")
    return found


def _resnet(state: State) -> _Layout:
    if bottleneck := next((name for name in state if ".conv3." in name), None):
        raise ChandelierError(f"{bottleneck:.200} is of a bottleneck block (ResNet-50 and deeper): basic ones only")
    sources = [_Source("conv1", "norm1", True)]
    hidden, channels = [_token(state, sources[0])], state["conv1.conv_ee.weight"].shape[0]
    for stage, block in _blocks(state):
        at, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
        n = _shape(state, f"{at}.conv1.conv_ee.weight", 4)[0]
        hidden.append(f"{n}R" if stride == 1 else f"{n}Rs{stride}")
        sources += [_Source(f"{at}.conv{i}", f"{at}.norm{i}", True) for i in (1, 2)]
        if stride > 1 or n != channels:
            sources.append(_Source(f"{at}.downsample.0", f"{at}.downsample.1", True))
        channels = n
    return _Layout("ResNet", [*hidden, "PG"], [*sources, _Source("fc", "final_ei_norm", False)], None)


def _ratio(state: State, sources: Sequence[_Source], given: int | None) -> int:
    """E neurons per I neuron, as of ``n_i = n_e // ratio`` in every layer; where several do, the ``given`` one."""
    low, high = 1, 1024
    for source in sources:
        name, dimensions = source.synapse("ie"), 4 if source.convolution else 2
        n_e, n_i = (_shape(state, source.synapse(kind), dimensions)[0] for kind in ("ee", "ie"))
        low, high = max(low, n_e // (n_i + 1) + 1), min(high, n_e // n_i)
        if low > high:
            raise ChandelierError(f"{name} has {n_i} I neurons for {n_e} E neurons: no whole ratio for all layers")
    if given is not None and not low <= given <= high:
        raise ChandelierError(f"its configuration says ei_ratio {given}, and its tensors have {low}..{high}")
    return given or low


def _check_settings(settings: Settings, layout: _Layout) -> None:
    """Refuses a configuration that contradicts the tensors."""
    dense = sum(not source.convolution for source in layout.sources)
    downsampling = sum("downsample" in source.synapses for source in layout.sources)
    depth = len(layout.sources) - downsampling
    light = layout.arch == "VGG" and dense == 1
    # A VGG is called after the depth with the full classifier, whichever it has.
    for key, own in (
        ("arch", layout.arch),
        ("num_layers", depth + 2 if light else depth),
        ("light_classifier", light if layout.arch == "VGG" else settings.light_classifier),
    ):
        if (said := getattr(settings, key)) not in (None, own):
            raise ChandelierError(f"its configuration says {key} {said}, and its tensors say {own}")


def _check_data(settings: Settings, layout: _Layout, state: State, dataset: Dataset) -> None:
    """Refuses a data set that the network is not for."""
    sequence, name = dataset.steps is not None, dataset.name
    kind = "sequences" if sequence else "static samples"
    if settings.dataset is not None and ("DVS" in settings.dataset) != sequence:
        raise ChandelierError(f"the network was trained on {settings.dataset}, and {name} has {kind}")
    # In front of the layers are Merge and, of static samples, what repeats them.
    if layout.first not in (None, 1 if sequence else 2):
        raise ChandelierError(f"its first layer is layers.{layout.first}, and not as of a network for {kind} as {name}")
    if dataset.steps not in (None, settings.T):
        raise ChandelierError(f"the network has {settings.T} time steps, and {name} {dataset.steps}")
    if layout.sources[0].convolution and dataset.image_shape is None:
        raise ChandelierError(f"the network has convolutions, and {name} has no images")
    readout = layout.sources[-1].synapse("ee")
    if (classes := _shape(state, readout, 2)[0]) != dataset.classes:
        raise ChandelierError(f"{readout} has {classes} classes, and {name} {dataset.classes}")


def _config(settings: Settings, hidden: list[str], ratio: int, output: Path, data: str) -> Config:
    """The configuration of the run: the network, and to go on with its learning rate, quantisation-aware."""
    theirs = {
        "batch": settings.batch_size,
        "learning_rate": settings.learning_rate,
        "momentum": settings.momentum,
        "weight_decay": settings.weight_decay,
    }
    training = {key: value for key, value in theirs.items() if value is not None}
    values = {
        "name": output.name,
        "data": {"name": data},
        "network": {
            "hidden": hidden,
            "steps": settings.T,
            "ratio": ratio,
            "tau_shift": settings.tau_shift,
            "dropout": settings.dropout,
        },
        "training": training | {"epochs": 0, "start": str(output / "float.safetensors")},
        "quantisation": {key: value for key, value in training.items() if key == "learning_rate"},
    }
    return parse_config(json.dumps(values), str(output / CONFIG_FILE))


def _shapes(source: _Source, stage: Stage, n_i: int) -> dict[str, tuple[int, ...]]:
    """The shapes that the reference has a layer's tensors in, by our names."""
    n_e, (height, width, channels), window = stage.neurons, stage.shape, stage.wiring.window
    inputs = (channels, *window.kernel) if window else (channels * height * width,)

    def gain(n: int) -> tuple[int, ...]:
        return (n, 1, 1) if source.convolution else (1, n)

    synapses = {"w_ee": (n_e, *inputs), "w_ie": (n_i, *inputs), "w_ei": (n_e, n_i)}
    return synapses | {"g_i": gain(n_i), "g_e": gain(n_e), "b_e": gain(n_e)}


def _channels_last(w: Tensor, stage: Stage) -> Tensor:
    """Synapses (n, d) of those of the reference, whose inputs are in the order (channel, row, column)."""
    height, width, channels = stage.shape
    kernel = w if w.ndim == 4 else w.unflatten(1, (channels, height, width))
    return kernel.permute(0, 2, 3, 1).flatten(1).contiguous()


def _parameters(state: State, sources: list[_Source], plan: list[Stage], ratio: int) -> State:
    """Our parameters by our names. The readout of the reference has gains and a bias, too, and does not use them."""
    if len(sources) != len(plan):  # a block of stride 2 leaves a map of 1x1 as it is, and ours needs no downsampling
        raise ChandelierError(f"{len(sources)} layers become {len(plan)}: the images are too small for the network")
    own: State = {}
    for i, (source, stage) in enumerate(zip(sources, plan, strict=True)):
        last = stage is plan[-1]
        expected = _shapes(source, stage, stage.neurons // ratio)
        for ours, name in source.names().items():
            if _shape(state, name, len(expected[ours])) != expected[ours]:
                size = "x".join(map(str, stage.shape))
                raise ChandelierError(
                    f"{name} has the shape {tuple(state[name].shape)}, and a layer of {stage.neurons} with ratio "
                    f"{ratio} on a map of {size} (height, width, channels) needs {expected[ours]}"
                )
            if ours != "b_e" and (least := state[name].min().item()) < 0:
                raise ChandelierError(f"{name} holds {least}, and an E-I layer has nothing negative but the bias")
            tensor = _channels_last(state[name], stage) if ours in ("w_ee", "w_ie") else state[name]
            if ours.startswith("w_"):
                own[f"{'readout' if last else f'hidden.{i}'}.synapses.{ours}"] = tensor.contiguous()
            elif not last:
                own[f"hidden.{i}.{ours}"] = tensor.flatten().contiguous()
    return own


def _refuse_extra(state: State, sources: Sequence[_Source]) -> None:
    known = {name for source in sources for name in source.names().values()}
    for name in sorted(state.keys() - known):
        raise ChandelierError(f"the tensor {name!r:.200} belongs to no layer")


def _network(path: Path, output: Path, data: str) -> tuple[Config, State]:
    """Configuration and tensors of the run that the network becomes."""
    state, settings = read(path)
    dataset = load(data)
    try:
        residual = any(name.startswith(("conv1.", "layer1.")) for name in state)
        layout = (_resnet if residual else _sequence)(state)
        _refuse_extra(state, layout.sources)
        _check_settings(settings, layout)
        _check_data(settings, layout, state, dataset)
        ratio = _ratio(state, layout.sources, settings.ei_ratio)
    except ChandelierError as error:
        raise ChandelierError(f"{path}: {error}") from None
    config = _config(settings, layout.hidden, ratio, output, data)
    spec = input_of(config, dataset)
    try:
        # Shapes are compared before there is a network: a wrong one could be of any size.
        plan = stages(config.network.hidden, spec.map, spec.format.max, dataset.classes)
        parameters = _parameters(state, layout.sources, plan, ratio)
    except ChandelierError as error:
        raise ChandelierError(f"{path} on {dataset.name}: {error}") from None
    network = build_network(config, dataset)
    network.load_state_dict(network.state_dict() | parameters)
    return config, network.state_dict()


def import_deepeisnn(path: Path, output: Path, data: str) -> Config:
    """Makes the run ``output`` of a checkpoint (.pth) or a released folder of DeepEISNN, for the data set ``data``.

    It has floating-point weights, and a configuration that goes on from them, quantisation-aware.

    Raises
    ------
    ChandelierError
        If a file is damaged or asks for anything to be run; a tensor is missing, one too many, of a wrong shape or
        value; the configuration contradicts the tensors; the data do not fit; or the folder holds another run.
    """
    config, tensors = _network(path, output, data)
    with replacing_directory(output, r"config\.json|float\.safetensors") as folder:
        (folder / CONFIG_FILE).write_text(config.model_dump_json(indent=2) + "\n")
        save_file(tensors, folder / "float.safetensors")
    return config
