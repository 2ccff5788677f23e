"""Damaged inputs are read, or refused in one line: some seconds of `make fuzz`, and what it found before."""

import base64
import random
import time
from pathlib import Path

import pytest

from quant.errors import ChandelierError
from tests.fuzz.found import FOUND
from tests.fuzz.mutations import any_bytes
from tests.fuzz.readers import READERS, Reader, outcome

# Designs are made that are not elaborated.
pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")

#: Processor time for each reader in seconds.
SECONDS = 0.5


@pytest.mark.parametrize("name", READERS)
def test_damaged_inputs(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    reader, seed = READERS[name], request.config.getoption("--fuzz-seed")
    seeds = reader.seeds(tmp_path)
    assert outcome(reader, seeds[0], tmp_path) == "read"
    number, end = 0, time.process_time() + SECONDS
    while time.process_time() < end:
        rng = random.Random(f"{seed} {name} {number}")
        data = reader.mutate(rng, rng.choice(seeds))
        while rng.random() < 0.4:
            data = reader.mutate(rng, data)
        try:
            outcome(reader, data, tmp_path)
        except Exception as error:
            shown = base64.b64encode(data).decode()
            raise AssertionError(f"{name}, --fuzz-seed {seed}, input {number}: {shown}") from error
        number += 1
    assert number > 1


@pytest.mark.parametrize(("name", "what"), [(name, what) for name, found in FOUND.items() for what in found])
def test_what_was_found(name: str, what: str, tmp_path: Path) -> None:
    seed = READERS[name].seeds(tmp_path)[0]
    data = FOUND[name][what](seed)
    assert data != seed
    assert outcome(READERS[name], data, tmp_path) != "read"


def test_a_crash_is_seen(tmp_path: Path) -> None:
    """Another exception than a refusal; and of a refusal only the kind is told."""

    def read(data: bytes, _: Path) -> None:
        if data == b"bad":
            raise ChandelierError(f"it holds {len(data)} bytes,\n'bad'")
        raise KeyError(data)

    reader = Reader(lambda _: [], read, any_bytes)
    assert outcome(reader, b"bad", tmp_path) == "it holds ? bytes, ?"
    with pytest.raises(KeyError):
        outcome(reader, b"worse", tmp_path)
