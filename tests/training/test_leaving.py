"""What the model of a finished training says of its data and of how well it does."""

from pathlib import Path

import pytest

pytest.importorskip("lightning.pytorch")
pytest.importorskip("huggingface_hub")

from huggingface_hub import ModelCard

from megxl.model.megxl import MEGXL
from megxl.store.store import Store
from megxl.training.engine import pretrain
from megxl.training.runs import Run
from tests.training.small_run import make_codec, make_store, small_config


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("leaving")
    make_store(folder, subjects=3)
    make_codec(folder)
    return pretrain(
        small_config(folder, training__num_epochs=None, training__max_steps=5, trainer__val_check_interval=3)
    )


def test_a_model_says_how_well_it_did_at_its_end_beside_the_guessers(run):
    said = MEGXL.from_pretrained(run.path / "model").provenance["source"]["validation"]
    row, guessers = run.validation()[-1], run.baselines()
    assert guessers is not None and (said["task"], said["step"]) == ("masked-prediction", 5)
    for metric in ("loss", "accuracy"):
        values = {"model": row[metric], **{name: guessers[name][metric] for name in ("unigram", "last_token")}}
        assert said["metrics"][metric] == values


def test_a_model_says_how_many_hours_of_what_licence_it_was_trained_on(run):
    store, split = Store(Path(run.config.data.cache_dir)), run.split()
    assert split is not None
    said = MEGXL.from_pretrained(run.path / "model").provenance["source"]["data"]["armeni"]
    for part in ("train", "validation"):
        seconds = sum(store.recording(key).n_samples / 50 for key in split["armeni"][part])
        assert said["hours"][part] == pytest.approx(seconds / 3600)
    assert said["licences"] == sorted({store.recording(key).licence for key in split["armeni"]["train"]} - {None})


def test_its_card_and_that_of_weights_that_are_saved_again_say_so(run, tmp_path):
    again = MEGXL.from_pretrained(run.path / "model").save_pretrained(tmp_path / "again", licence="mit")
    for folder, licence in ((run.path / "model", "unknown"), (again, "mit")):
        card = ModelCard.load(folder / "README.md")
        assert card.data.license == licence and [one.metric_type for one in card.data.eval_results] == [
            "loss",
            "accuracy",
        ]
        assert "2 recordings, 0.0222 h" in card.content and "1 recording, 0.0111 h" in card.content
