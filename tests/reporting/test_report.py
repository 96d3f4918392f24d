"""The report: one small file that holds everything, and that no name can break."""

import re

import pytest

from megxl.errors import InputError
from megxl.extraction import embed_recording
from megxl.reporting.report import details_html, summary_html, write_report
from megxl.signals.preparation import prepare
from tests.small import short_recording, small_model


@pytest.fixture(scope="module")
def parts():
    raw = short_recording(bads=1)
    return embed_recording(small_model(), raw), raw, prepare(raw, raw.ch_names)


def test_a_page_holds_everything_in_one_small_file(tmp_path, parts):
    page = write_report(tmp_path / "report.html", *parts)
    text = page.read_text(encoding="utf-8")
    assert page.stat().st_size < 3e6
    assert len(re.findall(r'src="data:image/webp;base64,[A-Za-z0-9+/=\s]{1000,}"', text)) == 4
    assert "RANDOM WEIGHTS" in text and all(note in text for note in parts[0].notes)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_an_older_page_is_replaced_only_when_allowed(tmp_path, parts):
    page = tmp_path / "report.html"
    page.write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        write_report(page, *parts)
    assert page.read_text() == "mine"
    write_report(page, *parts, overwrite=True)
    assert "RANDOM WEIGHTS" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["report.pdf", "report", "no/report.html"])
def test_a_page_needs_a_place_and_its_ending(tmp_path, parts, name):
    with pytest.raises(InputError):
        write_report(tmp_path / name, *parts)
    assert list(tmp_path.iterdir()) == []


def test_the_summary_puts_the_warning_first_and_once(parts):
    html = summary_html(parts[0])
    assert html.count(parts[0].warning) == 1 and html.index("RANDOM WEIGHTS") < html.index("<table")
    assert "15, 1 of them bad and left out" in html


def test_names_cannot_break_the_page(parts):
    embedding = parts[0]
    embedding.settings["exclude"] = ["<script>alert(1)</script>"]
    html = details_html(embedding)
    assert "<script>" not in html and "&lt;script&gt;" in html
    embedding.settings["exclude"] = []
