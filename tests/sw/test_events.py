"""Recordings of event cameras: small files of each published format, the frames made of them, and damage."""

import base64
import io
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quant.errors import ChandelierError
from sw.data import DATASETS, Census, bring, events, load
from sw.data.events import EVENTS, aedat4_decoder, frames, read_aedat2, read_aedat3, read_aedat4, read_npy

#: 30 events at 1000 + 10 i, column i, row 3 i, on if i is a multiple of 3; written by dv-processing 2.0.4.
AEDAT4 = zlib.decompress(
    base64.b85decode(
        "c-ozmKWx)L6vn?0H?*ODLTRD2rE*OqBt+v-5Gqm<lr%w&poySS3K9cW>=r{~NA@{V8JL-wnVFfHnVFfH7?>ECI&gV@hA4GK#Yy&e"
        "Kj*vm;(Paeb+uf3yjCr@Zs+n->1+~M08npk)j%VSIVhOKxSWM!QeLI8aQ^cQP%!&y-|~Fhb&A@0F0Yl+svHH!H7(UKx>iwh15tPO"
        "Tutp6;zd!@nRT{~+VjVZ`C%*B4Iw=Bm33IuI&Qb;S^gluri#O!4B!jTcJ{SWquHnx^nvxn)vjmn+m3Ot?V7=X)sXo|gKWEwyD6W0"
        "#;#`z%R6PjW*~Zjhzn@-El2qO2s2nxwfv4}_e9K_Z3ez@yQ*mjgMLw6N|!rD)Ve9t+k3X<jRvi?TRX7<hH7KS)iJNzBjt?A?c1-d"
        "Cs9h<5nAcy`bJ#3m~~J8XPp~(onxC{ZSS10yr2(WbLd14aWpUJX1^3Qf;{_22_Pe<gPj9XvP%?shr9zT^7@{{pOF~!OEQ{=lcQu5"
        "Dn*)7LQZ0W{26A2x(--m9>WZ2mN|u4^5>Y(VxDw^d7Qc$s4!1piTn?hsLNMK+sx;%O8Q)hdOl13m&{YRMk<)6ah>!H^9<I=|CTv}"
        "Jn1{;^SDL&o_Q8`$p3-)0`8K2WS&ET^b_+u?vej9^F>rhzc61y`1$(Eynrq8e`CIk2c$ok7ttX7#k_<^<OhG}meC6LiTMh4NuMFC"
        "|NU0EGFtxx{qJyhZpa-}BrVH*oW|etQ{wus@T2IwM0tJ#VxRzZ"
    )
)


def _recording(count: int = 200, seed: int = 0, last: int = 127) -> np.ndarray:
    rng = np.random.default_rng(seed)
    recording = np.empty(count, EVENTS)
    recording["t"] = np.sort(rng.integers(0, 5000, count) * 1000)  # whole milliseconds, for .npy
    recording["x"], recording["y"] = rng.integers(0, last + 1, (2, count))
    recording["p"] = rng.integers(0, 2, count)
    return recording


def _aedat2(recording: np.ndarray) -> bytes:
    header = b"#!AER-DAT2.0\r\n# This is a raw AE data file\r\n#  created Thu May 19 2016\r\n"
    address = (127 - recording["x"].astype(np.uint32)) << 8 | (127 - recording["y"].astype(np.uint32)) << 1
    return header + np.stack([address | ~recording["p"], recording["t"]], 1).astype(">u4").tobytes()


def _aedat3(recording: np.ndarray, packet: int = 60) -> bytes:
    """With a packet of another kind between those of polarity events, and one that is not full."""
    data = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n"
    for part in np.split(recording, range(packet, len(recording), packet)):
        place = part["x"].astype(np.uint32) << 17 | part["y"].astype(np.uint32) << 2
        words = np.stack([place | part["p"] * 2 | 1, part["t"]], 1).astype("<u4").tobytes()
        data += struct.pack("<HHIIIIII", 0, 1, 8, 4, 0, 1, 1, 1) + bytes(8)
        data += struct.pack("<HHIIIIII", 1, 1, 8, 4, 0, len(part) + 1, len(part), len(part)) + words + bytes(8)
    return data


