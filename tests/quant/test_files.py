"""Writing in one step: a failure leaves what was there, and nothing else."""

from pathlib import Path

import pytest

from quant.errors import ChandelierError
from quant.files import replacing, replacing_directory


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "f.txt"
    with replacing(path) as temporary:
        temporary.write_text("one")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "one" and list(path.parent.iterdir()) == [path]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    for text in ("one", "two"):
        with replacing_directory(path) as temporary:
            (temporary / text).write_text(text)
    assert [p.name for p in path.iterdir()] == ["two"]
    with pytest.raises(ZeroDivisionError), replacing_directory(path) as temporary:
        (temporary / "three").write_text("half")
        raise ZeroDivisionError
    assert [p.name for p in path.iterdir()] == ["two"] and list(tmp_path.iterdir()) == [path]


def test_what_the_system_refuses_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ChandelierError, match="cannot write"), replacing(tmp_path / "file" / "f.txt"):
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    path.write_text("good")
    with pytest.raises(ChandelierError, match=r"cannot write .*f\.txt: No space left on device"), replacing(path):
        Path("/dev/full").write_text("x")
    assert path.read_text() == "good" and list(tmp_path.iterdir()) == [path]
