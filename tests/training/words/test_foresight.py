"""What a run needs is counted in the store where it can be, and what is missing is named with the way to get it."""

from dataclasses import replace

import pytest

from megxl.decoding.targets import OFFLINE
from megxl.errors import InputError
from megxl.training.configuring import compose
from megxl.training.words.config import WordsConfig
from megxl.training.words.foresight import foresee
from megxl.training.words.plan import WORDS_PER_HOUR, Load, memory_bytes
from megxl.training.words.protocol import make_protocol
from megxl.training.words.recordings import choose_recordings, group_words
from tests.training.words.small_words import make_word_store, words_config

CELL = "paper/table1_armeni_13"


def foreseen(config: WordsConfig):
    return foresee(config, gpu="h100", corpus_hours=30.0, sensors=275)


def of_cell(*overrides: str) -> WordsConfig:
    return compose(CELL, overrides, schema=WordsConfig, given={"command": "finetune"})


@pytest.fixture
def store(tmp_path):
    return make_word_store(tmp_path, words=200, n_sensors=8)


def test_groups_are_those_of_the_store_when_it_has_the_corpus(store):
    config = words_config(store)
    found = foreseen(config)
    groups, _ = group_words(choose_recordings(config), config)
    split = make_protocol(groups, groups.recordings, config).split
    counts = (len(split.train), len(split.validation), len(split.test))
    assert (found.amount.train, found.amount.validation, found.amount.test) == counts
    assert found.recordings == 6 and found.amount.epochs == 2
    assert found.memory == memory_bytes(Load.of(config, sensors=8))


def test_without_a_store_they_are_reckoned_from_the_hours_of_the_corpus(tmp_path):
    found = foreseen(of_cell(f"data.cache_dir={tmp_path}/store"))
    groups = 30.0 * WORDS_PER_HOUR / 50
    assert found.recordings == 0 and found.amount.validation == found.amount.test == round(0.1 * groups)
    assert found.amount.train == int(0.13 * round(0.8 * groups))
    few = foreseen(of_cell(f"data.cache_dir={tmp_path}/store", "data.train_pct=1", "data.train_hours=6"))
    assert few.amount.train == round(0.8 * groups) // 4  # 6 of 24 hours


def test_what_is_missing_is_told_with_the_way_to_get_it(tmp_path):
    corpus, model = foreseen(of_cell(f"data.cache_dir={tmp_path}/store")).missing
    assert "`megxl fetch armeni ROOT`" in corpus and f"--store {tmp_path}/store`" in corpus
    assert "meg-xl-med.ckpt" in model and "model.criss_cross_checkpoint=PATH" in model


def test_files_that_are_not_there_are_missing_and_names_of_the_hub_are_not(store):
    lost = foreseen(words_config(store, model__criss_cross_checkpoint="./no.ckpt")).missing
    assert [text.partition(" does")[0] for text in lost] == ["model.criss_cross_checkpoint = ./no.ckpt"]
    assert not foreseen(words_config(store, model__criss_cross_checkpoint="pnpl/MEG-XL")).missing


def test_an_encoder_that_is_not_there_is_a_note(store, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    assert not foreseen(words_config(store)).notes
    (note,) = foreseen(words_config(store, t5__model_name="t5-large")).notes
    assert note.startswith("t5.model_name = t5-large is not on this machine") and OFFLINE in note
    (tmp_path / "t5").mkdir()
    assert not foreseen(words_config(store, t5__model_name=str(tmp_path / "t5"))).notes
    with pytest.raises(InputError, match="no name of the hub"):
        foreseen(words_config(store, t5__model_name="no/such/folder"))


def test_hours_go_with_the_gpus_share(store):
    config = words_config(store)
    slow, fast = (foresee(config, gpu="h100", corpus_hours=1, sensors=8, mfu=mfu).hours for mfu in (0.1, 0.2))
    assert slow == pytest.approx(2 * fast)
    assert foreseen(replace(config, seed=3)).disk["codes"] > 0