def _aedat4_events(path: Path) -> np.ndarray:
    with aedat4_decoder() as decoder:
        return read_aedat4(path, decoder)


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _columns(recording: np.ndarray) -> np.ndarray:
    """As in tonic's DVSGesture: x, y, polarity, milliseconds."""
    return np.stack([recording["x"], recording["y"], recording["p"], recording["t"] // 1000], 1).astype(np.float64)


def _same_events(found: np.ndarray, expected: np.ndarray) -> bool:
    return found.dtype == EVENTS and np.array_equal(found, expected)


def test_every_format_gives_the_same_events(tmp_path: Path) -> None:
    recording = _recording()
    (tmp_path / "0.npy").write_bytes(_npy(_columns(recording)))
    assert _same_events(read_aedat2(_aedat2(recording)), recording)
    assert _same_events(read_aedat3(_aedat3(recording)), recording)
    assert _same_events(read_npy(tmp_path / "0.npy"), recording)


def test_aedat4(tmp_path: Path) -> None:
    pytest.importorskip("aedat")
    pytest.importorskip("tonic")
    (tmp_path / "e.aedat4").write_bytes(AEDAT4)
    found, i = _aedat4_events(tmp_path / "e.aedat4"), np.arange(30)
    assert found.dtype == EVENTS and np.array_equal(found["t"], 1000 + 10 * i)
    assert np.array_equal(found["x"], i) and np.array_equal(found["y"], 3 * i)
    assert np.array_equal(found["p"], i % 3 == 0)


def test_times_are_put_in_order_and_go_on_beyond_31_bits() -> None:
    recording = _recording()
    shuffled = np.random.default_rng(1).permutation(recording)
    assert np.array_equal(read_aedat2(_aedat2(shuffled))["t"], recording["t"])
    data = bytearray(_aedat3(recording[:10]))
    struct.pack_into("<I", data, data.index(b"#!END-HEADER\r\n") + 14 + 36 + 12, 2)  # the overflow of the second packet
    assert np.array_equal(read_aedat3(bytes(data))["t"], recording["t"][:10] + (2 << 31))


def test_the_shares_of_a_pixel_are_thirds_and_every_cell_gets_eight() -> None:
    shares = events._shares()
    assert shares.shape == (48, 128) and (shares.sum(0) == 3).all() and (shares.sum(1) == 8).all()
    assert shares[0, :4].tolist() == [3, 3, 2, 0] and shares[1, :7].tolist() == [0, 0, 1, 3, 3, 1, 0]


def _tonic() -> Any:
    return pytest.importorskip("tonic.transforms")


@pytest.mark.parametrize("steps", [10, 16])
def test_frames_count_each_event_once_in_ninths(steps: int) -> None:
    tonic, recording = _tonic(), _recording(20 * steps)
    made = frames(tonic, recording, steps)
    assert made.shape == (steps, 48, 48, 2) and made.dtype == np.uint8
    assert (made.sum((1, 2, 3), dtype=int) == 20 * 9).all()  # as many events in every frame
    for step, part in enumerate(np.split(recording, steps)):
        expected = np.zeros((48, 48, 2), int)
        for event in part:
            for row in range(3 * event["y"], 3 * event["y"] + 3):  # in thirds, a pixel has 3 and a cell 8
                for column in range(3 * event["x"], 3 * event["x"] + 3):
                    expected[row // 8, column // 8, int(event["p"])] += 1
        assert np.array_equal(made[step], expected)


def test_many_events_at_one_place_are_held_at_255() -> None:
    tonic = _tonic()
    recording = np.zeros(10_000, EVENTS)
    recording["t"] = np.arange(10_000)
    made = frames(tonic, recording, 10)
    assert made[:, 0, 0, 0].tolist() == [255] * 10 and made.sum() == 2550


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


CUTS = "class,start,end\n" + "".join(f"{i + 1},{400_000 * i},{400_000 * (i + 1)}\n" for i in range(11))


def _published_gestures(folder: Path) -> Path:
    """Two recordings with eleven gestures each."""
    for half, name, seed in (("train", "user01_lab", 0), ("test", "user24_led", 1)):
        _write(folder / f"trials_to_{half}.txt", f"{name}.aedat\n\n".encode())
        _write(folder / f"{name}.aedat", _aedat3(_recording(4000, seed)))
        _write(folder / f"{name}_labels.csv", CUTS.encode())
    return folder


def _cut_gestures(folder: Path) -> Path:
    """The same, as tonic has them."""
    for half, name, seed in (("Train", "user01_lab", 0), ("Test", "user24_led", 1)):
        recording = _recording(4000, seed)
        for i in range(11):
            part = recording[recording["t"] // 400_000 == i]
            _write(folder / f"ibmGesture{half}" / name / f"{i}.npy", _npy(_columns(part)))
    return folder


def test_dvs128_gesture_of_either_publisher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tonic = _tonic()
    monkeypatch.setenv("CHANDELIER_CACHE", str(tmp_path / "cache"))
    bring("dvs128-gesture", _published_gestures(tmp_path / "ibm"))
    data = load("dvs128-gesture")
    assert (data.steps, data.features, data.image_shape, data.classes) == (16, 48 * 48 * 2, (48, 48, 2), 11)
    assert data.y_train.tolist() == data.y_test.tolist() == [*range(11)]
    recording = _recording(4000)
    third = frames(tonic, recording[recording["t"] // 400_000 == 3], 16) / np.float32(255)
    assert np.array_equal(data.x_train[3], third.reshape(16, -1))
    bring("dvs128-gesture", _cut_gestures(tmp_path / "tonic"))
    again = load("dvs128-gesture")
    order = np.argsort(again.y_train)  # files are in alphabetical order, 10 before 2
    assert np.array_equal(again.x_train[order], data.x_train) and np.array_equal(np.sort(again.y_test), data.y_test)


def _cifar10_dvs(folder: Path, count: int = 10) -> Path:
    for label, name in enumerate(events.CIFAR10_CLASSES):
        for i in range(count):
            _write(folder / name / f"cifar10_{name}_{i}.aedat", _aedat2(_recording(60, 100 * label + i)))
    return folder


def test_cifar10_dvs_is_split_by_the_order_of_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tonic = _tonic()
    monkeypatch.setenv("CHANDELIER_CACHE", str(tmp_path / "cache"))
    census = Census((10, 48, 48, 2), 10, 10, 1)
    monkeypatch.setitem(DATASETS, "cifar10-dvs", replace(DATASETS["cifar10-dvs"], census=census))
    bring("cifar10-dvs", _cifar10_dvs(tmp_path / "dvs", 11))
    data = load("cifar10-dvs")
    assert (data.steps, data.image_shape, data.classes) == (10, (48, 48, 2), 10)
    assert data.y_test.tolist() == [*range(10)]
    for label in (0, 7):
        ninth = frames(tonic, _recording(60, 100 * label + 9), 10) / np.float32(255)  # after 1 and 10, and 2 to 8
        assert np.array_equal(data.x_test[label], ninth.reshape(10, -1))


def test_cifar10_dvs_of_aedat4(tmp_path: Path) -> None:
    pytest.importorskip("aedat")
    tonic = _tonic()
    _write(tmp_path / "frog" / "a.aedat4", AEDAT4)
    found = events.read_cifar10_dvs(tmp_path)
    assert found["y_train"].tolist() == [6] and len(found["x_test"]) == 0
    assert np.array_equal(found["x_train"][0], frames(tonic, _aedat4_events(tmp_path / "frog" / "a.aedat4"), 10))


def test_a_folder_without_recordings_is_one_line(tmp_path: Path) -> None:
    _tonic()
    for name in ("dvs128-gesture", "cifar10-dvs"):
        with pytest.raises(ChandelierError, match=f"^{name}: class 0 has 0 samples in y_train, .* files are missing"):
            bring(name, tmp_path, tmp_path / "cache")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it is no AEDAT 2.0 file"),
        (b"#!AER-DAT3.1\r\n", "it is no AEDAT 2.0 file"),
        (_aedat2(_recording())[:-1], "it has 1599 bytes of events, and an event has 8"),
        (b"#!AER-DAT2.0", "it has 0 events, and 10 frames are to be made of them"),
        (_aedat2(_recording(9)), "it has 9 events, and 10 frames"),
    ],
)
def test_damage_to_aedat2_is_one_line(tmp_path: Path, data: bytes, message: str) -> None:
    _tonic()
    _write(tmp_path / "cat" / "cifar10_cat_0.aedat", data)
    with pytest.raises(ChandelierError, match=f"cifar10_cat_0.aedat: {message}"):
        events.read_cifar10_dvs(tmp_path)


HEAD = b"#!AER-DAT3.1\r\n#!END-HEADER\r\n"


@pytest.mark.parametrize(
    ("file", "data", "message"),
    [
        ("user01_lab.aedat", b"#!AER-DAT2.0\r\n", r"user01_lab\.aedat: it is no AEDAT 3\.1 file"),
        ("user01_lab.aedat", HEAD, "it has no events"),
        ("user01_lab.aedat", HEAD[:-1], "it has no events"),
        ("user01_lab.aedat", HEAD + bytes(27), "its last packet is cut short"),
        ("user01_lab.aedat", _aedat3(_recording())[:-1], "a packet of 20 of 21 events of 8 bytes does not fit"),
        ("user01_lab.aedat", HEAD + struct.pack("<HHIIIIII", 1, 0, 9, 4, 0, 0, 0, 0), "0 events of 9 bytes"),
        ("user01_lab.aedat", HEAD + struct.pack("<HHIIIIII", 1, 0, 8, 4, 0, 0, 1 << 31, 0), "of 0 events of 8 bytes"),
        ("user01_lab.aedat", _aedat3(_recording(100, last=200)), r"x is \d+\.\.200, and 0\.\.127 is the sensor"),
        ("user01_lab.aedat", _aedat3(_recording(100)), r"it has \d+ events, and 16 frames are to be made of them"),
        ("user01_lab_labels.csv", b"class,start,end\n12,0,1\n", r"no class of 1\.\.11, start and end: '12,0,1'"),
        ("user01_lab_labels.csv", b"class,start,end\n1,0\n", "no class of"),
        ("user01_lab_labels.csv", b"class,start,end\n1,\xff,2\n", "no class of"),
        ("trials_to_train.txt", b"../../secret.aedat\n", r"'\.\./\.\./secret\.aedat' is not the name of a recording"),
        ("trials_to_test.txt", b"missing.aedat\n", r"cannot read .*/missing_labels\.csv: No such file"),
    ],
)
def test_damage_to_gestures_is_one_line(tmp_path: Path, file: str, data: bytes, message: str) -> None:
    _tonic()
    _write(_published_gestures(tmp_path / "ibm") / file, data)
    with pytest.raises(ChandelierError, match=message) as caught:
        bring("dvs128-gesture", tmp_path / "ibm", tmp_path / "cache")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("11.npy", _npy(_columns(_recording())), "it is not called after a class, 0..10"),
        ("0.npy", b"rubbish", "it is not a readable .npy"),
        ("0.npy", _npy(np.array([None], dtype=object)), "it is not a readable .npy"),
        ("0.npy", _npy(np.zeros((9, 3))), r"it has the shape \(9, 3\) of float64, not \(events, 4\) of numbers"),
        ("0.npy", _npy(np.full((20, 4), np.nan)), r"it has a number that is not in 0\.\.2\*\*40"),
        ("0.npy", _npy(np.full((20, 4), -1)), r"it has a number that is not in 0\.\.2\*\*40"),
        ("0.npy", _npy(np.full((20, 4), 128)), r"x is 128\.\.128"),
        ("0.npy", _npy(_columns(_recording()))[:-1], "it is not a readable .npy"),
    ],
)
def test_damage_to_cut_gestures_is_one_line(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    _tonic()
    _write(tmp_path / "ibmGestureTrain" / "user01_lab" / name, data)
    with pytest.raises(ChandelierError, match=f"/user01_lab/{name}: {message}") as caught:
        events.read_dvs128_gesture(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _tonic()
    _write(tmp_path / "cat" / "a.aedat", _aedat2(_recording()))
    monkeypatch.setattr(events, "_MOST_BYTES", 1000)
    with pytest.raises(ChandelierError, match=r"a\.aedat has 1,\d{3} bytes, and 1,000 is the limit"):
        events.read_cifar10_dvs(tmp_path)
