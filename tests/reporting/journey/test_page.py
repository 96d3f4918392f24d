"""The page of a whole demonstration of small runs: all in one file, true to them, and no name becomes markup."""

import re
import shutil
from pathlib import Path

import pytest

pytest.importorskip("lightning.pytorch")

from megxl.errors import InputError
from megxl.model.megxl import MEGXL
from megxl.reporting.journey.ending import next_html
from megxl.reporting.journey.journey import Journey
from megxl.reporting.journey.page import write_journey
from megxl.training.runs import BASELINES, MODEL, SPLIT, Run, write_json
from megxl.training.tables import METRICS, VALIDATION, Table
from tests.reporting.words.small_run import make_run
from tests.training.small_run import make_codec, make_store, small_config
from tests.training.words.small_words import make_backbone, make_word_store

PICTURE = re.compile(r'<img src="data:image/png;base64,[A-Za-z0-9+/=]{1000,}" alt="[^"]+">')


def pretrained(folder: Path) -> Path:
    """A finished pre-training, written by hand; its model has random weights."""
    make_store(folder, subjects=2)
    make_codec(folder)
    run = Run.create(small_config(folder), environment={})
    MEGXL.from_pretrained(make_backbone(folder)).save_pretrained(run.path / MODEL)
    write_json(run.path / SPLIT, {"armeni": {"train": ["armeni/sub-0_ses-1"], "validation": ["armeni/sub-1_ses-1"]}})
    write_json(run.path / BASELINES, {"chance": 2.77, "unigram": {"loss": 2.7, "accuracy": 0.1}})
    for name in (METRICS, VALIDATION):
        table = Table(run.path / name)
        for step in range(1, 5):
            table.add(step, {"epoch": 0, "loss": 2.8 - 0.1 * step})
        table.flush()
    run.set_status("finished", step=4, epoch=1)
    return run.path


@pytest.fixture(scope="module")
def journey(tmp_path_factory) -> Journey:
    folder = tmp_path_factory.mktemp("demo")
    make_word_store(folder, subjects=1, words=240, n_sensors=12)  # long enough for a mean that can be told from chance
    runs = {name: make_run(folder, name=name, noise=noise, **changes).path for name, noise, changes in (
        ("fine-tuned", 1.0, {}),
        ("scratch", 4.0, {}),
        ("noise", 1e6, {"control": "noise"}),
        ("snr-0", 1e6, {}),
    )}  # fmt: skip
    reader = tmp_path_factory.mktemp("reader")
    return Journey(
        folder=folder, store=folder / "store", shown="armeni/sub-1_ses-2",
        corpus_facts={"story": "The <b>Water</b>", "sensors": 12},
        codec=make_codec(folder), pretrained=pretrained(reader),
        fine_tuned=runs["fine-tuned"], scratch=runs["scratch"], noise=runs["noise"],
        main_snr=2.0, by_snr={2.0: runs["fine-tuned"], 0.5: runs["scratch"], 0.0: runs["snr-0"]},
        seconds={"simulate <a>": 3.0, "fine-tune": 72.0}, peak_bytes=1_500_000_000, own=folder / 'my "own".html',
    )  # fmt: skip


@pytest.fixture(scope="module")
def text(journey) -> str:
    page = write_journey(journey)
    assert page == journey.folder / "report.html"
    return page.read_text(encoding="utf-8")


def test_the_page_holds_everything_in_one_file(text):
    assert len(PICTURE.findall(text)) == 6  # signal, its mean, codes, hidden stretches, loss, accuracy
    assert not re.search(r'(?:src|href)\s*=\s*["\']?(?:https?:)?//|url\(|@import|<script|<link|<iframe', text)
    assert [text.index(f'id="{place}"') for place in ("signal", "codes", "filling", "words", "accuracy")] == sorted(
        text.index(f'id="{place}"') for place in ("signal", "codes", "filling", "words", "accuracy")
    )


def test_it_says_first_that_all_is_simulated_and_how_clear(text):
    said = "simulated, with answers to words at a signal-to-noise ratio of 2."
    assert text.index("</h1>") < text.index(said) < text.index("<img")
    assert "100 times less power. No number on this page is about real brains." in text


def test_its_numbers_are_those_of_the_runs(text, journey):
    for path, name in (
        (journey.fine_tuned, "pre-trained"),
        (journey.scratch, "from scratch"),
        (journey.noise, "given noise"),
    ):
        results = (Run.open(path).results() or {})["test"]
        told = results["metrics"][results["reported_metric"]]
        assert f"<b>{100 * told['value']:.1f}\u00a0%</b>of words found, {name}" in text
    assert "Pre-training helped." in text and "stays at chance" in text and "Something is wrong" not in text
    assert "0.300 nats a code better than the better guesser (loss 2.400 against 2.700)" in text


def test_names_and_words_are_escaped(text):
    assert "The &lt;b&gt;Water&lt;/b&gt;" in text and "simulate &lt;a&gt;" in text
    assert 'href="my &quot;own&quot;.html"' in text


def test_steps_are_told_with_their_sum(text):
    assert "1 min 12 s" in text and "this is 1 min 15 s;" in text
    assert "The largest process held 1.5 GB of memory." in text


def test_a_journey_without_the_control_at_zero_is_refused(journey):
    changed = vars(journey) | {"by_snr": {2.0: journey.fine_tuned}}
    with pytest.raises(InputError, match="ratio 0"):
        Journey(**changed)


def test_a_decoder_that_is_not_finished_is_refused_by_name(journey, tmp_path):
    begun = Path(shutil.copytree(journey.scratch, tmp_path / "begun"))
    (begun / "results.json").unlink()
    with pytest.raises(InputError, match=r"begun has no results yet"):
        write_journey(Journey(**(vars(journey) | {"scratch": begun})))


def test_commands_name_the_runs_as_somebody_would_type_them(journey, text, monkeypatch):
    assert f"megxl report {journey.fine_tuned}</code>" in text  # from elsewhere
    monkeypatch.chdir(journey.folder)
    assert "megxl report fine-tuned</code>" in next_html(journey)
