"""What is refused before any file is made, each in a sentence that names the key."""

import shutil
from pathlib import Path

import pytest

pytest.importorskip("lightning.pytorch")
pytest.importorskip("wordllama")

import numpy as np
import torch

from megxl.errors import InputError
from megxl.model.megxl import MEGXL
from megxl.store.store import Store
from megxl.training.words.checks import check_before_work
from megxl.training.words.engine import decode_words
from tests.data.small import sensors
from tests.training.small_run import small_codec
from tests.training.words import small_words
from tests.training.words.small_words import make_backbone, make_word_store, words_config


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("checks")
    make_backbone(folder)
    return make_word_store(folder, subjects=1, words=60)


REFUSED = [
    ({"control": "random_backbone", "model__backbone": "convolution"}, r"control = random_backbone .*convolution"),
    ({"control": "random_backbone", "model__train_from_scratch": True}, r"random_backbone .*train_from_scratch"),
    ({"model__backbone": "codec", "model__train_from_scratch": True}, r"train_from_scratch = true .*codec"),
    ({"model__sees": "nothing"}, r"model.sees = nothing .*sequence"),
    ({"model__backbone": "convolution", "model__head": "sensors"}, r"model: head = 'sensors'"),
    ({"t5__context": "group", "model__head": "sequence"}, r"t5.context = group and model.head = sequence"),
    ({"t5__model_name": "/no/such/encoder"}, r"t5.model_name = /no/such/encoder"),
    ({"model__criss_cross_checkpoint": None}, r"model.criss_cross_checkpoint has no value"),
    ({"model__backbone": "codec", "model__criss_cross_checkpoint": None}, r"model.tokenizer_checkpoint has no value"),
    ({"model__criss_cross_checkpoint": "/nowhere"}, r"model.criss_cross_checkpoint = /nowhere"),
    ({"model__tokenizer_checkpoint": "/nowhere"}, r"model.tokenizer_checkpoint = /nowhere"),
    ({"data__target_sfreq": 100.0}, r"data.target_sfreq"),
    ({"evaluation__k": 10}, r"evaluation.k = 10"),
    ({"evaluation__selection_metric": "accuracy"}, r"no metric 'accuracy'"),
    ({"training__resume_checkpoint": "/nowhere.ckpt"}, r"training.resume_checkpoint = '/nowhere.ckpt'"),
    ({"data__cache_dir": "/path/to/store"}, r"data.cache_dir .*placeholder"),
    ({"device": "cuda:99"}, r"trainer"),
    ({"resume": True}, r"there is no .* to resume"),
]


@pytest.mark.parametrize(("changes", "sentence"), REFUSED, ids=[" ".join(map(str, c.items())) for c, _ in REFUSED])
def test_what_cannot_be_is_refused_and_nothing_is_made(store, tmp_path, changes, sentence):
    with pytest.raises(InputError, match=sentence):
        decode_words(words_config(store, run=str(tmp_path / "run"), **changes))
    assert not (tmp_path / "run").exists()


def test_a_head_bound_to_sensors_refuses_recordings_of_other_ones(store, tmp_path):
    folder = shutil.copytree(store, tmp_path / "store")
    told = small_words._text(60, 0, 1, None)
    signal_CT = small_words._signal(told, {word.text: np.ones(6) for word in told}, 1.0, np.random.default_rng(9))
    small_words._put(Store(folder), "armeni", "sub-9", "ses-1", sensors(6), signal_CT, told)
    shutil.copytree(store.parent / "backbone", tmp_path / "backbone")
    mixed = {"data__channels": "file"}
    with pytest.raises(InputError, match=r"model.head = mlp .*data.channels = file"):
        check_before_work(words_config(folder, **mixed))
    check_before_work(words_config(folder, **mixed, model__head="sensors"))


def test_a_model_of_random_weights_is_drawn_from_the_seed(store):
    drawn = {"control": "random_backbone"}
    models = [check_before_work(words_config(store, seed=seed, **drawn)).model for seed in (1, 1, 2)]
    first, again, other = (model.layers[0].state_dict() for model in models if model is not None)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_weights_that_were_never_trained_are_told_unless_they_are_wanted(store):
    assert any("RANDOM WEIGHTS" in note for note in check_before_work(words_config(store)).notes)
    assert not check_before_work(words_config(store, model__train_from_scratch=True)).notes


def test_a_tokenizer_of_equal_sizes_that_is_not_the_model_s_is_refused(store, tmp_path):
    small_codec().save_pretrained(tmp_path / "own")
    small_codec(seed=1).save_pretrained(tmp_path / "other")
    check_before_work(words_config(store, model__tokenizer_checkpoint=str(tmp_path / "own")))
    for backbone in ("megxl", "codec"):
        changes = {"model__tokenizer_checkpoint": str(tmp_path / "other"), "model__backbone": backbone}
        with pytest.raises(
            InputError, match=r"model.tokenizer_checkpoint = .*other: The tokenizer given is not the one"
        ):
            check_before_work(words_config(store, **changes))


def test_a_tokenizer_of_another_rate_is_told(store, tmp_path):
    model = MEGXL.from_pretrained(store.parent / "backbone")
    model.tokenizer.recipe = {"signal": {"sfreq_hz": 250.0}}
    model.save_pretrained(tmp_path / "model")
    notes = check_before_work(words_config(store, model__criss_cross_checkpoint=str(tmp_path / "model"))).notes
    assert [note for note in notes if "trained on signals of 250 Hz and is used on ones of 50 Hz" in note]
