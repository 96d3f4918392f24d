"""Evaluation of a real run: as its own validation, fixed windows and masks, rows by context and corpus."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from megxl.errors import InputError
from megxl.model.masking import plan_mask

pytest.importorskip("lightning.pytorch")

from megxl.training.evaluation import attention_rows, context_rows, score_contexts
from megxl.training.run_windows import RunWindows, open_model
from megxl.training.runs import Run, write_json
from tests.training.context_run import trained_run
from tests.training.small_run import small_codec


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return trained_run(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def model(run):
    return open_model(run)


def test_the_whole_window_gives_the_run_s_own_last_validation(run, model):
    """The loop of training, batches of two, its own sums; here windows one by one."""
    rows = context_rows(score_contexts(RunWindows(run, model)), run.baselines())
    (trained,) = run.validation()[-1:]
    assert [row["corpus"] for row in rows] == ["all", "armeni", "mous"]
    for name in ("loss", "accuracy", *(f"{what}_level_{q}" for what in ("loss", "accuracy") for q in (1, 2, 3))):
        assert rows[0][name] == pytest.approx(trained[name], rel=1e-6)
    for row in rows[1:]:
        for name in ("loss", "accuracy"):
            assert row[name] == pytest.approx(trained[f"{row['corpus']}_{name}"], rel=1e-6)
    guessers = json.loads((run.path / "baselines.json").read_text())
    assert rows[0]["unigram_loss"] == guessers["unigram"]["loss"] and rows[0]["chance_loss"] == math.log(16)
    assert rows[2]["last_token_accuracy"] == guessers["last_token"]["mous_accuracy"]
    assert rows[0]["tokens"] == sum(guessers["scored"]["hidden_tokens"].values())


def test_rows_are_means_over_tokens_with_intervals_over_recordings(run, model):
    scores = score_contexts(RunWindows(run, model), [12.0, 5.0, 3.5])
    assert scores.contexts_s == (3.5, 5.0, 12.0)
    assert scores.given_s == (14 * 0.24, 20 * 0.24, 12.0)
    rows = context_rows(scores)
    assert [(row["corpus"], row["context_s"]) for row in rows] == [
        (corpus, context_s) for corpus in ("all", "armeni", "mous") for context_s in (3.5, 5.0, 12.0)
    ]
    for row in rows:
        place = scores.contexts_s.index(row["context_s"])
        chosen = [n for n, corpus in enumerate(scores.corpora) if row["corpus"] in ("all", corpus)]
        tokens = sum(scores.windows[n].tokens for n in chosen)
        losses = [scores.windows[n].loss_KQ[place].sum() for n in chosen]
        longest = [scores.windows[n].loss_KQ[-1].sum() for n in chosen]
        assert row["loss"] == pytest.approx(sum(losses) / tokens / 3)
        assert row["excess"] == pytest.approx((sum(losses) - sum(longest)) / tokens / 3, abs=1e-12)
        assert row["loss_low"] <= row["loss"] <= row["loss_high"] and row["loss_low"] < row["loss_high"]
        assert row["excess_high"] - row["excess_low"] < row["loss_high"] - row["loss_low"]
        assert row["loss"] == pytest.approx(np.mean([row[f"loss_level_{q}"] for q in (1, 2, 3)]))
        assert (row["tokens"], row["windows"], row["recordings"]) == (tokens, len(chosen), len(chosen) // 5)
    assert 0 < scores.left_out < 0.5
    assert [row["excess"] for row in rows[2::3]] == [0.0] * 3


def test_masks_and_windows_are_the_same_every_time_and_a_part_of_them_is_spread(run, model):
    everything = list(RunWindows(run, model))
    again = list(RunWindows(run, model))
    for one, other in zip(everything, again, strict=True):
        assert torch.equal(one.mask_T, other.mask_T) and torch.equal(one.codes_1CTQ, other.codes_1CTQ)
    some = RunWindows(run, model, number=4)
    places = [
        next(n for n, other in enumerate(everything) if torch.equal(window.codes_1CTQ, other.codes_1CTQ))
        for window in some
    ]
    assert places == [0, 6, 13, 19] and some.notes == ["4 of 20 windows, spread evenly over the recordings."]
    assert len({everything[n].key for n in places}) == 4


def test_windows_without_cached_codes_are_encoded_alike(run, model):
    for cached, made in zip(RunWindows(run, model), RunWindows(run, model, cached=False), strict=True):
        assert (cached.codes_1CTQ == made.codes_1CTQ).float().mean() >= 0.999
        assert torch.equal(cached.mask_T, made.mask_T)


def test_windows_longer_than_those_of_training_hide_the_same_share_and_say_so(run, model):
    windows = RunWindows(run, model, window_s=30.0)
    assert windows.notes == ["Windows of 30 s are longer than the 12 s of training; their codes are made anew."]
    (first, *rest) = list(windows)
    assert len(rest) == 7 and first.codes_1CTQ.shape[2] == 125
    # 2 of 4 blocks of 3 s in training: 4 of 10 by the share of 0.4 (12 tokens each)
    assert int(first.mask_T.sum()) == 4 * 12
    with pytest.raises(InputError, match=r"No validation recording .* as long as 61 s, the longest has 60.0 s"):
        RunWindows(run, model, window_s=61.0)


def test_a_fixed_number_of_hidden_runs_grows_with_the_window(run, model):
    config = run.config
    three = Run(run.path, replace(config, model=replace(config.model, num_subsegments_to_mask=3)))
    windows = RunWindows(three, model, window_s=30.0)
    assert plan_mask(125, windows.sizes).chosen == 8  # 3 of 4 blocks, so 7.5 of 10
    assert RunWindows(three, model).sizes.masked_blocks == 3


def test_recordings_are_those_of_the_split_even_if_the_store_has_grown(run, model, tmp_path):
    keys = {window.key for window in RunWindows(run, model)}
    assert keys == {key for parts in run.split().values() for key in parts["validation"]}
    trained = {window.key for window in RunWindows(run, model, "train")}
    assert trained and not trained & keys
    fewer = Run(tmp_path, run.config)
    with pytest.raises(InputError, match="has no split yet"):
        RunWindows(fewer, model)
    write_json(tmp_path / "split.json", {"armeni": {"train": [], "validation": sorted(keys)[:1]}})
    assert {window.key for window in RunWindows(fewer, model)} == set(sorted(keys)[:1])
    with pytest.raises(InputError, match="has no recording for train"):
        RunWindows(fewer, model, "train")


@pytest.mark.parametrize(
    ("contexts", "words"),
    [([5.0, 5.0], "must differ"), ([20.0], "no longer than the windows of 12 s"), ([0.3], "two tokens of 0.24 s")],
)
def test_contexts_that_cannot_be_are_refused(run, model, contexts, words):
    with pytest.raises(InputError, match=words):
        score_contexts(RunWindows(run, model, number=1), contexts)


def test_too_short_contexts_leave_nothing_to_count(run, model):
    # blocks of 12 tokens begin where tiles of 12 and of 6 tokens do: no hidden one has a visible one beside it
    with pytest.raises(InputError, match=r"No hidden token has a visible one .* 1.44 s"):
        score_contexts(RunWindows(run, model, number=2), [1.44, 12.0])


def test_one_window_has_no_interval(run, model):
    (row,) = context_rows(score_contexts(RunWindows(run, model, number=1)))
    assert row["loss_low"] is None and row["windows"] == 1 and "unigram_loss" not in row


def test_attention_is_a_mean_over_windows(run, model):
    windows = RunWindows(run, model, number=3)
    told = []
    rows = attention_rows(windows, lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    singles = [attention_rows(_One(windows, window)) for window in windows]
    assert [(row["layer"], row["axis"], row["head"], row["unit"]) for row in rows] == [
        (1, "time", 1, "s"),
        (1, "space", 1, "m"),
    ]
    for place, row in enumerate(rows):
        for name in ("distance", "entropy", "entropy_share", "even_distance"):
            assert row[name] == pytest.approx(np.mean([single[place][name] for single in singles]))
    assert 0.001 < rows[1]["distance"] < 0.3  # metres over a helmet


class _One:
    """A single window of some."""

    def __init__(self, windows, window) -> None:
        self.model, self.window = windows.model, window

    def __iter__(self):
        return iter([self.window])

    def __len__(self) -> int:
        return 1


def test_a_model_without_a_tokenizer_gets_the_run_s(run, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state = {name: part for name, part in model.state_dict().items() if not name.startswith("tokenizer.")}
    bare = type(model)(model.config)
    bare.load_state_dict(state)
    bare.save_pretrained(tmp_path / "bare")
    opened = open_model(run, tmp_path / "bare")
    assert opened.tokenizer is not None and not opened.training
    assert torch.equal(opened.tokenizer.quantizer.code_books_QVK, small_codec().quantizer.code_books_QVK)
