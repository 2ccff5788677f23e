"""Mutation testing of the arithmetic: a wrong operator or number at a time, which ``tests/quant`` has to notice.

``python -m tests.quant.mutants`` (``make mutants-python``). mutmut makes the mutants, and runs of the tests those that
reach one, in a copy of the sources.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from quant.files import write_json

ROOT = Path(__file__).parents[2]
FILES = ("arithmetic", "reciprocal", "exact", "formats", "golden", "quantisers", "widths")
#: Share of the mutants that has to be killed.
REQUIRED = 0.95
REPORT = Path("build/verify/mutants-python.json")
#: What mutmut writes down of a mutant: the exit code of pytest, or why there is none.
STATUS = {0: "survived", 1: "killed", 3: "killed", 5: "no tests", 33: "no tests", 36: "timeout", None: "not tried"}

#: Lines of mutants that change no result, by the reason. Where the source is edited, they have to be looked at again.
EQUIVALENT = {
    "another way to the same integers, at another speed": (
        'if d.device.type != "cpu" and (d.numel() == 0 or d.amin() > 0):  # a look at values would make a GPU wait',
        'if d.device.type == "XXcpuXX" and (d.numel() == 0 or d.amin() > 0):  # a look at values would make a GPU wait',
        'left = u.sub(spike, alpha=theta) if reset == "XXsubtractXX" else after_reset(u, spike, theta, reset, select)',
        'left = u.sub(spike, alpha=theta) if reset == "SUBTRACT" else after_reset(u, spike, theta, reset, select)',
        'left = u.sub(spike, alpha=theta) if (reset == "subtract") and False else '
        "after_reset(u, spike, theta, reset, select)",
        "if not proven or not narrow(_magnitude(bal) * int(g_e.amax()) << r.bits, shift, _magnitude(d), membrane):",
        "size = max(1, min(1001, _BATCH_VALUES // largest))",
        "size = max(2, CACHED // max(1, currents[0, :1].numel()))",
        'rows = max(2, CACHED // bal.shape[-1]) if d.device.type == "cpu" else max(1, bal.numel())',
        "currents = currents.to(None).expand(steps, -1, -1, -1, -1)",
        "terms = added * x_max * np.maximum(layer.a * np.abs(w_ee).sum(None), w_ei @ w_ie.sum(1))",
        "size = max(2, min(1000, _BATCH_VALUES // largest))",
        "inside = [torch.eq(*pair, out=torch.empty_like(pair[1])) for pair in zip(codes, scaled, strict=True)]",
        "inside = [torch.eq(*pair, out=None) for pair in zip(codes, scaled, strict=True)]",
        "inside = [torch.eq(*pair, ) for pair in zip(codes, scaled, strict=True)]",
    ),
    "integers, rounded to integers": ("return sums.round_() if (self.layer.wiring.window) or True else sums",),
    "tensors are on the processor in any case here": (
        "current = torch.empty(bal.shape, dtype=state_dtype(membrane), )",
    ),
    "both are of one length by construction": (
        "inside = [torch.eq(*pair, out=torch.empty_like(pair[0])) for pair in zip(codes, scaled, )]",
        "d_xs = [(gradient * mask).div_(step) for gradient, mask in zip(gradients, inside, )]",
        "max(g * v for g, v in zip(gains, high, strict=None)),",
        "max(g * v for g, v in zip(gains, high, )),",
        "for part, divisor, result in zip(*parts, strict=False):",
        'return dict(zip(("r", "e"), reciprocal(signals["divisor"], neurons.reciprocal), strict=False))',
        "min(g * v for g, v in zip(gains, low, )),",
    ),
    "only the largest of what is never negative counts": (
        'ranges["d"] = (1, max(Format(neurons.gain_i_bits).max * inhibited, neurons.floor))',
        'ranges = {"i_ee": (low, high), "i_ie": (1, i_ie), "bal": (layer.a * low - inhibited, layer.a * high)}',
    ),
    "a range of 0..0 has a bit, as one of 0..1 has": ("i_ie = high if layer.n_i else 1",),
    "2**24 itself is exact in float32, and 2**53 in float64": ("return max(max(+f.min, f.max) for f in formats)",),
}

_SETTINGS = f"""
[tool.pytest.ini_options]
addopts = "--import-mode=importlib -p no:cacheprovider -p no:xdist -W ignore"
pythonpath = ["."]

