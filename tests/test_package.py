"""What is in a wheel: every file of the packages, and the configurations."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("quant", "hw", "sim", "sw")
#: Builds the wheel as pip would in an environment that has setuptools; it is a process, for it changes the folder.
BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"


def _copy_of_the_sources(folder: Path) -> None:
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "configs", folder / "configs")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)


def test_a_wheel_has_everything(tmp_path: Path) -> None:
    sources, made = tmp_path / "sources", tmp_path / "made"
    _copy_of_the_sources(sources)
    made.mkdir()
    expected = {path.relative_to(sources).as_posix() for name in PACKAGES for path in (sources / name).rglob("*.*")}
    configs = sources / "configs"
    expected |= {f"sw/configs/{path.relative_to(configs).as_posix()}" for path in configs.rglob("*.toml")}
    subprocess.run([sys.executable, "-c", BUILD, made], cwd=sources, check=True, capture_output=True)
    (wheel,) = made.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "installed")
    assert {name for name in names if ".dist-info/" not in name} == expected
    shipped = "shipped_configs, shipped_studies"
    found = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path / 'installed')!r}); "
         f"from sw.shipped import {shipped}; print(*(p for f in ({shipped}) for p in f().values()))"],
        check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    installed = tmp_path / "installed/sw/configs"
    assert {Path(path).relative_to(installed) for path in found} == {
        p.relative_to(configs) for p in configs.rglob("*.toml")
    }
