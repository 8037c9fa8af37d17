"""Tensor files: round trips, identical bytes, and every way a file can be bad."""

import json
import struct

import pytest
import torch
from safetensors.torch import load_file

from animate124.errors import UserError
from animate124.media.tensors import load_tensors, save_tensors

TENSORS = {
    "weight": torch.arange(12, dtype=torch.float32).reshape(3, 4).T,  # not contiguous
    "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "count": torch.tensor(7),
    "mask": torch.tensor([True, False, True]),
    "none": torch.zeros(0, 3),
    "bytes": torch.tensor([[255, 0]], dtype=torch.uint8),
}


def save(path, tensors=TENSORS, **options):
    save_tensors(path, tensors, kind="field", version=2, **options)


def test_round_trip(tmp_path):
    path = tmp_path / "a.safetensors"
    save(path, metadata={"units": "metres", "settings": "ab12"})
    tensors, metadata = load_tensors(path, "field", 2, finite=True)
    assert metadata == {"units": "metres", "settings": "ab12"}
    assert tensors.keys() == TENSORS.keys()
    for name, expected in TENSORS.items():
        assert tensors[name].dtype == expected.dtype
        assert torch.equal(tensors[name], expected)


def test_other_readers_open_it_and_the_header_is_in_front(tmp_path):
    path = tmp_path / "a.safetensors"
    save(path, metadata={"b": "2", "a": "1"})
    assert torch.equal(load_file(path)["weight"], TENSORS["weight"])
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    assert list(header["__metadata__"].items()) == [
        ("kind", "field"), ("version", "2"), ("a", "1"), ("b", "2")
    ]  # fmt: skip
    # 7 as int64 is the widest element, so it lies first, on an 8-byte step.
    assert header["count"]["data_offsets"] == [0, 8] and (8 + length) % 8 == 0


def test_same_input_same_bytes(tmp_path):
    save(tmp_path / "a", metadata={"x": "1", "y": "2"})
    save(tmp_path / "b", dict(reversed(TENSORS.items())), metadata={"y": "2", "x": "1"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_bad_files_are_one_sentence(tmp_path):
    good = tmp_path / "good"
    save(good)
    data = good.read_bytes()
    cases = {
        "empty": (b"", "is empty"),
        "cut": (data[:-5], "damaged or cut short"),
        "header": (data[:20] + b"\xff\xff" + data[22:], "damaged or cut short"),
        "short": (data[:6], "damaged or cut short"),
        "text": (b"hello world, hello world", "damaged or cut short"),
    }
    for name, (content, words) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=words) as caught:
            load_tensors(tmp_path / name, "field", 2)
        assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(UserError, match="does not exist"):
        load_tensors(tmp_path / "absent", "field", 2)
    with pytest.raises(UserError, match="holds field, not motion"):
        load_tensors(good, "motion", 2)
    with pytest.raises(UserError, match="format version 2, this program reads 3"):
        load_tensors(good, "field", 3)


def test_a_foreign_file_has_no_kind(tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(2)}, tmp_path / "foreign")
    with pytest.raises(UserError, match="tensors of no named kind, not field"):
        load_tensors(tmp_path / "foreign", "field", 2)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_not_finite(tmp_path, value):
    tensors = {"ok": torch.zeros(2), "broken": torch.tensor([0.0, value])}
    with pytest.raises(ValueError, match="'broken'"):
        save(tmp_path / "a", tensors, finite=True)
    assert list(tmp_path.iterdir()) == []
    save(tmp_path / "a", tensors)
    assert load_tensors(tmp_path / "a", "field", 2)[0].keys() == {"ok", "broken"}
    with pytest.raises(UserError, match="'broken'"):
        load_tensors(tmp_path / "a", "field", 2, finite=True)


def test_metadata_and_types_are_checked(tmp_path):
    for metadata in ({"kind": "x"}, {"version": "1"}, {"a": 1}):
        with pytest.raises(ValueError, match="metadata"):
            save(tmp_path / "a", metadata=metadata)
    with pytest.raises(ValueError, match="complex64"):
        save(tmp_path / "a", {"c": torch.zeros(1, dtype=torch.complex64)})
