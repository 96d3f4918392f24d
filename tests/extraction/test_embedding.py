"""Stored embeddings: what is saved comes back, and damage is said in a sentence."""

import json
import zipfile

import numpy as np
import pytest

from megxl.errors import InputError
from megxl.extraction import embed_recording, load_embedding
from tests.small import short_recording, small_model


@pytest.fixture
def embedding():
    return embed_recording(small_model(), short_recording(bads=1), window_s=2.4)


@pytest.mark.parametrize("name", ["features", "features.npz"])
def test_what_is_saved_comes_back(tmp_path, embedding, name):
    loaded = load_embedding(embedding.save(tmp_path / name))
    for array in ("features", "times_s", "bad", "energy", "code_usage"):
        np.testing.assert_array_equal(getattr(loaded, array), getattr(embedding, array))
        assert getattr(loaded, array).dtype == getattr(embedding, array).dtype
    for field in ("sensors", "windows", "provenance", "notes", "warning"):
        assert getattr(loaded, field) == getattr(embedding, field)
    assert loaded.settings == json.loads(json.dumps(embedding.settings))
    assert isinstance(loaded.features, np.memmap)


def test_plain_numpy_and_json_read_an_archive(tmp_path, embedding):
    with np.load(embedding.save(tmp_path / "features.npz"), allow_pickle=False) as archive:
        assert archive["features"].shape == embedding.features.shape
        assert archive["sensor_names"].tolist() == list(embedding.sensors.names)
        assert json.loads(str(archive["meta"]))["warning"].startswith("RANDOM WEIGHTS")


def test_equal_features_make_equal_files(tmp_path, embedding):
    first, second = embedding.save(tmp_path / "a.npz"), embedding.save(tmp_path / "b.npz")
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:  # whenever they are written
        assert {info.date_time[0] for info in archive.infolist()} == {1980}


def test_what_is_no_embedding_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        load_embedding(tmp_path / "nothing.npz")
    np.savez(tmp_path / "other.npz", features=np.zeros(3))
    (tmp_path / "damaged.npz").write_bytes(b"PK\x03\x04 and then nothing")
    (tmp_path / "folder").mkdir()
    for name in ("other.npz", "damaged.npz", "folder"):
        with pytest.raises(InputError, match=f"{name} does not hold features"):
            load_embedding(tmp_path / name)


def flip_bytes(out):
    content = bytearray(out.read_bytes())
    place = content.index(b"energy.npy") + 200  # in the array: the archive's own check finds it
    content[place : place + 8] = bytes(byte ^ 255 for byte in content[place : place + 8])
    out.write_bytes(content)


def lose_features(out):
    (out / "features.npy").unlink()


def cut_features(out):
    content = (out / "features.npy").read_bytes()
    (out / "features.npy").write_bytes(content[: len(content) // 2])


def lose_windows(out):
    meta = json.loads((out / "meta.json").read_text())
    del meta["windows"]
    (out / "meta.json").write_text(json.dumps(meta))


def swap_features(out):
    np.save(out / "features.npy", np.zeros((2, 3), np.float32))


def cut_archive(out):
    out.write_bytes(out.read_bytes()[:-1000])


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (flip_bytes, "features.npz"),
        (cut_archive, "features.npz"),
        (lose_features, "features"),
        (cut_features, "features"),
        (lose_windows, "features"),
        (swap_features, "features"),
    ],
)
def test_damage_is_said_in_a_sentence(tmp_path, embedding, damage, name):
    out = embedding.save(tmp_path / name)
    damage(out)
    with pytest.raises(InputError, match=rf"^{name} .*is damaged or incomplete"):
        load_embedding(out)


def test_a_newer_format_is_refused(tmp_path, embedding):
    folder = embedding.save(tmp_path / "features")
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps(meta | {"version": 99}))
    with pytest.raises(InputError, match="newer megxl"):
        load_embedding(folder)
