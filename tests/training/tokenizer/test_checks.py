"""What is refused before any work, and how it is told."""

from pathlib import Path

import pytest

pytest.importorskip("lightning.pytorch")

from megxl.errors import InputError
from megxl.tokenizer.biocodec import BioCodec
from megxl.training.tokenizer.checks import check_before_work
from tests.training.tokenizer.small_codecs import SIZES, codec_config, make_signals


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("checks")
    make_signals(folder, seconds=20.0)
    return folder


REFUSED = {
    "rates above the store's": (
        {"data__target_sfreq": 100.0},
        r"sfreq_hz is 50, data\.target_sfreq is 100\. Set data\.target_sfreq=50",
    ),
    "windows shorter than a token": (
        {"data__segment_length": 0.2, "loss__n_ffts": [8]},
        r"data\.segment_length = 0\.2 s has 10 samples at 50 Hz, fewer than the 12 of a token",
    ),
    "windows shorter than every spectral window": (
        {"data__segment_length": 0.5},
        r"25 samples at 50 Hz, fewer than the shortest spectral window \(32, loss\.n_ffts\): give at least 0\.64 s",
    ),
    "windows longer than every recording": ({"data__segment_length": 30.0}, r"none of \d recordings? for train is as"),
    "blocks of one sample": ({"data__block_s": 0.03}, r"data\.block_s = 0\.03 s has less than two samples at 50 Hz"),
    "fewer vectors than codes": (
        {"model__codes": 201},
        r"The first step has 200 vectors \(4 windows, 2 sensors of each\), fewer than model\.codes = 201",
    ),
    "fewer vectors for k-means than codes": (
        {"codebooks__kmeans_vectors": 31},
        r"codebooks\.kmeans_vectors = 31, fewer than model\.codes = 32",
    ),
    "no codec to begin with": ({"model__init_from": "/nowhere"}, r"model\.init_from = /nowhere: No such file"),
}


@pytest.mark.parametrize(("changes", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_is_refused(folder, changes, said):
    with pytest.raises(InputError, match=said):
        check_before_work(codec_config(folder, **changes))
    assert not (folder / "run").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"model__codes": 200},
        {"model__codes": 201, "trainer__accumulate_grad_batches": 2},
        {"model__codes": 201, "trainer__devices": 2},
        {"model__codes": 201, "data__sensors_per_window": 3},
        {"model__codes": 400, "data__sensors_per_window": None},
    ],
)
def test_as_many_codes_as_the_first_step_has_vectors_are_allowed(folder, changes):
    assert check_before_work(codec_config(folder, **changes)).sizes.codes == changes["model__codes"]


def test_sizes_are_those_of_the_codec_to_begin_with(folder, tmp_path):
    start = BioCodec(codec_config(folder).model.sizes())
    start.recipe = {"signal": {"sfreq_hz": 250.0}}
    start.save_pretrained(tmp_path / "codec")
    none = {f"model__{name}": None for name in SIZES}
    checked = check_before_work(codec_config(folder, **none, model__init_from=str(tmp_path / "codec")))
    assert checked.sizes == start.config and checked.start is not None
    assert any("trained on signals of 250 Hz and is used on ones of 50 Hz" in note for note in checked.notes)
    assert any("RANDOM WEIGHTS" in note for note in checked.notes)


def test_spectral_windows_that_are_left_out_are_told(folder):
    notes = check_before_work(codec_config(folder, data__segment_length=2.0)).notes
    assert "loss.n_ffts: 128, 256 are longer than a window and left out of the loss." in notes


def test_without_the_spectral_term_windows_need_not_reach_its_scales(folder):
    for n_ffts in ([], [32, 64]):
        changes = {"loss__n_ffts": n_ffts, "loss__spectral": 0.0, "data__segment_length": 0.5, "model__codes": 8}
        assert not [note for note in check_before_work(codec_config(folder, **changes)).notes if "n_ffts" in note]
