"""A tokenizer of other sizes from the store to a decoder of words, without a setting of sizes anywhere."""

import numpy as np
import pytest
import torch

pytest.importorskip("lightning.pytorch")
pytest.importorskip("wordllama")

from megxl.checkpoints.files import read_checkpoint
from megxl.cli import main
from megxl.errors import InputError
from megxl.extraction import load_embedding
from megxl.model.megxl import MEGXL
from megxl.sizes import BioCodecConfig
from megxl.training.engine import pretrain
from megxl.training.words.engine import decode_words
from tests.data.small_corpus import make_small
from tests.small import short_recording
from tests.training.small_run import small_codec, small_config
from tests.training.words.small_words import make_word_store, words_config

SIZES = BioCodecConfig(filters=4, width=16, strides=(2, 2, 2), code_width=4, levels=8, codes=300)
"""150 samples of a word, and 300 of a window, are no whole number of tokens."""
SMALL = "tests.data.small_corpus:Small"


@pytest.mark.slow
def test_everything_takes_its_sizes_from_the_tokenizer(tmp_path, capsys):
    store, words_store = tmp_path / "small", make_word_store(tmp_path)
    codec = small_codec(0, SIZES)
    codec.recipe = {"signal": {"sfreq_hz": 250.0, "low_hz": 0.1, "high_hz": 40.0, "block_s": 3.0}}
    codec.save_pretrained(tmp_path / "theirs")
    assert main(["convert", str(tmp_path / "theirs"), str(tmp_path / "codec.pt")]) == 0

    # what `megxl prepare --codes` writes for windows of 6 s is what pre-training reads
    prepare = ["prepare", SMALL, str(make_small(tmp_path / "in", seconds=20.0)), "--store", str(store)]
    codes = ["--codes", str(tmp_path / "codec.pt"), "--window", "6", "--workers", "0", "--device", "cpu"]
    assert main([*prepare, *codes]) == 0
    kept = sorted(store.rglob("codes.npy"))
    assert len(kept) == 3 and all(np.load(path).dtype == np.uint16 for path in kept)

    settings = {
        "datasets_config": [{"type": SMALL, "split": {"validation": 0.4, "seed": 0}}], "data__cache_dir": str(store),
        "model__tokenizer_ckpt": str(tmp_path / "codec.pt"), "model__vocab_size": None, "training__num_epochs": None,
        "training__max_steps": 3, "checkpoint__every_n_train_steps": 1, "trainer__val_check_interval": 2,
    }  # fmt: skip
    told = []
    run = pretrain(small_config(tmp_path, **settings), tell=told.append)
    assert sorted(store.rglob("codes.npy")) == kept, "codes were written again"
    assert any("250 Hz" in note for note in told)
    sizes = read_checkpoint(run.path / "model").config
    assert (sizes["levels"], sizes["codes"], sizes["samples_per_token"]) == (8, 300, 8)
    assert sizes["tokenizer"]["strides"] == (2, 2, 2)

    # it goes on with its tokenizer, and not with another that was put in its place
    longer = settings | {"training__max_steps": 5, "resume": True}
    pretrain(small_config(tmp_path, **longer))
    assert run.status["step"] == 5
    model = tmp_path / "run" / "model"
    small_codec(1, SIZES).save_pretrained(tmp_path / "other")
    assert main(["convert", str(tmp_path / "other"), str(tmp_path / "codec.pt"), "--overwrite"]) == 0
    with pytest.raises(InputError, match=r"codec.pt is not the tokenizer with which .*ckpt was trained"):
        pretrain(small_config(tmp_path, **(longer | {"training__max_steps": 7})))

    # over to the other tokenizer, from the weights of the first
    swapped = settings | {
        "model__init_from": str(model),
        "run": str(tmp_path / "swapped"),
        "datasets_config__0__data_root": str(tmp_path / "in"),
    }
    with pytest.raises(InputError, match=r"another tokenizer than .* set model.swap_tokenizer=true"):
        pretrain(small_config(tmp_path, **swapped))
    swapped |= {"model__swap_tokenizer": True, "training__max_steps": 1, "training__learning_rate": 1e-6}
    swapped |= {"training__min_learning_rate": 1e-6}
    pretrain(small_config(tmp_path, **swapped))
    one, two = (MEGXL.from_pretrained(path) for path in (model, tmp_path / "swapped" / "model"))
    close = {"rtol": 0, "atol": 1e-5}
    torch.testing.assert_close(two.layers.state_dict(), one.layers.state_dict(), **close)
    assert not torch.allclose(one.head.weight, two.head.weight, **close)
    assert torch.equal(two.embedding.code_books, small_codec(1, SIZES).quantizer.code_books_QVK)

    short_recording(10.0).save(tmp_path / "some_raw.fif", verbose="ERROR")
    embed = ["embed", str(tmp_path / "some_raw.fif"), "--model", str(model), "--device", "cpu"]
    assert main([*embed, "--out", str(tmp_path / "features.npz"), "--tokenizer", str(tmp_path / "theirs")]) == 0
    embedding = load_embedding(tmp_path / "features.npz")
    assert embedding.features.shape == (15, 63, 16)  # 500 samples in tokens of 8
    assert np.allclose(embedding.times_s, 0.16 * np.arange(63))
    assert embedding.code_usage.shape == (8, 300) and any("250 Hz" in note for note in embedding.notes)
    capsys.readouterr()
    assert main([*embed, "--out", str(tmp_path / "no.npz"), "--tokenizer", str(tmp_path / "other")]) == 2
    assert "not the one that this model was trained with" in capsys.readouterr().err

    words = {
        "model__criss_cross_checkpoint": str(model), "data__codes": "cached", "training__max_steps": 2,
        "evaluation__permutations": 0, "evaluation__resamples": 100, "logging__tensorboard": False,
        "run": str(tmp_path / "words"),
    }  # fmt: skip
    decoded = decode_words(words_config(words_store, **words))
    assert decoded.results() is not None
    again = decode_words(words_config(words_store, **(words | {"training__max_steps": 3}), resume=True))
    assert again.status["step"] == 3
