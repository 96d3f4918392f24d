"""The page of a real small run of a tokenizer: all in one file, with the scores that were judged, finished or not."""

import json
import re
import shutil

import numpy as np
import pytest

pytest.importorskip("lightning.pytorch")

from megxl.cli import main
from megxl.errors import InputError
from megxl.reporting.tokenizer.opening import look_at, read_judged
from megxl.reporting.tokenizer.page import write_tokenizer_report
from megxl.training.runs import Run
from tests.reporting.test_training_page import PICTURE, text_of
from tests.reporting.tokenizer.small_run import make_run, scores
from tests.training.tokenizer import small_codecs

TITLES = (
    "Summary", "Beside controls", "Comparison", "Learning", "Codes while training", "Pace", "What comes back: signals",
    "What comes back: frequencies", "Use of the codes", "Level by level", "Levels, noise and gain", "Where on the head",
    "On what it was judged", "Who trained, who validated", "Settings and environment",
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Run:
    """Six steps; not to be changed."""
    return make_run(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture
def run(trained, tmp_path) -> Run:
    """A copy of its directory."""
    return Run.open(shutil.copytree(trained.path, tmp_path / "run"))


def keep(run: Run, tokenizers: dict, recordings: dict[str, int]) -> None:
    """Write judged.json with these scores."""
    windows = {"number": 1, "of": 2, "window_s": 6.0, "sfreq_hz": 50.0, "block_s": 3.0, "clip": 5.0, "rows": 8,
               "flat_rows": 0, "intervals_over": "windows", "recordings": recordings, "notes": []}  # fmt: skip
    (run.path / "judged.json").write_text(json.dumps({"windows": windows, "tokenizers": tokenizers}))


def digest(run: Run) -> str:
    codec = look_at(run, windows=1).codec
    assert codec is not None
    return codec.provenance["sha256"]


def test_a_page_holds_everything_in_one_file_with_the_scores_of_judging(run):
    before, seen = {path.name for path in run.path.iterdir()}, []
    page = write_tokenizer_report(run, windows=2, advance=lambda done, of: seen.append((done, of)))
    text = text_of(page)
    assert page == run.path / "report.html" and {path.name for path in run.path.iterdir()} == before | {"report.html"}
    assert len(PICTURE.findall(text)) == 9
    assert not re.findall(r'<(?:script|img|link)[^>]*(?:src|href)="https?:', text)
    assert all(title in text for title in TITLES)
    assert "HARDLY TRAINED: 6 steps" in text and "Judged for this page alone, on 2 windows" in text
    assert seen == [(n, 4) for n in (1, 2, 3, 4)]
    for keys in run.split()["armeni"].values():
        assert all(key in text for key in keys)
    own = look_at(run, windows=2).scores
    assert own is not None and f"r = {own['r']['mean']:.3f}" in text and f">{own['si_sdr_db']['mean']:.1f}<" in text
    assert f"{100 * own['levels'][0]['usage']:.0f} % of 32" in text
    assert all(f">{level['entropy_bits']:.2f}<" in text for level in own["levels"])


def test_what_evaluate_kept_of_these_weights_is_shown_first(run):
    (key,) = run.split()["armeni"]["validation"]
    mine = scores(0.876) | {"provenance": {"sha256": digest(run)}}
    keep(run, {"other": scores(0.6, name="other"), "mine": mine}, {key: 1})
    look = look_at(run, windows=1)
    assert list(look.tokenizers) == ["mine", "other"] and look.scores == mine and not look.notes
    text = text_of(write_tokenizer_report(run, windows=1))
    assert (
        "r = 0.876" in text and "told of other &lt;b&gt;" in text and "<b>" not in text.split("Notes of the")[1][:900]
    )


@pytest.mark.parametrize("why", ["other weights", "do not validate"])
def test_what_was_judged_of_something_else_is_told_and_not_shown(run, why):
    split = run.split()["armeni"]
    key = split["train" if why == "do not validate" else "validation"][0]
    sha256 = "0" if why == "other weights" else digest(run)
    keep(run, {"mine": scores(0.876) | {"provenance": {"sha256": sha256}}}, {key: 1})
    look = look_at(run, windows=1)
    assert look.scores is not None and look.scores["r"]["mean"] != 0.876 and why in look.notes[0]


def test_a_damaged_judged_json_is_named(run):
    (run.path / "judged.json").write_text("{")
    with pytest.raises(InputError, match=r"judged\.json of the run run is damaged"):
        read_judged(run)


@pytest.mark.slow
def test_a_run_that_goes_on_is_shown_from_its_checkpoint(run):
    (run.path / "report.html").write_text("an older one")
    shutil.rmtree(run.path / "model")
    assert run.newest_model().suffix == ".ckpt"
    text = text_of(write_tokenizer_report(run, windows=1))
    assert len(PICTURE.findall(text)) == 9 and run.newest_model().name in text


def test_a_run_that_has_just_begun_has_a_page(run):
    for name in ("metrics.csv", "validation.csv", "split.json"):
        (run.path / name).unlink()
    for name in ("model", "checkpoints"):
        shutil.rmtree(run.path / name)
    run.checkpoints.mkdir()
    text = text_of(write_tokenizer_report(run))
    for said in ("There is no validation yet", "has no checkpoint yet", "Nothing was logged yet", "has no split yet"):
        assert said in text


def test_recordings_that_are_gone_leave_the_curves(run):
    (run.path / "split.json").write_text(json.dumps({"armeni": {"train": [], "validation": ["armeni/sub-<9>"]}}))
    text = text_of(write_tokenizer_report(run, windows=1))
    assert "sub-&lt;9&gt;" in text and "sub-<9>" not in text and len(PICTURE.findall(text)) == 3


def test_other_tokenizers_are_judged_on_the_same_windows(run, tmp_path):
    shutil.copytree(run.path / "model", tmp_path / "twin")
    look = look_at(run, windows=1, beside=[tmp_path / "twin"])
    mine, twin = look.tokenizers.values()
    assert list(look.tokenizers) == ["run", "twin"] and twin["r"] == mine["r"]
    assert twin["r_beside_first"]["mean"] == 0


def test_no_window_is_refused(run):
    with pytest.raises(InputError, match="windows = 0"):
        write_tokenizer_report(run, windows=0)


@pytest.mark.slow
def test_the_command_says_what_the_page_says(run, capsys):
    assert main(["report", str(run.path), "--windows", "1", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert "run: a tokenizer" in out and str(run.path / "report.html") in out and "finished at step 6" in out
    verdict = re.search(r"correlates with them by r = [-\d.]+", text_of(run.path / "report.html"))
    assert verdict and verdict.group() in " ".join(out.split())


def test_a_page_of_flat_recordings_says_that_there_is_nothing_to_tell(tmp_path, monkeypatch):
    def flat(n: int, samples: int, *_, seed: int) -> np.ndarray:
        return np.full((n, samples), 1e-12 * (1 + seed), np.float32)

    monkeypatch.setattr(small_codecs, "band_limited", flat)
    text = text_of(write_tokenizer_report(make_run(tmp_path), windows=1))
    assert "All rows of the held-out windows are flat" in text and "Learning" in text
