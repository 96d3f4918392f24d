"""The page of a real small run: all in one file, finished or not; what cannot be shown is told in its place."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("lightning.pytorch")

from megxl.errors import InputError
from megxl.model.megxl import MEGXL
from megxl.reporting.masked_windows import validation_windows
from megxl.reporting.training_page import write_training_report
from megxl.reporting.training_tables import (
    level_columns,
    scores_html,
    split_html,
    training_warning,
    usage_html,
    verdict_of,
)
from megxl.training.data import PretrainData
from megxl.training.engine import pretrain
from megxl.training.masks import hide
from megxl.training.run_windows import open_model
from megxl.training.runs import Run
from tests.small import TRAINED
from tests.training.small_run import make_codec, make_store, small_codec, small_config

PICTURE = re.compile(r'src="data:image/webp;base64,[A-Za-z0-9+/=\s]{1000,}"')


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Run:
    """One epoch on five recordings of noise; not to be changed."""
    folder = tmp_path_factory.mktemp("trained")
    make_store(folder, corpora=("armeni",))
    make_codec(folder)
    return pretrain(small_config(folder, training__num_epochs=1))


@pytest.fixture
def run(trained, tmp_path) -> Run:
    """A copy of its directory."""
    return Run.open(shutil.copytree(trained.path, tmp_path / "run"))


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def test_a_page_holds_everything_in_one_file(run):
    before = {path.name for path in run.path.iterdir()}
    seen = []
    page = write_training_report(run, windows=2, advance=seen.append)
    text = text_of(page)
    assert page == run.path / "report.html" and {path.name for path in run.path.iterdir()} == before | {"report.html"}
    assert len(PICTURE.findall(text)) == 8
    assert not re.findall(r'<(?:script|img|link)[^>]*(?:src|href)="https?:', text)
    assert seen == [1, 1]
    for said in ("UNTRAINED TOKENIZER", "finished at step", "Who trained, who validated", "latent_dim", "torch"):
        assert said in text
    for keys in run.split()["armeni"].values():
        assert all(key in text for key in keys)


def test_numbers_stand_next_to_those_of_the_guessers(run):
    html, last, baselines = scores_html(run), run.validation()[-1], run.baselines()
    rows = {row.partition("</th>")[0].rpartition(">")[2]: row for row in html.split("<tr")[2:]}
    cells = {name: re.findall(r"<td[^>]*>([^<]*)</td>", row) for name, row in rows.items()}
    assert list(cells) == ["model", "last-token guesser", "unigram guesser", "chance"]
    for name, told in (("model", last), ("last-token guesser", baselines["last_token"])):
        loss = told["loss"]
        expected = [f"{loss:.3f}", f"{np.exp(loss):.1f} codes", f"{100 * told['accuracy']:.2f} %"]
        assert cells[name] == expected + [f"{told[f'loss_level_{level}']:.3f}" for level in (1, 2, 3)]
    assert cells["chance"] == ["2.773", "16.0 codes", "6.25 %", "2.773", "2.773", "2.773"]


@pytest.mark.parametrize(("guesser", "well"), [(9.0, True), (0.1, False)])
def test_the_verdict_is_by_the_better_guesser(run, guesser, well):
    loss = run.validation()[-1]["loss"]
    (run.path / "baselines.json").write_text(
        json.dumps({"chance": 2.77, "unigram": {"loss": 9.5}, "last_token": {"loss": guesser}})
    )
    said, good = verdict_of(run)
    assert good is well and f"{loss:.3f}" in said and f"{guesser:.3f}" in said
    assert (f"{np.exp(9.0 - loss):.2f} times" in said) is well


def test_a_run_that_has_just_begun_has_a_page(run):
    for name in ("metrics.csv", "validation.csv", "baselines.json", "split.json"):
        (run.path / name).unlink()
    for name in ("model", "checkpoints"):
        shutil.rmtree(run.path / name)
    run.checkpoints.mkdir()
    text = text_of(write_training_report(run))
    assert "There is no validation yet" in text and "has no checkpoint yet" in text
    assert "has not yet chosen its recordings" in text


@pytest.mark.slow
def test_a_run_that_goes_on_is_shown_from_its_checkpoint(run):
    (run.path / "report.html").write_text("an older one")
    shutil.rmtree(run.path / "model")
    assert run.newest_model().suffix == ".ckpt"
    text = text_of(write_training_report(run, windows=1))
    assert len(PICTURE.findall(text)) == 8 and run.newest_model().name in text


def test_what_cannot_be_read_is_told_in_its_place(run):
    (run.path / "split.json").write_text(json.dumps({"armeni": {"train": [], "validation": ["armeni/sub-<9>"]}}))
    text = text_of(write_training_report(run, windows=1))
    assert "sub-&lt;9&gt;" in text and "sub-<9>" not in text
    assert len(PICTURE.findall(text)) == 4


def test_at_least_one_window_is_looked_at(run):
    with pytest.raises(InputError, match="windows = 0"):
        write_training_report(run, windows=0)
    assert not (run.path / "report.html").exists()


def test_windows_are_those_of_validation_with_its_masks_and_codes(trained):
    model = open_model(trained)
    windows = [read() for read in validation_windows(trained, model, 100)]
    data = PretrainData(trained.config, model.tokenizer)
    batches = list(data.val_dataloader())
    items = [
        (batch.keys[n], float(batch.start_s_B[n]), batch.codes_BCTQ[n], hidden.mask_BT[n])
        for batch in batches
        for hidden in [hide(batch, model.config, batch.codes_BCTQ.shape[2])]
        for n in range(len(batch))
    ]
    assert len(windows) == len(items) >= 6
    for window, (key, start_s, codes_CTQ, mask_T) in zip(windows, items, strict=True):
        assert (window.key, window.start_s) == (key, start_s)
        assert torch.equal(window.hidden_T, mask_T) and 0 < mask_T.sum() < len(mask_T)
        assert torch.equal(window.codes_CTQ, codes_CTQ[: len(window.array)])
    assert {window.key for window in windows} == set(trained.split()["armeni"]["validation"])


def test_few_windows_are_spread_over_the_recordings_of_each_corpus(trained):
    starts = [read().start_s for read in validation_windows(trained, open_model(trained), 2)]
    assert starts == [6.0, 24.0]  # of 0 to 30 s in steps of 6 s


def test_who_trains_and_validates_is_told_and_an_overlap_is_loud():
    split = {"a": {"train": ["a/1", "a/2"], "validation": ["a/<3>"]}}
    html = split_html(split)
    assert "No recording that validates is trained on" in html and "a/&lt;3&gt;" in html
    html = split_html({"a": {"train": ["a/1", "a/3"], "validation": ["a/3"]}})
    assert "1 recordings both train and validate (first: a/3)" in html and "No recording" not in html


def test_use_of_codes_is_told_by_part_corpus_and_level():
    told = {"tokens": 1234, "perplexity": [10.2, 3.4], "used": [0.5, 0.25]}
    html = usage_html({"usage": {"train": {"all": told}}})
    assert re.findall(r"<td[^>]*>([^<]*)</td>", html) == ["1,234", "10 (50 %)", "3 (25 %)"]
    assert "not been counted" in usage_html(None)


def test_weights_that_mean_little_are_warned_of(run):
    model = MEGXL.from_pretrained(run.newest_model())
    assert training_warning(model).startswith("UNTRAINED TOKENIZER")
    model.provenance = {**TRAINED, "steps": 12, "untrained": True, "source": {"tokenizer": TRAINED}}
    assert training_warning(model).startswith("HARDLY TRAINED: 12 steps")
    model.provenance = {**TRAINED, "tokenizer": TRAINED}
    assert training_warning(model) is None
    model.provenance, model.tokenizer = TRAINED, small_codec()
    assert training_warning(model).startswith("UNTRAINED TOKENIZER")


def test_levels_come_in_the_order_of_their_numbers():
    rows = [{"step": 1, "loss": 1.0}, {f"loss_level_{level}": 1.0 for level in (10, 2, 1)}]
    assert level_columns(rows) == ["loss_level_1", "loss_level_2", "loss_level_10"]
