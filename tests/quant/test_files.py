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
        with replacing_directory(path, "one|two|three") as temporary:
            (temporary / text).write_text(text)
    assert [p.name for p in path.iterdir()] == ["two"]
    with pytest.raises(ZeroDivisionError), replacing_directory(path, "one|two|three") as temporary:
        (temporary / "three").write_text("half")
        raise ZeroDivisionError
    assert [p.name for p in path.iterdir()] == ["two"] and list(tmp_path.iterdir()) == [path]


def test_a_folder_with_anything_else_in_it_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    with (
        pytest.raises(ChandelierError, match=r"holds thesis.txt, which would be lost"),
        replacing_directory(folder, "one"),
    ):
        raise AssertionError
    with pytest.raises(ChandelierError, match="is a file"), replacing_directory(folder / "thesis.txt", "one"):
        raise AssertionError
    assert (folder / "thesis.txt").read_text() == "mine" and list(tmp_path.iterdir()) == [folder]


def test_of_a_link_the_folder_behind_it_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    with replacing_directory(tmp_path / "link", "one") as temporary:
        (temporary / "one").write_text("1")
    assert (tmp_path / "folder" / "one").read_text() == "1" and (tmp_path / "link").is_symlink()


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
