"""Work on a Dask cluster: the same as in one process, also where a worker is killed in the middle."""

import gc
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dask
import numpy as np
import pytest
from distributed import Client

from hw.folding import default_foldings
from quant.errors import ChandelierError
from sim.report import CosimReport
from sw.cluster import cluster
from sw.cosim import cosimulate_network
from tests.random_networks import random_network
from tests.sw.units import die, die_once, fail

ROOT = Path(__file__).parents[2]
#: Of the cluster, in seconds: it starts in a few, on a quiet machine.
PATIENCE = 120


class _Machines:
    """A scheduler and workers, each a process as on machines of their own."""

    def __init__(self, folder: Path) -> None:
        self._file, self.workers = folder / "scheduler.json", list[subprocess.Popen[bytes]]()
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0")
        end = time.monotonic() + PATIENCE
        while not self._file.exists() and time.monotonic() < end:
            time.sleep(0.1)
        self.address: str = json.loads(self._file.read_text())["address"]

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", *arguments, "--scheduler-file", str(self._file), "--no-dashboard"]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, env=environment, cwd=self._file.parent, stderr=subprocess.DEVNULL)

    def add(self, workers: int) -> None:
        """Starts workers, and waits for all of them."""
        options = ("--nthreads", "1", "--no-nanny", "--host", "127.0.0.1")
        self.workers += [self._start("worker", *options) for _ in range(workers)]
        with Client(self.address) as client:
            client.wait_for_workers(len(self.workers), timeout=PATIENCE)

    def stop(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[_Machines]:
    started = _Machines(tmp_path)
    yield started
    started.stop()


def _timeless(report: CosimReport) -> CosimReport:
    """What does not depend on how quick the machine is."""
    return replace(report, seconds=0.0, build_seconds=0.0, build_cached=True)


@pytest.mark.slow
def test_a_killed_worker_changes_nothing(machines: _Machines, tmp_path: Path) -> None:
    network = random_network(4, largest=8)
    rng, shape = np.random.default_rng(1), (400, network.input.features)
    x, y = rng.random(shape).astype(np.float32), np.arange(400) % network.classes
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    options = {"foldings": default_foldings(network), "stalls": 0.2, "seed": 5}
    alone, planted = cosimulate_network(network, f"{tmp_path}/d.npz", "all", progress=lambda *_: None, **options)  # type: ignore[arg-type]
    machines.add(3)
    killed: list[int] = []

    def kill(_name: str, done: int, total: int, _figures: str = "") -> None:
        """One of three, when the first shard is through and others are not."""
        if not killed:
            killed.append(done)
            assert done < total
            machines.workers[1].kill()

    with cluster(None, machines.address) as workers:
        found, others = cosimulate_network(
            network,
            f"{tmp_path}/d.npz",
            "all",
            cluster=workers,
            progress=kill,
            **options,  # type: ignore[arg-type]
        )
    assert killed and machines.workers[1].wait() == -signal.SIGKILL
    assert alone.samples == 400 and alone.interval is not None
    assert _timeless(found) == _timeless(alone)
    assert [control.fault for control in others] == [control.fault for control in planted]


@pytest.mark.slow
def test_processes_of_this_machine(tmp_path: Path) -> None:
    with cluster(2, None) as workers:
        quiet = workers._client.run(lambda: any("never used" in str(own[1]) for own in warnings.filters))
        assert list(quiet.values()) == [True, True]  # as the process of the command line is
        found = dict(workers.run(die_once, [(k,) for k in range(4)], str(tmp_path)))
        assert [found[k] for k in range(4)] == [0, 1, 4, 9]
        assert [path.name for path in tmp_path.iterdir()] == ["1"]  # a worker was lost
        with pytest.raises(ChandelierError, match="unit 7 is not to be"):
            list(workers.run(fail, [(7,)]))


@pytest.mark.slow
def test_a_unit_that_takes_its_workers_with_it_is_given_up() -> None:
    once = dask.config.set({"distributed.scheduler.allowed-failures": 0})  # by default it is tried on four workers
    with once, cluster(1, None) as workers, pytest.raises(ChandelierError, match="1 workers died over the same unit"):
        list(workers.run(die, [()]))


def test_what_is_no_cluster_is_said(machines: _Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sw.cluster._PATIENCE", 1)
    for workers, address, said in (
        (2, "tcp://127.0.0.1:1", "not both"),
        (None, "tcp://127.0.0.1:1", "no scheduler answers at tcp://127.0.0.1:1 .*dask scheduler"),
        (None, "nowhere", "no scheduler answers at nowhere"),
        (None, machines.address, "has no workers.*dask worker"),
    ):
        with pytest.raises(ChandelierError, match=said), cluster(workers, address):
            pass
        # One that did not come about would close itself whenever it is collected, in the start of a thread, too.
        assert not [o for o in gc.get_objects() if type(o) is Client and o.status != "closed"]
