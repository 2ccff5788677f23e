"""Work on several processes and machines, by Dask distributed: units that any worker can do, and do again."""

import gc
import importlib.metadata
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from quant.errors import ChandelierError
from quant.optional import optional
from sw.console import ignore_unused_components

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Cluster", "cluster"]

_Result = TypeVar("_Result")
#: Seconds in which a scheduler has to answer, and to have a worker.
_PATIENCE = 30


def _same(shared: object) -> object:
    """What all units share is the result of a task: where a worker is lost, another makes it anew."""
    return shared


def _version() -> str:
    return importlib.metadata.version("chandelier")


class Cluster:
    """Workers that are there, each for one unit at a time."""

    def __init__(self, client: "Client") -> None:
        self._client = client

    def run(
        self, work: Callable[..., _Result], units: Sequence[tuple[object, ...]], shared: object = None
    ) -> Iterator[tuple[int, _Result]]:
        """Yields the number of each unit and what ``work(shared, *unit)`` returned, in the order in which they end.

        A unit whose worker is lost is done again by another one. It must therefore give the same each time. The others
        are given up when the generator is closed, or a unit fails.

        Raises
        ------
        ChandelierError
            If a unit takes several workers with it, or by ``work``.
        """
        from distributed import KilledWorker, as_completed

        common = self._client.submit(_same, shared, pure=False)
        futures = {self._client.submit(work, common, *unit, pure=False): k for k, unit in enumerate(units)}
        try:
            for future in as_completed(list(futures)):
                yield futures[future], future.result()
        except KilledWorker as error:
            raise ChandelierError(
                f"{error.allowed_failures + 1} workers died over the same unit of work: they lack memory, or someone "
                "ends them"
            ) from None
        finally:
            self._client.cancel([*futures, common])


@contextmanager
def cluster(workers: int | None, scheduler: str | None) -> Iterator[Cluster]:
    """Yields ``workers`` processes of this machine, of one thread each, or those of a Dask scheduler.

    Parameters
    ----------
    workers : int, >= 1, optional
        If there is no ``scheduler``; 1 if not given.
    scheduler : str, optional
        Its address, like ``tcp://host:8786``. What is sent there and back are Python objects, which can do anything:
        scheduler, workers and the network between them have to be one's own.

    Raises
    ------
    ChandelierError
        If Dask is not installed, or nobody answers there.
    """
    optional("distributed", "--workers, --scheduler and 'chandelier explore'", "chandelier[cluster]")
    if workers is not None and scheduler is not None:
        raise ChandelierError(
            f"--workers {workers} are processes of this machine, and --scheduler has its own: not both"
        )
    with _local(workers or 1) if scheduler is None else _remote(scheduler) as client:
        client.register_worker_callbacks(ignore_unused_components)
        yield Cluster(client)


@contextmanager
def _local(workers: int) -> Iterator["Client"]:
    from distributed import Client, LocalCluster

    # Dask limits each worker's threads of numpy and torch to one by itself. Without limit of memory: it would be an
    # equal share, and who is beyond it is ended.
    options: dict[str, Any] = {"threads_per_worker": 1, "memory_limit": 0, "dashboard_address": "127.0.0.1:0"}
    with (
        LocalCluster(workers, processes=True, silence_logs=logging.CRITICAL, **options) as own,
        Client(own) as client,
    ):
        yield client


def _connected(scheduler: str) -> "Client":
    from distributed import Client

    try:
        return Client(scheduler, timeout=_PATIENCE)
    except (OSError, ValueError) as error:
        said = str(error)
    # A client that did not come about closes itself when it is collected, and waits for a lock then. Should that be in
    # the start of another one's thread, which holds it, neither would ever end: so it is now.
    gc.collect()
    raise ChandelierError(
        f"no scheduler answers at {scheduler} ({said}): 'dask scheduler' starts one, 'dask worker {scheduler} "
        "--nthreads 1' a worker"
    )


@contextmanager
def _remote(scheduler: str) -> Iterator["Client"]:
    with _connected(scheduler) as client:
        try:
            client.wait_for_workers(1, timeout=_PATIENCE)
            others = {place: version for place, version in client.run(_version).items() if version != _version()}
        except TimeoutError:
            raise ChandelierError(
                f"{scheduler} has no workers: 'dask worker {scheduler} --nthreads 1' starts one"
            ) from None
        except ImportError as error:
            raise ChandelierError(f"the workers of {scheduler} lack Chandelier: install it there ({error})") from None
        for place, version in others.items():
            raise ChandelierError(f"worker {place} has Chandelier {version}, and here it is {_version()}")
        yield client
