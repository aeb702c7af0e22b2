"""Labelled signals: their split, their score, and readers that refuse what is not data."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ohmfield.signals.examples import Examples
from ohmfield.signals.labels import cifar10, data_folder, labelled_zips, mnist, read_idx
from ohmfield.signals.quality import top_k
from ohmfield.signals.synthetic import gratings
from ohmfield.spec import InputError


def test_the_split_parts_without_overlap() -> None:
    data = gratings(20, 12)
    assert (len(data.train), len(data.test)) == (20, 12)
    assert torch.equal(torch.cat([data.train.inputs, data.test.inputs]), data.inputs)
    assert torch.equal(torch.cat([data.train.labels, data.test.labels]), data.labels)
    assert len(data.test.test) == 12  # a part is scored as a whole
    assert len(data.train.train) == 20
    with pytest.raises(InputError, match="has no train examples"):
        _ = data.test.train


def test_the_score_counts_right_answers() -> None:
    data = gratings(4, 8).test
    logits = torch.nn.functional.one_hot(data.labels, 4).float()
    assert data.score(logits) == {"accuracy": 1.0}
    logits[:2] = logits[:2].roll(1, dims=1)
    assert data.score(logits)["accuracy"] == 0.75
    assert data.score(logits, k=2) == {"accuracy": 0.75, "top2_accuracy": 0.75}
    assert data.score(torch.full((8, 4), torch.nan))["accuracy"] == 0.0
    assert data.score(torch.zeros(8, 4))["accuracy"] == 0.0  # equal logits are no answer


@given(seed=st.integers(0, 1000), k=st.integers(1, 5))
def test_top_k_is_what_sorting_gives(seed: int, k: int) -> None:
    drawn = torch.Generator().manual_seed(seed)
    logits, labels = torch.randn(9, 5, generator=drawn), torch.randint(0, 5, (9,), generator=drawn)
    hits = (logits.topk(k, dim=1).indices == labels[:, None]).any(1)
    assert top_k(logits, labels, k) == float(hits.double().mean())


def test_the_digest_sees_inputs_and_labels() -> None:
    data = gratings(4, 4)
    digests = {data.describe()["digest"], replace(data, labels=data.labels.flip(0)).describe()["digest"]}
    digests.add(replace(data, inputs=data.inputs.flip(0)).describe()["digest"])
    assert len(digests) == 3
    assert data.describe() == gratings(4, 4).describe()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": torch.arange(8)}, "label 7 is not allowed; use 0 to 3"),
        ({"labels": torch.full((8,), -1)}, "label -1 is not allowed"),
        ({"inputs": torch.zeros(7, 1, 8, 8)}, "7 inputs and 8 labels"),
        ({"inputs": torch.full((8, 1), torch.nan)}, "hold NaN or infinity"),
        ({"num_train": 9}, "num_train = 9 is not allowed"),
    ],
)
def test_examples_that_cannot_be_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(gratings(4, 4), **change)  # type: ignore[arg-type]


# ---- readers ---------------------------------------------------------------------------------------------------------


def jpeg(size: tuple[int, int] = (8, 8), colour: tuple[int, int, int] = (255, 0, 0)) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", size, colour).save(data, "PNG")
    return data.getvalue()


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as opened:
        for name, data in members.items():
            opened.writestr(name, data)
    return path


def test_a_zip_of_folders_becomes_examples(tmp_path: Path) -> None:
    red, blue = jpeg(), jpeg(colour=(0, 0, 255))
    train = {"train/red/0002.png": red, "train/red/0001.png": red, "train/blue/0001.png": blue, "train/notes.txt": b""}
    test = {"test/red/0001.png": red, "test/blue/0001.png": blue}
    paths = [archive(tmp_path / "a.zip", train), archive(tmp_path / "b.zip", test)]
    data = labelled_zips(paths, "colours")
    assert data.classes == ("blue", "red")
    assert data.labels.tolist() == [0, 1, 1, 0, 1]  # classes take turns
    assert (data.num_train, data.inputs.shape) == (3, (5, 3, 8, 8))
    assert data.inputs[0, :, 0, 0].tolist() == [0.0, 0.0, 1.0]
    assert data.inputs[1, :, 0, 0].tolist() == [1.0, 0.0, 0.0]
    assert labelled_zips(paths, "colours", per_class=1).labels.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"readme.txt": b"x"}, "holds no member called split/class/name.jpg"),
        ({"../../train/red/1.png": b"x"}, "holds no member"),
        ({"train/red/1.png": b"not an image"}, "cannot be read as an image"),
        ({"train/red/1.png": jpeg()[:40]}, "cannot be read as an image"),
        ({"train/red/1.png": b"0" * (2**20 + 1)}, "at most 1048576 are read"),
        ({"train/red/1.png": jpeg((300, 8))}, "300 x 8 pixels, at most 256 x 256"),
        ({"train/red/1.png": jpeg(), "train/red/2.png": jpeg((4, 8))}, "4 x 8 pixels, the first image has 8 x 8"),
    ],
)
def test_archives_that_hold_something_else_are_refused(tmp_path: Path, members: dict[str, bytes], message: str) -> None:
    with pytest.raises(InputError) as caught:
        labelled_zips([archive(tmp_path / "a.zip", members)], "bad")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_archives_of_one_set_agree(tmp_path: Path) -> None:
    one = archive(tmp_path / "a.zip", {"train/red/1.png": jpeg()})
    with pytest.raises(InputError, match="holds classes green"):
        labelled_zips([one, archive(tmp_path / "b.zip", {"test/green/1.png": jpeg()})], "bad")
    with pytest.raises(InputError, match="images of 4 x 4 pixels"):
        labelled_zips([one, archive(tmp_path / "c.zip", {"test/red/1.png": jpeg((4, 4))})], "bad")
    (tmp_path / "d.zip").write_bytes(one.read_bytes()[:60])
    with pytest.raises(InputError, match="cannot be read"):
        labelled_zips([tmp_path / "d.zip"], "bad")
    with pytest.raises(InputError, match="no such file"):
        labelled_zips([tmp_path / "absent.zip"], "bad")


def idx(path: Path, header: bytes, data: bytes) -> Path:
    path.write_bytes(gzip.compress(header + data))
    return path


def test_an_idx_file_is_read(tmp_path: Path) -> None:
    header = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2, 3, 4)
    read = read_idx(idx(tmp_path / "a.gz", header, bytes(range(24))), dims=3)
    assert np.array_equal(read, np.arange(24).reshape(2, 3, 4))


@pytest.mark.parametrize(
    ("header", "data", "message"),
    [
        (bytes([0, 0, 8, 1]), b"", "expected 00000803"),
        (bytes([0, 0, 8, 3]) + b"\0\0", b"", "cannot be read"),
        (bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**31, 28, 28), b"", "at most 100000 examples"),
        (bytes([0, 0, 8, 3]) + struct.pack(">3I", 2, 2, 2), b"1234567", "fewer than the 8 bytes"),
        (bytes([0, 0, 8, 3]) + struct.pack(">3I", 2, 2, 2), b"123456789", "more than the 8 bytes"),
    ],
)
def test_idx_files_that_are_none_are_refused(tmp_path: Path, header: bytes, data: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_idx(idx(tmp_path / "a.gz", header, data), dims=3)
    assert message in str(caught.value)
    (tmp_path / "cut.gz").write_bytes((tmp_path / "a.gz").read_bytes()[:-6])
    with pytest.raises(InputError):
        read_idx(tmp_path / "cut.gz", dims=3)


def test_a_missing_folder_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OHMFIELD_DATA", str(tmp_path / "absent"))
    with pytest.raises(InputError, match="no such folder of data; give its path or set OHMFIELD_DATA"):
        data_folder()
    assert data_folder(tmp_path) == tmp_path
    with pytest.raises(InputError, match=r"cifar10_train_jpg\.zip: no such file"):
        cifar10(tmp_path)
    with pytest.raises(InputError, match=r"t10k-images-idx3-ubyte\.gz: no such file"):
        mnist(tmp_path)


def test_the_real_sets_are_read(real_data: Path) -> None:
    data = cifar10(real_data, per_class=3)
    assert data.classes[:3] == ("airplane", "automobile", "bird")
    assert (data.inputs.shape, data.num_train) == ((60, 3, 32, 32), 30)
    assert data.labels[:12].tolist() == [*range(10), 0, 1]
    digits = mnist(real_data)
    assert (digits.inputs.shape, len(digits.test)) == ((10000, 1, 28, 28), 2000)
    assert digits.labels[:5].tolist() == [7, 2, 1, 0, 4]  # the order of the published test split


def test_gratings_differ_by_class_and_are_drawn_from_the_seed() -> None:
    data = gratings()
    assert torch.equal(data.inputs, gratings().inputs)
    assert not torch.equal(data.inputs, gratings(seed=1).inputs)
    assert Examples(data.inputs, data.labels, data.classes, 1, "again").inputs.max() <= 1.0
