"""`megxl embed` on real recordings of every system at hand, with checkpoints in the released formats."""

import numpy as np
import pytest

from megxl.cli import main
from megxl.extraction import load_embedding
from megxl.signals.sensors import ELECTRODE, GRADIOMETER, MAGNETOMETER
from tests.small import write_montage

# recording, options, sensors of each kind, tokens
RECORDINGS = [
    pytest.param(
        "meg_neuromag306/test_raw.fif", [], {GRADIOMETER: 204, MAGNETOMETER: 102}, 100, marks=pytest.mark.slow
    ),
    ("meg_neuromag306/test_raw.fif", ["--channels", "eeg"], {ELECTRODE: 60}, 100),
    ("meg_neuromag306/triux_bmlhus_erm_raw_sss.fif", [], {GRADIOMETER: 204, MAGNETOMETER: 102}, 5),
    ("meg_ctf/testdata_ctf_short_discontinuous.ds", [], {GRADIOMETER: 273}, 9),
    ("meg_ctf/somMDYO-18av.ds", [], {GRADIOMETER: 151}, 3),
    ("meg_ctf/test_ctf_comp_raw.fif", [], {GRADIOMETER: 274}, 3),
    ("meg_kit/test_old_5s_kit157.sqd", [], {GRADIOMETER: 157}, 21),
    ("meg_kit/Example_RICOH160-1_10020-export_anonymyze.con", [], {GRADIOMETER: 160}, 5),
    ("meg_kit/MQKIT_125_2sec.con", [], {GRADIOMETER: 125}, 9),
    ("meg_other/exported4D_solaris_raw.fif", [], {MAGNETOMETER: 248}, 5),
]


def embed(shared, tmp_path, recording: str, *options: str) -> int:
    golden = shared / "golden"
    weights = ["--model", str(golden / "megxl_small.ckpt"), "--tokenizer", str(golden / "biocodec_ckpt.pt")]
    place = ["--out", str(tmp_path / "f.npz"), "--report", str(tmp_path / "r.html")]
    return main(["embed", str(shared / "realdata" / recording), *weights, *place, *options])


@pytest.mark.parametrize(("recording", "options", "kinds", "tokens"), RECORDINGS)
def test_it_becomes_features(shared, tmp_path, recording, options, kinds, tokens):
    assert embed(shared, tmp_path, recording, *options) == 0
    embedding = load_embedding(tmp_path / "f.npz")
    assert dict(zip(*np.unique(embedding.sensors.kinds_C, return_counts=True), strict=True)) == kinds
    assert embedding.features.shape == (sum(kinds.values()), tokens, 64)
    assert np.isfinite(embedding.features).all()
    assert ((embedding.features == 0).all(axis=(1, 2)) == embedding.bad).all()
    assert embedding.code_usage.sum() == 6 * tokens * (~embedding.bad).sum()
    assert embedding.warning.startswith("UNTRAINED WEIGHTS")
    assert sum("never saw EEG" in note for note in embedding.notes) == (ELECTRODE in kinds)
    assert (tmp_path / "r.html").stat().st_size < 3e6


def test_channels_marked_bad_in_the_file_are_named(shared, tmp_path):
    assert embed(shared, tmp_path, "meg_ctf/somMDYO-18av.ds") == 0
    embedding = load_embedding(tmp_path / "f.npz")
    bads = [name for name, bad in zip(embedding.sensors.names, embedding.bad, strict=True) if bad]
    assert len(bads) == 7 and all(any(name in note for note in embedding.notes) for name in bads)


def test_electrodes_without_positions_get_a_sentence(shared, tmp_path, capsys):
    assert embed(shared, tmp_path, "eeg/test_raw.set") == 2
    said = capsys.readouterr().err
    assert "32 of 32 electrodes have no position" in said and "--montage" in said and said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_and_run_with_a_montage_over_two_windows(shared, tmp_path):
    names = [f"EEG {number:03d}" for number in range(32)]
    places = np.random.default_rng(0).standard_normal((32, 3)) + np.array([0, 0, 2])
    places *= 0.095 / np.linalg.norm(places, axis=1, keepdims=True)
    montage = write_montage(tmp_path / "places.csv", dict(zip(names, places, strict=True)))
    assert embed(shared, tmp_path, "eeg/test_raw.set", "--montage", str(montage)) == 0
    embedding = load_embedding(tmp_path / "f.npz")
    assert [window.n_tokens for window in embedding.windows] == [625, 368]
    assert [window.complete for window in embedding.windows] == [True, False]
    np.testing.assert_allclose(embedding.times_s, 0.24 * np.arange(993))
