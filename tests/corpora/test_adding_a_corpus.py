"""The example of the documentation is a corpus that works."""

import re
from pathlib import Path

import pytest

from megxl.corpora.corpus import corpus_named
from tests.corpora.making import touch, write_table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "adding-a-corpus.md"


@pytest.fixture
def lab(tmp_path, monkeypatch) -> str:
    """Name of the example's corpus, importable."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "documented_lab.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return "documented_lab:Lab"


def test_the_example_reads_a_corpus_as_its_own_page_does(lab, mini):
    ours, theirs = corpus_named(lab), corpus_named("armeni")
    files = ours.select(mini / "armeni")
    assert [file.key for file in files] == ["lab/sub-001_ses-001_task-compr", "lab/sub-001_ses-010_task-compr"]
    raw = ours.read(files[0])
    assert ours.channels(raw) == theirs.channels(raw)
    for ours_file, theirs_file in zip(files, theirs.select(mini / "armeni"), strict=True):
        assert ours.sources(ours_file) == theirs.sources(theirs_file)
        expected = [(word.text, word.onset_s, word.duration_s) for word in theirs.words(theirs_file)]
        assert [(word.text, word.onset_s, word.duration_s) for word in ours.words(ours_file)] == expected


def test_the_option_of_the_example_is_an_option(lab, tmp_path):
    touch(tmp_path, "sub-1/ses-1/meg/sub-1_ses-1_task-a_meg.ds")
    rows = [(1, 0.05, "word", "a"), (2, 0.5, "word", "story")]
    write_table(
        tmp_path / "sub-1/ses-1/meg/sub-1_ses-1_task-a_events.tsv", ("onset", "duration", "type", "value"), rows
    )
    for options, texts in (({}, ["a", "story"]), ({"shortest_s": 0.1}, ["story"])):
        corpus = corpus_named(lab, options)
        (file,) = corpus.select(tmp_path)
        assert [word.text for word in corpus.words(file)] == texts
