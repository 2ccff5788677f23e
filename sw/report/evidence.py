"""What the verbs have left of a network: its run, its co-simulation, its design, its synthesis; read and checked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from hw.folding import Folding, Foldings
from hw.manifest import FILE_NAME, Manifest
from hw.rtl import network_sha256
from quant.errors import ChandelierError
from quant.files import is_folder
from quant.network import IntegerNetwork
from quant.network_file import load_network
from quant.strict import Strict
from sw.config import Config, load_config
from sw.cosim import CosimRecord, record_path
from sw.synth import REPORT_FILE, SynthesisRecord
from sw.training import CONFIG_FILE

__all__ = ["Design", "Epoch", "Evidence", "gather"]


class Epoch(Strict):
    """A line of ``metrics.jsonl``."""

    phase: Literal["float", "quantised"]
    epoch: int
    loss: float
    train_accuracy: float
    learning_rate: float
    test_accuracy: float
    seconds: float


@dataclass(frozen=True)
class Design:
    """A folder with generated Verilog."""

    folder: Path
    manifest: Manifest

    @property
    def foldings(self) -> Foldings:
        """Of each layer."""
        if self.manifest.input.dense:
            return "spatial"
        return [Folding(**layer.folding.model_dump()) for layer in self.manifest.layers]


@dataclass(frozen=True)
class Evidence:
    """What is there; ``None`` is what is not.

    Parameters
    ----------
    name : str
    path : Path
        The network's file, whether it is there or not.
    run : Path, optional
        The folder of the training run.
    epochs : list of Epoch
    cosim, design, synthesis
        Those of this very network only.
    others : list of str
        Files of other networks that were passed over, in words.
    """

    name: str
    path: Path
    network: IntegerNetwork | None
    sha256: str | None
    run: Path | None
    config: Config | None
    epochs: list[Epoch]
    cosim: CosimRecord | None
    design: Design | None
    synthesis: SynthesisRecord | None
    others: list[str]


def gather(target: Path, rtl: Path | None, synthesis: Path | None) -> Evidence:
    """Everything about ``target``, the folder of a run or the file of an integer network.

    Parameters
    ----------
    rtl : Path, optional
        Folder of a generated design, which then has to be there; by default ``build``, if it is there.
    synthesis : Path, optional
        Folder of a synthesis, in the same way.

    Raises
    ------
    ChandelierError
        If ``target`` is neither, or a file is damaged.
    """
    path, network, run, config = _files(target)
    sha256, others = None if network is None else network_sha256(network), list[str]()
    cosim = CosimRecord.read(record_path(path)) if record_path(path).exists() else None
    if cosim is not None and cosim.network_sha256 != sha256:
        others, cosim = [*others, f"{record_path(path)} is of an earlier network"], None
    design = _design_in(rtl, Path("build"), sha256, others)
    folder = synthesis or Path("synthesis")
    found = _design_in(synthesis, folder, sha256, others, needed=REPORT_FILE)
    return Evidence(
        name=network.name if network is not None else config.name if config is not None else target.stem,
        path=path,
        network=network,
        sha256=sha256,
        run=run,
        config=config,
        epochs=[] if run is None else _epochs(run / "metrics.jsonl"),
        cosim=cosim,
        design=design or found,
        synthesis=None if found is None else SynthesisRecord.read(folder),
        others=others,
    )


def _files(target: Path) -> tuple[Path, IntegerNetwork | None, Path | None, Config | None]:
    """The network's file and the network; the folder of its run and the configuration.

    The file is in the folder, or beside it with its name.
    """
    if is_folder(target):
        if not (target / CONFIG_FILE).exists():
            raise ChandelierError(f"{target} is no run, as it has no {CONFIG_FILE}: give runs/NAME or NAME.safetensors")
        config = load_config(target / CONFIG_FILE)
        inside, beside = (folder / f"{config.name}.safetensors" for folder in (target, target.parent))
        path = beside if beside.exists() and not inside.exists() else inside
        return path, load_network(path) if path.exists() else None, target, config
    network = load_network(target)
    for run in (target.parent, target.with_suffix("")):
        if (run / CONFIG_FILE).exists():
            config = load_config(run / CONFIG_FILE)
            if config.name == network.name:
                return target, network, run, config
    return target, network, None, None


def _epochs(path: Path) -> list[Epoch]:
    """The figures of every epoch; none if the file is not there."""
    if not path.exists():
        return []
    epochs = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        try:
            epochs.append(Epoch.model_validate_json(line))
        except ValidationError as error:
            raise ChandelierError(f"{path} is damaged in line {number}: {error.errors()[0]['msg']}") from None
    return epochs


def _design_in(
    given: Path | None, default: Path, sha256: str | None, others: list[str], needed: str = FILE_NAME
) -> Design | None:
    """The design in a folder, if it is there and of this network; ``others`` learns of one that is not."""
    folder = given or default
    if given is None and not (folder / needed).exists():
        return None
    manifest = Manifest.read(folder)
    if manifest.network_sha256 == sha256:
        return Design(folder, manifest)
    others.append(f"{folder} holds the design of another network")
    return None
