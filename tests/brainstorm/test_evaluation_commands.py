"""The published word-decoding commands from a native corpus to the page of the run, with a user's words."""

import importlib
import json
import sys

import pytest

pytest.importorskip("lightning.pytorch")
pytest.importorskip("hydra")
pytest.importorskip("wordllama")

from megxl.decoding.predictions import read_predictions
from megxl.training.runs import Run

pytestmark = pytest.mark.slow

FINETUNE = "evaluate_criss_cross_word_classification"
PROBE = "evaluate_criss_cross_word_classification_linear_probe"
SMALL = (
    "data.words_per_segment=4", "data.train_pct=0.3", "training.num_epochs=1", "training.batch_size=4",
    "training.num_workers=0", "evaluation.retrieval_set_sizes=[20,50]", "evaluation.k=5",
)  # fmt: skip
"""Groups of few words, so that a minute of recording falls to all parts of a hashed split."""
RUNS = {
    "armeni": (FINETUNE, "armeni", (
        "data.subjects=[sub-001]", "data.all_sessions=[ses-010]", "data.split_ratios=[0.6,0.2,0.2]",
        "model.word_mlp.hidden_dim=64",
    )),
    "gwilliams": (PROBE, "meg_masc", (
        "data.subjects=[sub-01]", "data.all_sessions=[ses-1]", 'data.tasks=["1"]', "data.split_ratios=[0.5,0.2,0.3]",
    )),
    "libribrain": (PROBE, "libribrain", (
        "data.all_sessions=[ses-2]", "data.tasks=[Sherlock1]", "data.split_ratios=[0.6,0.2,0.2]",
    )),
}  # fmt: skip
"""By the last part of the configuration's name: the module, the folder of the corpus, and one recording of it."""


@pytest.mark.parametrize("name", RUNS)
def test_a_published_command_ends_in_results_at_chance_where_words_have_nothing_to_do_with_the_signal(
    mini, golden, tmp_path, monkeypatch, capsys, name
):
    module, folder, chosen = RUNS[name]
    words = [
        module,
        f"--config-name=eval_{module.removeprefix('evaluate_')}_{name}",
        f"data.root={mini / folder}",
        f"model.criss_cross_checkpoint={golden.model}",
        f"model.tokenizer_checkpoint={golden.codec}",
        "device=cpu",
        "t5.model_name=wordllama",
        f"t5.cache_dir={tmp_path / 'vectors'}",
        f"data.cache_dir={tmp_path / 'store'}",
        f"logging.save_dir={tmp_path}",
        "logging.experiment_name=run",
        *SMALL,
        *chosen,
    ]
    monkeypatch.setattr(sys, "argv", words)
    assert importlib.import_module(f"brainstorm.{module}").main() == 0
    run = Run.open(tmp_path / "run")
    assert run.status["state"] == "finished" and run.validation() and (run.path / "model" / "decoder.json").is_file()
    test = json.loads((run.path / "results.json").read_text())["test"]
    assert len(read_predictions(run.path / "predictions" / "test")) == test["words"] > 20
    assert len(read_predictions(run.path / "predictions" / "validation")) > 0
    scored = test["metrics"]["balanced_top5_accuracy_retrieval20"]
    assert scored["chance"] == 0.25 and (scored["low"] <= scored["chance"] <= scored["high"] or scored["p"] > 0.05)
    assert f"{scored['value']:.4f}" in capsys.readouterr().out
    page = (run.path / "report.html").read_text()
    assert "published" in page and page.rstrip().endswith("</html>")
