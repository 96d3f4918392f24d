"""The model card: what the hub reads of it, and what a person does."""

import re
from dataclasses import replace

import pytest

from megxl.checkpoints.card import model_card
from megxl.checkpoints.folder import read_folder, write_checkpoint
from megxl.checkpoints.released import read_released
from tests.checkpoints.making import codec_file, model_file

hub = pytest.importorskip("huggingface_hub")

TRAINED = {
    "weights": "loaded",
    "epoch": 3,
    "steps": 5000,
    "seed": 7,
    "megxl_version": "0.1.0",
    "recordings": {"armeni": {"train": ["armeni/a", "armeni/b"], "validation": ["armeni/c"]}},
    "data": {"armeni": {"hours": {"train": 1.5, "validation": 0.25}, "licences": ["RU|DI-1.0"]}},
    "validation": {
        "task": "masked-prediction",
        "step": 4800,
        "metrics": {"loss": {"model": 1.25, "unigram": 2.5}, "accuracy": {"model": 0.5, "unigram": 0.125}},
    },
    "started_from": {
        "weights": "loaded",
        "file": "earlier",
        "sha256": "e" * 64,
        "steps": 2000,
        "source": {"recordings": {"libribrain": {"train": ["libribrain/x"], "validation": []}}},
    },
    "tokenizer": {
        "weights": "loaded",
        "sha256": "f" * 64,
        "steps": 9000,
        "source": {
            "recordings": {"camcan": {"train": ["camcan/y"], "validation": []}},
            "data": {"camcan": {"hours": {"train": 8.0}, "licences": ["on application"]}},
        },
    },
}


@pytest.fixture
def model(tmp_path):
    return read_released(model_file(tmp_path))


def rows(card: str, title: str) -> list[list[str]]:
    """Cells of the table below a title, its head first."""
    section = card.partition(f"## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|") and "---" not in line]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_the_hub_reads_licence_tags_and_metrics(model):
    said = hub.ModelCard(model_card(replace(model, provenance=TRAINED | {"licence": "cc-by-nc-4.0"}))).data
    assert (said.license, said.library_name, said.pipeline_tag) == ("cc-by-nc-4.0", "megxl", "feature-extraction")
    assert said.tags == ["MEG", "EEG", "neuroscience", "brain-decoding"]
    results = [(one.metric_type, one.metric_value, one.dataset_type, one.task_type) for one in said.eval_results]
    assert results == [("loss", 1.25, "armeni", "masked-prediction"), ("accuracy", 0.5, "armeni", "masked-prediction")]


@pytest.mark.parametrize("kind", ["model", "codec"])
def test_without_a_word_on_licence_or_metrics_the_head_still_parses(kind, tmp_path):
    file = model_file(tmp_path) if kind == "model" else codec_file(tmp_path)
    card = model_card(replace(read_released(file), provenance={"weights": "random"}))
    said = hub.ModelCard(card).data
    assert said.license == "unknown" and said.eval_results is None and "untrained" in said.tags
    assert "Nobody has said yet under which licence" in card and "UNTRAINED WEIGHTS" in card


def test_the_data_stand_with_hours_and_licences_also_of_earlier_weights_and_of_the_tokenizer(model):
    assert rows(model_card(replace(model, provenance=TRAINED)), "What they were trained on")[1:] == [
        ["these", "armeni", "2 recordings, 1.5 h", "1 recording, 0.25 h", r"RU\|DI-1.0"],
        ["those they began with", "libribrain", "1 recording", "0 recordings", "not recorded"],
        ["their tokenizer", "camcan", "1 recording, 8 h", "0 recordings", "on application"],
    ]


def test_weights_that_were_never_trained_are_called_so_also_of_the_tokenizer(model):
    codec = {"weights": "loaded", "file": "codec", "source": {"weights": "random"}}
    decoder = {"weights": "loaded", "steps": 9, "started_from": {"weights": "loaded", "source": {"tokenizer": codec}}}
    card = model_card(replace(model, provenance=decoder))
    assert "- their tokenizer: random weights, never trained; file codec" in card
    assert "- these: steps 9\n- those they began with: nothing is recorded" in card


def test_scores_stand_beside_those_of_guessers_with_their_step(model):
    card = model_card(replace(model, provenance=TRAINED))
    (head, loss, accuracy) = rows(card, "How well they do")
    assert head[1:] == ["these weights", "guesser: how frequent codes are"]
    assert loss[1:] == ["1.25", "2.5"] and accuracy[1:] == ["0.5", "0.125"]
    assert "at step 4,800" in card


def test_steps_seed_and_checksums_are_told_and_limits_too(model):
    card = model_card(replace(model, provenance=TRAINED))
    assert "control noise" in model_card(replace(model, provenance=TRAINED | {"control": "noise"}))
    assert "control noise" not in card
    training = card.partition("## How they were trained\n")[2].partition("\n## ")[0]
    assert "these: epoch 3; steps 5000; seed 7" in training
    assert "those they began with: file earlier; sha256 " + "e" * 64 in training and "f" * 64 in training
    assert "No medical device" in card and "with the onsets of words given" in card and "2602.02494" in card


def test_weights_that_were_loaded_tell_what_was_recorded_with_them(tmp_path, model):
    again = read_folder(write_checkpoint(tmp_path / "m", replace(model, provenance=TRAINED)))
    card = model_card(again)
    assert rows(card, "What they were trained on") == rows(
        model_card(replace(model, provenance=TRAINED)), "What they were trained on"
    )
    assert again.provenance["sha256"] in card and "seed 7" in card


def test_what_a_file_does_not_say_is_not_made_up(model):
    card = model_card(model)
    assert "does not say on which recordings" in card and "Nothing was recorded with the weights." in card