[tool.mutmut]
source_paths = ["quant"]
only_mutate = {[f"quant/{name}.py" for name in FILES]}
pytest_add_cli_args_test_selection = ["tests/quant"]
use_git_change_detection = false
"""


def _mutmut(folder: Path, names: Sequence[str]) -> None:
    """Tries these mutants (mutmut's patterns) of the sources in ``folder``."""
    environment = {**os.environ, "PYTHONPATH": "", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", "1", *names]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"mutmut failed: {(done.stdout + done.stderr)[-3000:]}")


def _results(folder: Path) -> dict[str, str]:
    """What became of each mutant."""
    found: dict[str, str] = {}
    for name in FILES:
        codes = json.loads((folder / "mutants" / "quant" / f"{name}.py.meta").read_text())["exit_code_by_key"]
        found |= {mutant: STATUS.get(code, "timeout") for mutant, code in codes.items()}
    return found


def _prepared(folder: Path) -> None:
    """Copies what is mutated, and what tests it, and lets mutmut make the mutants and see which tests reach them."""
    for name in ("quant", "hw", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "pyproject.toml").write_text(_SETTINGS)
    _mutmut(folder, ["quant.formats.*__mutmut_1"])


def _difference(folder: Path, mutant: str) -> str:
    """The lines that a mutant changes."""
    command = [sys.executable, "-m", "mutmut", "show", mutant]
    shown = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout
    return "\n".join(line for line in shown.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---"))


def _equivalent(difference: str) -> str | None:
    """Why the mutant of these lines changes no result, if it is known."""
    added = " ".join(line[1:].strip() for line in difference.splitlines() if line.startswith("+"))
    return next((reason for reason, lines in EQUIVALENT.items() if added in lines), None)


def _table(results: Mapping[str, str]) -> str:
    rows: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for mutant, status in results.items():
        for row in (f"quant/{mutant.split('.')[1]}.py", "~all"):
            rows[row][status] += 1
    columns = ("killed", "timeout", "equivalent", "survived", "no tests")
    lines = [f"| file | mutants | {' | '.join(columns)} |", "| --- " * (2 + len(columns)) + "|"]
    for name, counts in sorted(rows.items()):
        figures = [counts.total(), *(counts[status] for status in columns)]
        lines.append(f"| {name.removeprefix('~')} | {' | '.join(map(str, figures))} |")
    return "\n".join(lines)


def main() -> int:
    """Tries a sample of the mutants, prints a table and what survived; 1 if too few were killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=200, help="how many are tried, chosen at random; 0 for all")
    parser.add_argument("--seed", type=int, default=1, help="of that choice")
    arguments = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chandelier-mutants-") as scratch:
        folder = Path(scratch)
        _prepared(folder)
        names = sorted(_results(folder))
        chosen = random.Random(arguments.seed).sample(names, min(arguments.mutants or len(names), len(names)))
        print(f"{len(chosen)} of {len(names)} mutants, seed {arguments.seed}", file=sys.stderr, flush=True)
        _mutmut(folder, chosen)
        results = {name: status for name, status in _results(folder).items() if name in chosen}
        survived = {name: _difference(folder, name) for name in chosen if results[name] in ("survived", "no tests")}
    equivalent = {name: reason for name, lines in survived.items() if (reason := _equivalent(lines))}
    results |= dict.fromkeys(equivalent, "equivalent")
    print(_table(results))
    for name, lines in survived.items():
        print(f"\n{equivalent.get(name, 'survived')}: {name}\n{lines}")
    counted, left = len(results) - len(equivalent), len(survived) - len(equivalent)
    share = 1 - left / counted
    report = {
        "seed": arguments.seed,
        "there_are": len(names),
        "seconds": round(time.monotonic() - start),
        "killed": share,
        "mutants": results,
        "survived": survived,
    }
    write_json(REPORT, report)
    print(f"\n{counted - left} of {counted} killed: {100 * share:.1f} %, and {len(equivalent)} equivalent; {REPORT}")
    return int(share < REQUIRED)


if __name__ == "__main__":
    sys.exit(main())
