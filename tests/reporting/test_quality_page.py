"""The page about a store: every recording in its table, a small picture of each, whatever state it is in."""

import base64
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from megxl.data.preparing import Request, prepare_corpus
from megxl.errors import InputError
from megxl.reporting.quality_page import describe, plot_recording, write_quality_page
from megxl.reporting.style import ALARM
from megxl.store.store import Store
from tests.data.small_corpus import Small, make_small, with_nan


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    place = tmp_path_factory.mktemp("quality")
    root = make_small(place / "root")
    with_nan(root / "sub-03_task-rest_meg.fif")
    prepare_corpus(Request(corpus=Small(), root=root, store=place / "store", workers=0))
    return Store(place / "store")


def pictures(page: Path) -> list[int]:
    """Sizes in bytes of the pictures; logos are in another format."""
    found = re.findall(r'src="data:image/webp;base64,([A-Za-z0-9+/=\s]{1000,})"', page.read_text(encoding="utf-8"))
    return [len(base64.b64decode(part)) for part in found]


def test_the_page_shows_each_recording_small_and_the_json_says_the_same(store, tmp_path):
    page = write_quality_page(tmp_path / "page.html", store.recordings(), rows=[("made", "<b>3</b>")])
    text, facts = page.read_text(encoding="utf-8"), json.loads((tmp_path / "page.json").read_text())
    sizes = pictures(page)
    assert len(sizes) == 3 and max(sizes) < 200_000 and "&lt;b&gt;3&lt;/b&gt;" in text
    assert all(recording.key in text for recording in store.recordings())
    assert facts["recordings"] == [json.loads(json.dumps(describe(recording))) for recording in store.recordings()]
    assert facts["holdings"]["bad_sensors"]["nonfinite"] == [1, 1]
    assert not re.findall(r'<(?:script|img|link)[^>]*(?:src|href)="https?:', text)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html", "page.json"]


def test_few_pictures_are_of_those_with_most_to_look_at(store, tmp_path):
    page = write_quality_page(tmp_path / "page.html", store.recordings(), pictures=1)
    text = page.read_text(encoding="utf-8")
    assert len(pictures(page)) == 1 and "1 of 3 recordings, those with most to look at" in text
    assert (
        re.findall(r'data-caption="[^"]*"|sub-03_task-rest</a>', text) or "sub-03" in text.split("All recordings")[-1]
    )


def test_the_picture_shows_what_is_stored(store):
    recording = store.recording("small/sub-03_task-rest")
    traces, spectrum, places = plot_recording(recording).axes
    (row,) = [row for row, name in enumerate(recording.sensors.names) if name in recording.bads]
    good = [row for row in range(6) if recording.sensors.names[row] not in recording.bads]
    suspect, first = traces.lines[:2]
    assert not suspect.get_ydata().any() and suspect.get_color() == ALARM != first.get_color()
    assert np.corrcoef(first.get_ydata(), recording.read()[good[0]])[0, 1] > 0.999
    labels = [label.get_text() for label in traces.get_yticklabels()]
    assert labels[0].startswith(f"{recording.bads[0]}: with NaN") and recording.bads[0] not in labels[1:]
    assert len(spectrum.lines) == 2 and "1 to look at" in places.get_title()
    assert [len(line.get_xdata()) for line in places.lines] == [5, 1] and row not in good
    assert [text.get_text() for text in places.texts] == [recording.bads[0]]


def test_where_nothing_was_found_it_is_said(store, tmp_path):
    fine = replace(store.recording("small/sub-01_task-rest"), quality={}, bads=(), notes=[], word_notes=[])
    traces, _, places = plot_recording(fine).axes
    assert places.get_title() == "6 sensors\nnothing found" and not places.texts
    assert ALARM not in {line.get_color() for line in traces.lines}
    page = write_quality_page(tmp_path / "page.html", [fine])
    assert "Nothing found." in page.read_text(encoding="utf-8")


def test_a_sensor_that_is_far_off_does_not_flatten_the_others(store, monkeypatch):
    recording = replace(store.recording("small/sub-01_task-rest"), quality={}, bads=())
    signal_CT = np.random.default_rng(0).standard_normal((6, recording.n_samples)) * 1e-12
    signal_CT[0] *= 1e12
    monkeypatch.setattr(type(recording), "read", lambda *_: signal_CT)
    traces = plot_recording(recording).axes[0]
    assert all(0.3 < np.ptp(line.get_ydata()) < 2.1 for line in traces.lines[1:6])


def test_outdated_recordings_are_marked_and_not_summed(store, tmp_path):
    recordings = store.recordings()
    why = {recordings[0].key: "the source changed: a.fif"}
    page = write_quality_page(tmp_path / "page.html", recordings, outdated=why)
    facts = json.loads((tmp_path / "page.json").read_text())
    assert facts["holdings"]["recordings"] == 2 and facts["outdated"] == why and len(facts["recordings"]) == 3
    assert page.read_text(encoding="utf-8").count("OUTDATED: the source changed") == 1


def test_a_damaged_recording_is_named_in_its_place(store, tmp_path):
    recordings = store.recordings()
    broken = recordings[0]
    facts = replace(broken.signal.facts, checksums=("0" * 32,))
    damaged = replace(broken, signal=replace(broken.signal, facts=facts))
    page = write_quality_page(tmp_path / "page.html", [damaged, *recordings[1:]])
    assert len(pictures(page)) == 2 and "sub-01_task-rest is damaged in the store" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["page.pdf", "no/page.html"])
def test_a_page_needs_a_place_and_its_ending(store, tmp_path, name):
    with pytest.raises(InputError):
        write_quality_page(tmp_path / name, store.recordings())
    assert list(tmp_path.iterdir()) == []


def test_older_files_are_replaced_only_when_allowed_and_nothing_is_no_page(store, tmp_path):
    (tmp_path / "page.json").write_text("mine")
    with pytest.raises(InputError, match=r"page\.json exists already"):
        write_quality_page(tmp_path / "page.html", store.recordings())
    with pytest.raises(InputError, match="no stored recording"):
        write_quality_page(tmp_path / "other.html", [])
    write_quality_page(tmp_path / "page.html", store.recordings(), overwrite=True)
    assert (tmp_path / "page.json").read_text() != "mine"
