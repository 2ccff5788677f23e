"""Bitstreams of a small network for three boards, from nothing but what is installed: a table of what came of it.

``make bitstreams`` runs this in an environment of its own; runs/bitstreams keeps network, files and logs.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path("runs") / "bitstreams"
#: UCI digits, 64-16-10 of two time steps.
CONFIG = """
name = "small"
seed = 0
[data]
name = "digits"
bits = 4
[network]
hidden = [16]
steps = 2
[training]
epochs = 10
batch = 32
[quantisation]
epochs = 10
"""
BOARDS = ("icebreaker", "orangecrab-25f", "ulx3s-85f")
#: Few, so that placing and routing take minutes.
LANES = ("--synapse-lanes", "4", "--population-lanes", "1", "--neuron-lanes", "1")


def chandelier(*arguments: str) -> None:
    """A verb, by the installed program beside this Python; what it says goes to the screen."""
    subprocess.run([Path(sys.executable).parent / "chandelier", *arguments], check=True)


def main() -> None:
    """Trains the network unless it is there, and prints a row for each bitstream."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    network = FOLDER / "small" / "small.safetensors"
    if not network.exists():
        (FOLDER / "small.toml").write_text(CONFIG)
        chandelier("train", str(FOLDER / "small.toml"), "--runs", str(FOLDER))
        chandelier("quantize", str(FOLDER / "small"))
    rows = []
    for board in BOARDS:
        output, begun = FOLDER / board, time.monotonic()
        chandelier("bitstream", str(network), "--board", board, "-o", str(output), *LANES)
        minutes, seconds = divmod(round(time.monotonic() - begun), 60)
        made = json.loads((output / "bitstream.json").read_text())
        used = ", ".join(f"{name} {usage['used']:,}" for name, usage in made["resources"].items())
        rows.append(
            f"| `{board}` | {used} | {made['image']}, {made['size']:,} | {made['clock']:g}, "
            f"{made['routed']['clock']:.1f} | {minutes}:{seconds:02} |"
        )
    print("| board | resources | file, bytes | MHz: wanted, would hold | wall time |")
    print("| --- " * 5 + "|", *rows, sep="\n")


if __name__ == "__main__":
    main()
