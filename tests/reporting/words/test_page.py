"""The page of a run of word decoding: all in one file; what lacks is told in its place."""

import re
import shutil
from pathlib import Path

import pytest

pytest.importorskip("lightning.pytorch")

from megxl.errors import InputError
from megxl.reporting.words.page import write_words_report
from megxl.training.runs import Run
from tests.reporting.words.small_run import add_decoder, make_run

PICTURE = re.compile(r'src="data:image/webp;base64,[A-Za-z0-9+/=\s]{1000,}"')
TITLES = ("Words found", "Learning", "What is taken for what", "How much signal after the onset it takes",
          "Which sensors are used", "The passage")  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Run:
    """A finished run, another beside it; not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    run = add_decoder(make_run(folder))
    make_run(folder, name="noise", noise=30.0, control="noise")
    return run


@pytest.fixture
def run(made, tmp_path) -> Run:
    """A copy of its directory; the store is shared."""
    return Run.open(shutil.copytree(made.path, tmp_path / "run"))


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def test_a_page_holds_everything_in_one_file(run, made):
    before, seen = {path.name for path in run.path.iterdir()}, []
    page = write_words_report(run, beside=[Run.open(made.path.with_name("noise"))], groups=1, device="cpu",
                              advance=seen.append)  # fmt: skip
    text = text_of(page)
    assert {path.name for path in run.path.iterdir()} == before | {"report.html"} and seen == [1]
    assert len(PICTURE.findall(text)) == 5
    assert not re.findall(r'<(?:script|img|link|iframe)[^>]*(?:src|href)="(?:https?:)?//', text)
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket)\s*\(", text[text.index("passage-data") :])
    for title in TITLES:
        assert title in text
    for said in ("published: the split", "Test words choose the vocabulary.", "balanced_top3_accuracy_retrieval20, of "
                 "validation", "noise (control: noise)", "NO PRE-TRAINED BACKBONE", "finished at step 40"):  # fmt: skip
        assert said in text
    assert "this run +" in text and "Not to be shown" not in text


def test_a_run_that_has_only_begun_says_what_is_not_there_yet(run):
    for name in ("predictions", "model"):
        shutil.rmtree(run.path / name)
    for name in ("results.json", "metrics.csv", "validation.csv"):
        (run.path / name).unlink()
    text = text_of(write_words_report(run, device="cpu"))
    for said in ("There are no predictions of the test", "no predictions were saved there", "Nothing was trained",
                 "has no decoder"):  # fmt: skip
        assert said in text
    assert len(PICTURE.findall(text)) == 0


def test_without_decoder_or_results_the_rest_is_shown(run):
    shutil.rmtree(run.path / "model")
    (run.path / "results.json").unlink()
    text = text_of(write_words_report(run, device="cpu"))
    assert text.count("There is no decoder to look at.") == 2 and "there is no results.json yet" in text
    assert len(PICTURE.findall(text)) == 3 and '"signals"' in text


def test_without_the_store_the_words_are_shown_without_their_signal(made, tmp_path):
    folder = tmp_path / "moved"
    run = Run.open(shutil.copytree(made.path, folder))
    config = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(config.replace(str(made.path.parent / "store"), str(tmp_path / "gone")))
    text = text_of(write_words_report(Run.open(run.path), device="cpu"))
    assert "The signal cannot be shown" in text and '"signals"' not in text and 'class="pw ' in text
    assert len(PICTURE.findall(text)) == 3 and not (tmp_path / "gone").exists()


def test_no_group_is_refused(run):
    with pytest.raises(InputError, match="groups = 0"):
        write_words_report(run, groups=0)
