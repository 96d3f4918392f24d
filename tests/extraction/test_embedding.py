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


def test_a_newer_format_is_refused(tmp_path, embedding):
    folder = embedding.save(tmp_path / "features")
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps(meta | {"version": 99}))
    with pytest.raises(InputError, match="newer megxl"):
        load_embedding(folder)
