"""Exploring: what is dominated, what a study says, and that interruptions and lost workers change nothing."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from hw.folding import Folding
from quant.errors import ChandelierError, SetupError
from quant.network import IntegerNetwork
from sw.cluster import Cluster, cluster
from sw.config import load_config, loaded, parsed
from sw.explore import _Storage, explore
from sw.front import as_json, front_tables, write_front
from sw.shipped import shipped_studies
from sw.study import Aim, Study
from sw.trials import Figures, Refused, dominates, route, train_trial
from tests.random_networks import random_network

TINY = """
name = "tiny"
seed = 3
[data]
name = "digits"
bits = 2
[network]
hidden = [8]
steps = 1
inhibition = "global"
[training]
epochs = 1
[quantisation]
epochs = 3
inhibition_bits = 1
gain_i_bits = 1
[study]
trials = 4
batch = 2
aims = ["accuracy", "luts", "images_per_second"]
[hardware]
devices = ["ecp5-25f"]
target_cycles = [60, 120]
[space.network]
hidden = [[8], [12], [16]]
[space.quantisation]
synapse_bits = [1, 2]
"""


def _study(text: str = TINY) -> Study:
    return parsed(Study, text, "tiny.toml")


def _figures(accuracy: float, luts: int, cycles: float = 50.0) -> Figures:
    return Figures(
        accuracy=accuracy,
        luts=luts,
        ffs=100,
        brams=2,
        dsps=1,
        device="ecp5-25f",
        lanes=[Folding(8, 1, 1)],
        cycles=cycles,
        clock=80.0,
        energy=1.0,
    )


def test_a_design_dominates_if_it_is_better_in_something_and_worse_in_nothing() -> None:
    aims: list[Aim] = ["accuracy", "luts", "images_per_second"]
    good = _figures(0.9, 1000)
    assert not dominates(good, good, aims)
    assert dominates(good, _figures(0.9, 1001), aims) and not dominates(_figures(0.9, 1001), good, aims)
    assert dominates(good, _figures(0.8, 1000), aims)
    assert dominates(good, _figures(0.9, 1000, 51.0), aims)
    assert not dominates(good, _figures(0.91, 5000), aims)
    assert not dominates(_figures(0.9, 900, 51.0), good, aims)
    assert dominates(_figures(0.9, 900, 51.0), good, ["accuracy", "luts"])


@pytest.mark.parametrize("path", shipped_studies().values(), ids=lambda path: path.stem)
def test_shipped_studies_load_and_are_named_like_their_file(path: Path) -> None:
    study = loaded(Study, path)
    assert study.name == path.stem and study.designs >= study.study.trials
    for key, values in study.choices.items():
        for value in values:
            study.config(1, {key: value})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("trials = 4", "trials = 0", "study.trials: .*greater than or equal to 1, not 0"),
        ("trials = 4", "tries = 4", "unknown key study.tries"),
        ('"luts"', '"size"', r"study.aims.1: .*'luts'.*, not 'size'"),
        ("epochs = 3", "epochs = 0", "quantisation.epochs is 0: trials are trained"),
        ("[60, 120]", "[]", "hardware.target_cycles: .*at least 1 item"),
        ("[60, 120]", "[60, 0]", "hardware.target_cycles must be at least 1, not 0"),
        ("[60, 120]", "[60, 60]", "space.hardware.target_cycles needs values that are different"),
        ('["ecp5-25f"]', '["xilinx"]', "hardware.devices.0: .*not 'xilinx'"),
        ("synapse_bits = [1, 2]", "synapse_bits = [1, 9]", "space.quantisation.synapse_bits = 9: .*less than or equal"),
        ("synapse_bits = [1, 2]", "synapse_bits = []", "space.quantisation.synapse_bits needs values"),
        ("synapse_bits = [1, 2]", "synapses = [1, 2]", "unknown key quantisation.synapses"),
        ("[space.network]", "[space.net]", "unknown key net"),
    ],
)
def test_what_is_wrong_with_a_study_is_one_line(old: str, new: str, message: str) -> None:
    assert old in TINY
    with pytest.raises(ChandelierError, match=message) as said:
        _study(TINY.replace(old, new))
    assert str(said.value).startswith("tiny.toml: ") and "\n" not in str(said.value)


class _Here:
    """Does the work of a cluster in this process, without the seconds in which workers start."""

    def run(self, work: Callable[..., Any], units: list[tuple[Any, ...]], shared: object = None) -> Iterator[Any]:
        yield from ((k, work(shared, *unit)) for k, unit in enumerate(units))


_HERE = cast(Cluster, _Here())


def _quiet(*_: object) -> None:
    """Progress that nobody sees."""


class _StopError(Exception):
    """What interrupts an exploration here."""


def _interrupting(after: int, before: Callable[[], None] = lambda: None) -> Callable[..., None]:
    """Progress that calls ``before`` at first, and interrupts when it has been called so often."""
    seen: list[int] = []

    def show(*_: object) -> None:
        if not seen:
            before()
        seen.append(0)
        if len(seen) > after:
            raise _StopError

    return show


def test_an_interrupted_exploration_ends_as_one_that_is_not(tmp_path: Path) -> None:
    study = _study()
    trials, front = explore(study, tmp_path / "whole", _HERE, _quiet)
    for after in (3, 5):
        with pytest.raises(_StopError):
            explore(study, tmp_path / "broken", _HERE, _interrupting(after))
    assert explore(study, tmp_path / "broken", _HERE, _quiet) == (trials, front)
    more = _study(TINY.replace("trials = 4", "trials = 5"))
    assert explore(more, tmp_path / "broken", _HERE, _quiet)[0][:4] == trials
    with pytest.raises(ChandelierError, match="tiny was begun with other settings: change 'name'"):
        explore(_study(TINY.replace("[60, 120]", "[60, 90]")), tmp_path / "broken", _HERE, _quiet)
    choices = {trial.number: trial.choice for trial in trials}  # what was drawn twice has no number here
    assert len(trials) == len({json.dumps(choice) for choice in choices.values()}) == 4 and front

    write_front(study, tmp_path / "whole", trials, front)
    assert [len(table.rows) for table in front_tables(study, trials, front)] == 2 * [len(front)]
    record = as_json(study, trials, front, 1.0)
    assert json.loads(json.dumps(record))["front"][0]["images_per_second"] > 0
    assert (tmp_path / "whole/front.svg").read_text().count("<svg") == 1
    for number in front:
        path = tmp_path / f"whole/front/tiny-{number}.toml"
        assert load_config(path) == study.config(number, choices[number])
        assert (tmp_path / f"whole/networks/tiny-{number}.safetensors").exists()


@pytest.mark.slow
def test_a_lost_worker_loses_no_trial(tmp_path: Path) -> None:
    trials = explore(_study(), tmp_path / "here", _HERE, _quiet)
    with cluster(2, None) as workers:

        def kill() -> None:
            os.kill(min(workers._client.run(os.getpid).values()), signal.SIGKILL)

        assert explore(_study(), tmp_path / "there", workers, _interrupting(99, kill)) == trials


def test_designs_that_fit_nowhere_are_not_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sw.trials.CAPACITIES", {"ecp5-25f": (900, 1, 1)})
    with pytest.raises(ChandelierError, match=r"all 4 trials were refused, the first for: Area.* is too much for ecp5"):
        explore(_study(), tmp_path, _HERE, _quiet)
    assert not (tmp_path / "runs").exists()


def test_what_cannot_be_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, folder = _study(), str(tmp_path / "run")
    signed = study.config(0, {"network.inhibition": "none", "quantisation.synapse_bits": 1})
    refused = train_trial(study, signed, 60, folder, True)
    assert isinstance(refused, Refused) and "synapse_bits must be 2..8, not 1" in refused.why

    def diverging(*_: object) -> None:
        raise ChandelierError("training diverged")

    monkeypatch.setattr("sw.trials.train", diverging)
    assert train_trial(study, study.config(0, {}), 60, folder, True) == Refused(why="training diverged", excess=1.0)


def test_what_is_not_the_design_stops_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = TINY.replace("trials = 4", "trials = 1")
    explore(_study(one), tmp_path / "tiny", _HERE, _quiet)
    (tmp_path / "tiny/study.db").unlink()
    other = _study(one.replace("seed = 3", "seed = 4"))
    with pytest.raises(SetupError, match="tiny/runs/0/short was trained with another configuration: change 'name'"):
        explore(other, tmp_path / "tiny", _HERE, _quiet)
    assert [trial.outcome for trial in _Storage(other, tmp_path / "tiny", None).trials()] == ["open"]
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(SetupError, match="PyTorch finds no GPU"):
        explore(_study(one.replace("[training]", '[training]\ndevice = "cuda"')), tmp_path / "gpu", _HERE, _quiet)


def test_without_a_router_nothing_is_trained_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = _study(TINY.replace("[study]", "[study]\nplace_and_route = true"))
    error: ChandelierError = SetupError("nextpnr-ecp5 is not installed")

    def failing(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("sw.trials.synthesise", failing)
    with pytest.raises(SetupError, match="not installed"):
        route(study, random_network(1), _figures(0.9, 1000))
    error = ChandelierError("does not fit")
    assert route(study, random_network(1), _figures(0.9, 1000)) == Refused(why="does not fit", excess=1.0)
    monkeypatch.setattr("hw.tools.shutil.which", lambda *_, **__: None)
    with pytest.raises(SetupError, match="yosys is not installed"):
        explore(study, tmp_path, _HERE, _quiet)
    assert not list(tmp_path.iterdir())


def test_the_front_is_that_of_what_was_placed_and_routed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = _study(TINY.replace("trials = 4", "trials = 3"))
    _, front = explore(study, tmp_path, _HERE, _quiet)

    def routed(_study: Study, network: IntegerNetwork, figures: Figures) -> Figures | Refused:
        """Does not fit if it is the first, and is the best in everything if it is the last."""
        number = int(network.name.removeprefix("tiny-"))
        if number == min(front):
            return Refused(why="no", excess=1.0)
        best = {"accuracy": 1.0, "luts": 1, "clock": 999.0} if number == max(front) else {}
        return figures.model_copy(update={"routed": True, **best})

    monkeypatch.setattr("sw.explore.route", routed)
    assert len(front) > 1
    routing = study.model_copy(update={"study": study.study.model_copy(update={"place_and_route": True})})
    for _ in range(2):  # the second time from what is kept
        _, found = explore(routing, tmp_path, _HERE, _quiet)
        assert list(found) == [max(front)] and found[max(front)].routed
        monkeypatch.setattr("sw.explore.route", None)
    monkeypatch.setattr("sw.explore._Storage.routed", lambda *_: Refused(why="no", excess=1.0))
    with pytest.raises(ChandelierError, match=r"none of the \d designs of the front could .* the first for: no;"):
        explore(routing, tmp_path, _HERE, _quiet)


@pytest.fixture
def postgres() -> Iterator[str]:
    """The URL of a server of its own, which ends with the test."""
    if shutil.which("initdb") is None or shutil.which("postgres") is None:
        pytest.skip("needs PostgreSQL: apt-get install postgresql, and its programs on the PATH")
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        options: dict[str, Any] = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        if os.geteuid() == 0:  # as whom it does not run
            options["user"] = "nobody"
            shutil.chown(folder, "nobody")
        subprocess.run(["initdb", "-D", "data", "-U", "chandelier", "--auth=trust", "--no-sync"], check=True, **options)
        free.bind(("127.0.0.1", 0))
        port = f"{free.getsockname()[1]}"
        free.close()
        server = subprocess.Popen(["postgres", "-D", "data", "-h", "127.0.0.1", "-p", port, "-k", "", "-F"], **options)
        try:
            for _ in range(300):
                if subprocess.run(["pg_isready", "-h", "127.0.0.1", "-p", port, "-q"], check=False).returncode == 0:
                    break
                time.sleep(0.2)
            yield f"postgresql+psycopg://chandelier@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(60)


def test_two_machines_draw_trials_of_one_study_on_a_server(tmp_path: Path, postgres: str) -> None:
    study = _study(TINY.replace("trials = 4", "trials = 3"))

    def other() -> None:
        """Another machine takes what trials are left, while this one has drawn two."""
        explore(study, tmp_path / "other", _HERE, _quiet, url=postgres)

    trials, front = explore(study, tmp_path / "one", _HERE, _interrupting(99, other), url=postgres)
    assert len(trials) == 3 and all(trial.short for trial in trials) and front
    first, second, last = (f"{trial.number}" for trial in trials)
    assert {path.name for path in (tmp_path / "one/runs").iterdir()} == {first, second}
    assert {path.name for path in (tmp_path / "other/runs").iterdir()} == {last}


def test_a_storage_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    for url, said in (
        ("postgresql+psycopg://me:secret@127.0.0.1:1/x", r"storage postgresql\+psycopg://me:\*\*\*@127.0.0.1:1/x does"),
        ("nonsense", "storage of the study does not work"),
    ):
        with pytest.raises(ChandelierError, match=said) as error:
            explore(_study(), tmp_path, _HERE, _quiet, url=url)
        assert "secret" not in str(error.value) and "\n" not in str(error.value)
