"""Training on one GPU or several processes: the device, a process's share of a batch, sums over all processes.

``torchrun`` starts the processes. Each draws the same batches from the same seed and takes every N-th sample of
them; what is summed over samples is summed over processes, so that the result is that of one process with whole
batches, up to the order in which floating-point numbers are added. Without ``torchrun`` there is one process, its
share is everything, and a sum over processes is what is summed.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from quant.errors import ChandelierError, SetupError

__all__ = [
    "DeviceName",
    "batch_statistics",
    "copy_from_first",
    "count",
    "device",
    "is_first",
    "processes",
    "rank",
    "require_bfloat16",
    "require_same",
    "share",
    "sum_gradients",
    "total",
]

#: ``auto`` is CUDA where there is any.
DeviceName = Literal["auto", "cpu", "cuda"]

_Rows = TypeVar("_Rows", Tensor, np.ndarray)


def _environment(name: str) -> int:
    """What torchrun says about this process; 0 without it."""
    return int(os.environ[name]) if "TORCHELASTIC_RUN_ID" in os.environ else 0


def is_first() -> bool:
    """Whether this is the process that writes files and talks, also outside of :func:`processes`."""
    return _environment("RANK") == 0


def rank() -> int:
    """Of this process, 0..count-1."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def count() -> int:
    """Of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def _device(name: DeviceName) -> torch.device:
    """The device of this process: of several on a machine, each has a GPU of its own."""
    gpus = torch.cuda.device_count()
    if name == "cpu" or (name == "auto" and not gpus):
        return torch.device("cpu")
    if not gpus:
        raise SetupError('training.device = "cuda" and PyTorch finds no GPU: set it to "auto" or "cpu"')
    if (local := _environment("LOCAL_RANK")) >= gpus:
        raise SetupError(f"torchrun started more processes than this machine has GPUs: --nproc-per-node {gpus}")
    return torch.device("cuda", local)


@contextmanager
def device(name: DeviceName) -> Iterator[torch.device]:
    """Yields the device of this process, set up for exact integers.

    Raises
    ------
    ChandelierError
        If there is no such device, or its memory is full.
    """
    chosen = _device(name)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    # TensorFloat-32 keeps 11 bits of a factor.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield chosen
    except torch.OutOfMemoryError:
        raise ChandelierError(f"the memory of {chosen} is full: use a smaller training.batch") from None


def require_bfloat16(device: torch.device) -> None:
    """Refuses GPUs that only emulate bfloat16; on a CPU it works everywhere."""
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        name = torch.cuda.get_device_name(device)
        raise SetupError(f"{name} has no bfloat16 (compute capability 8.0): set training.mixed_precision = false")


@contextmanager
def processes(device: torch.device) -> Iterator[None]:
    """Joins the processes that torchrun started, if it did.

    Raises
    ------
    ChandelierError
        If another process ends before this one is through.
    """
    if _environment("WORLD_SIZE") < 2:
        yield
        return
    with _losing_others():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    failed = True
    try:
        yield
        with _losing_others():
            dist.barrier()  # one that left while another was still busy was seen to abort
        failed = False
    finally:
        # After an error, NCCL would wait for the others; gloo does not, and aborts if it is left open.
        if not failed or device.type == "cpu":
            dist.destroy_process_group()


@contextmanager
def _losing_others() -> Iterator[None]:
    """One line where a process waits for one that has ended."""
    try:
        yield
    except RuntimeError as error:
        own, said = _environment("RANK"), " ".join(str(error).split())[:100]
        raise ChandelierError(f"process {own} lost another process, whose own line says why ({said})") from None


def share(rows: _Rows) -> _Rows:
    """This process's part of a batch: every N-th row. It can be empty."""
    return rows[rank() :: count()]


class _Total(torch.autograd.Function):
    """The sum over processes; its gradient is the sum over processes, too, as each holds a part of the loss."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        result = x.contiguous().clone()
        with _losing_others():
            dist.all_reduce(result)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _Total.forward(ctx, gradients[0])


def total(x: Tensor) -> Tensor:
    """The sum over all processes of ``x``, differentiable; all must call it in the same order."""
    return x if count() == 1 else _Total.apply(x)


def batch_statistics(rows: Tensor) -> tuple[int, Tensor, Tensor]:
    """Number, mean and variance (not corrected) of the rows (samples, n) of all processes; differentiable."""
    if count() == 1:
        variance, mean = torch.var_mean(rows, 0, correction=0)
        return len(rows), mean, variance
    number = int(total(torch.tensor(len(rows), device=rows.device)))
    mean = total(rows.sum(0)) / number
    return number, mean, total((rows - mean).square().sum(0)) / number


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Every process gets the sum of all processes' gradients, in one transfer."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if count() == 1 or not gradients:
        return
    sums = total(torch.cat([gradient.flatten() for gradient in gradients]))
    for gradient, part in zip(gradients, sums.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def copy_from_first(tensors: Iterable[Tensor]) -> None:
    """Every process gets the first one's values."""
    if count() > 1:
        with torch.no_grad(), _losing_others():
            for tensor in tensors:
                dist.broadcast(tensor, 0)


def require_same(text: str, device: torch.device, complaint: str) -> None:
    """Refuses processes that do not all have the same ``text``, with ``complaint``."""
    digest = torch.tensor(list(hashlib.sha256(text.encode()).digest()), device=device)
    if not torch.equal(total(digest), digest * count()):
        raise ChandelierError(complaint)
