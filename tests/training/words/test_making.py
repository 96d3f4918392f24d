"""What a run makes of its data: a decoder of the seed alone, and weights that say where they come from."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lightning.pytorch")
pytest.importorskip("wordllama")

import torch

from megxl.decoding.decoder_files import write_decoder
from megxl.errors import InputError
from megxl.model.megxl import MEGXL
from megxl.training.words.checks import check_before_work
from megxl.training.words.data import WordsData
from megxl.training.words.making import Making
from megxl.training.words.targets import WordTargets
from tests.training.words.small_words import make_backbone, make_word_store, words_config

CHOSEN = {"epoch": 0, "step": 1200, "metric": "top3", "value": 0.1}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("making")
    make_backbone(folder)
    return make_word_store(folder, subjects=1, words=60)


def made(store: Path, name: str = "run", **changes: Any) -> Making:
    config = words_config(store, **changes)
    checked = check_before_work(config)
    data = WordsData(config, checked.tokenizer)
    data.setup()
    return Making(config=config, checked=checked, data=data, name=name, tell=[].append, say=[].append)


def test_the_weights_of_the_head_are_those_of_the_seed_whatever_the_encoder_draws(store, monkeypatch):
    whole, heads = WordTargets.make, []
    for drawn in (0, 1000):
        monkeypatch.setattr(WordTargets, "make", lambda *a, n=drawn, **k: (torch.rand(n), whole(*a, **k))[1])
        heads.append(made(store).parts().decoder.head.state_dict())
    assert all(torch.equal(tensor, heads[1][name]) for name, tensor in heads[0].items())
    other = made(store, seed=2).parts().decoder.head.state_dict()
    assert not all(torch.equal(tensor, other[name]) for name, tensor in heads[0].items())


def test_weights_say_what_they_saw_whatever_epoch_is_the_best_and_whoever_trains_them_on(store, tmp_path):
    making = made(store, "first")
    decoder, start = making.parts().decoder, dict(making.checked.model.provenance)
    for epoch in (0, 1):
        folder = write_decoder(
            tmp_path / "model", making.saved(decoder, {**CHOSEN, "epoch": epoch, "step": 1200 + epoch})
        )
    first = MEGXL.from_pretrained(folder / "backbone").provenance
    assert first["source"]["started_from"] == start and first["source"]["decoder_of"] == "first"
    assert first["source"]["epoch"] == 1 and first["steps"] == first["source"]["steps"] == 1201
    assert first["source"]["recordings"] == {"armeni": {part: making.keys(part) for part in ("train", "validation")}}
    assert first["source"]["data"]["armeni"]["hours"] == making.data.hours
    card = (folder / "backbone" / "README.md").read_text()
    assert (
        f"| {CHOSEN['metric']} | {CHOSEN['value']:.4g} |" in card
        and "Word decoding on the validation recordings" in card
    )

    allowed = {"evaluation__allow_seen": True, "model__criss_cross_checkpoint": str(folder / "backbone")}
    second = made(store, "second", **allowed)
    for epoch in (0, 1):
        saved = second.saved(second.parts().decoder, {**CHOSEN, "epoch": epoch})
    provenance = saved.decoder.backbone.model.provenance
    assert provenance["steps"] == 2401 and provenance["started_from"]["source"]["decoder_of"] == "first"


@pytest.mark.parametrize(
    ("start", "steps"),
    [({"weights": "loaded", "steps": 50_000}, 51_200), ({"weights": "loaded"}, None), ({"weights": "random"}, 1200),
     ({"weights": "loaded", "untrained": True}, 1200)],
)  # fmt: skip
def test_steps_are_counted_on_from_those_that_are_known(store, start, steps):
    making = made(store)
    making.checked.model.provenance = start
    model = making.saved(making.parts().decoder, CHOSEN).decoder.backbone.model
    assert model.provenance["steps"] == steps and model.recipe.get("global_step") == steps


def test_weights_of_a_control_say_so_and_those_of_none_say_nothing(store):
    for control in ("none", "noise"):
        making = made(store, control=control)
        model = making.saved(making.parts().decoder, CHOSEN).decoder.backbone.model
        assert model.provenance.get("control", "none") == control


BY_SESSION = {"data__strict_by": "session", "data__split_ratios": [0.34, 0.33, 0.33]}


def test_a_test_that_pre_training_saw_is_refused_and_a_training_that_it_saw_is_not(store):
    making = made(store, **BY_SESSION)
    test, train = making.keys("test"), making.keys("train")
    assert not set(test) & set(train)
    for seen, refused in ((train, False), (test, True)):
        making.checked.model.provenance = {"weights": "loaded", "recordings": {"armeni": {"train": seen}}}
        if refused:
            with pytest.raises(InputError, match="were seen in the pre-training"):
                making.parts()
        else:
            making.parts()


def test_candidates_and_listeners_are_those_of_the_training_part(store, tmp_path, monkeypatch):
    making, asked, whole = made(store), [], WordTargets.candidates
    monkeypatch.setattr(WordTargets, "candidates", lambda *a: (asked.append(a[2]), whole(*a))[1])
    assert making.candidates_VE.shape == (len(making.vocabulary), making.targets.width)
    assert asked == [[making.data.groups.groups[index].texts for index in making.data.order("train")]]
    making = made(store, **BY_SESSION, model__subject_embedding=True)
    monkeypatch.setattr(making.data, "subjects", {key: f"armeni/{key}" for key in making.data.subjects})
    assert making.spec.subjects == tuple(f"armeni/{key}" for key in making.keys("train"))


def test_frozen_weights_keep_what_is_said_of_them(store):
    making = made(store, command="probe")
    before = dict(making.checked.model.provenance)
    assert making.saved(making.parts().decoder, CHOSEN).decoder.backbone.model.provenance == before


def test_a_saved_decoder_says_how_its_inputs_are_made(store, tmp_path):
    making = made(store, data__bads="keep")
    folder = write_decoder(tmp_path / "model", making.saved(making.parts().decoder, CHOSEN))
    told = json.loads((folder / "decoder.json").read_text())
    assert told["about"]["bads"] == "keep" and told["about"]["chosen"] == CHOSEN
    assert told["spec"]["compat"] == making.checked.model.compat
    counts = dict.fromkeys(told["vocabulary"], 0)
    for index in making.data.order("train"):
        for word in making.data.groups.groups[index].texts:
            counts[word] += 1
    assert told["counts"] == list(counts.values()) and min(told["counts"]) > 0


@pytest.mark.parametrize("changes", [{}, {"model__train_from_scratch": True}])
def test_a_tokenizer_that_was_trained_on_the_test_is_told(store, changes):
    making, told = made(store, **changes), []
    test = making.keys("test")
    making.checked.tokenizer.provenance = {"weights": "loaded", "recordings": {"a": {"train": [*test]}}}
    making.tell = told.append
    making.refuse()
    assert any(f"trained on {len(test)} of {len(test)} test recording" in note for note in told)
