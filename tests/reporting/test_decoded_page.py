"""The page of decoded words: what it marks, what it warns of, and that names cannot become HTML."""

import re
from dataclasses import replace

import pytest
import torch

from megxl.corpora.corpus import Word
from megxl.decoding.decoded import DecodedRecording, DecodedWord, rank_candidates
from megxl.decoding.occurrences import Occurrences
from megxl.decoding.predictions import Predictions
from megxl.errors import InputError
from megxl.reporting.decoded_page import decoder_html, passage_html, summary_html, words_html, write_decoded_page

VOCABULARY = ("the", "<script>alert(1)</script>", "door", *(f"w{n}" for n in range(17)))
TARGETS_VE = torch.eye(20)


def decoded(texts=("the", "door", "Zebra"), *, warning=None, **changes) -> DecodedRecording:
    """Give words whose estimates point to "the", then "w0", then the one with a tag; the rest follows in order."""
    values_NE = torch.tensor([[1 - 0.04 * abs(place - best) for place in range(20)] for best in (0, 3, 1)])
    words = [Word(text=text, onset_s=onset) for text, onset in zip(texts, (1.0, 1.4, 5.0), strict=True)]
    predictions = Predictions(
        values_NX=values_NE,
        occurrences=Occurrences(
            words=[word.text for word in words],
            groups=["r#0"] * 3,
            recordings=["r"] * 3,
            subjects=["s"] * 3,
            sessions=[""] * 3,
            onsets_s=[word.onset_s for word in words],
        ),
        vocabulary=VOCABULARY,
        targets_VD=TARGETS_VE,
    )
    lost = DecodedWord(word=Word(text="late & lost", onset_s=6.0), note="its window leaves the recording")
    made = DecodedRecording(
        name="story",
        words=(*rank_candidates(predictions, [(word, 0) for word in words], 10), lost),
        predictions=predictions,
        notes=("A note about <sensors>.",),
        warning=warning,
        about={"run": "small", "protocol": "strict", "control": "none", "encoder": {"model": "wordllama"}},
    )
    return replace(made, **changes)


def test_the_passage_marks_what_was_found_and_shows_the_best_candidate():
    html = passage_html(decoded())
    rubies = re.findall(r"<ruby class='([\w-]*)'>(.*?)<rt>(.*?)</rt>", html)
    assert rubies == [
        ("mx-first", "the", "the"),
        ("mx-top", "door", "w0"),
        ("", "Zebra", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("", "late &amp; lost", "-"),
    ]


def test_a_word_beyond_the_best_k_is_not_marked():
    rubies = re.findall(r"<ruby class='([\w-]*)'>", passage_html(decoded(), k=1))
    assert rubies == ["mx-first", "", "", ""]
    made = decoded()
    edge = [replace(made.words[1], rank=rank) for rank in (10.0, 10.5)]
    html = passage_html(replace(made, words=tuple(edge)))
    assert re.findall(r"<ruby class='([\w-]*)'>", html) == ["mx-top", ""]


def test_a_pause_begins_a_paragraph():
    paragraphs = re.findall(r"<p class='mx-passage'><small>([\d.]+) s</small>", passage_html(decoded()))
    assert paragraphs == ["1.0", "5.0"]


def test_bars_run_from_the_lowest_to_the_highest_cosine_of_the_table():
    made = decoded()
    html = words_html(made)
    shown = [score for word in made.words for score in word.scores]
    widths = list(map(int, re.findall(r"--w:(\d+)%", html)))
    expected = [100 * (score - min(shown)) / (max(shown) - min(shown)) for score in shown]
    assert widths == [round(width) for width in expected] and min(widths) == 0 and max(widths) == 100
    assert f"from {min(shown):.3f} (none) to {max(shown):.3f} (full)" in html


def test_each_row_has_its_word_its_rank_and_a_frame_around_the_true_candidate():
    rows = re.findall(r"<tr><td>(.*?)</tr>", words_html(decoded()))
    assert len(rows) == 4
    assert rows[0].startswith("1.00</td><td><b>the</b></td><td>1</td>")
    assert [row.count("mx-true") for row in rows] == [1, 1, 0, 0]
    assert "mx-true" in rows[1].split("door<span")[0].rsplit("<td", 1)[1]
    assert "not in the vocabulary" in rows[2] and "its window leaves the recording" in rows[3]


def test_the_summary_says_how_little_a_line_means():
    html = summary_html(decoded(warning="UNTRAINED <WEIGHTS>"))
    assert "UNTRAINED &lt;WEIGHTS&gt;" in html
    assert "was told when each word began" in html and "ranks the 20 words" in html and "against chance before" in html
    assert "Balanced top-10 among 20 words: 1.000 over 2 words; chance 0.500" in html
    assert "A note about &lt;sensors&gt;." in html


def test_the_decoder_is_told_with_its_leaks():
    about = {"protocol": "published", "leaks": ["Test words <choose>."], "recordings": ["a/1", "a/2"]}
    html = decoder_html(decoded(about=about))
    assert "published" in html and "recordings of the training</th><td>2<" in html
    assert html.endswith("<ul><li>Test words &lt;choose&gt;.</li></ul>")


def test_onsets_alone_are_read_as_the_best_candidates():
    made = decoded(texts=("", "", ""))
    made = replace(made, words=made.words[:3])
    html = summary_html(made)
    assert "nothing tells how many of these are right" in html and "against chance" not in html
    assert re.findall(r"<ruby>(.*?)</ruby>", passage_html(made))[:2] == ["the", "w0"]


def test_the_page_holds_all_of_it_and_asks_no_network(tmp_path):
    path = write_decoded_page(tmp_path / "words.html", decoded())
    html = path.read_text()
    assert "<script>alert(1)" not in html and "&lt;script&gt;alert(1)" in html
    assert "protocol" in html and "strict" in html and "wordllama" in html
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=[\"']?(?:https?:)?//", html)
    assert [entry.name for entry in tmp_path.iterdir()] == ["words.html"]


def test_an_older_page_stays_unless_told(tmp_path):
    path = write_decoded_page(tmp_path / "words.html", decoded())
    with pytest.raises(InputError, match="exists already"):
        write_decoded_page(path, decoded())
    write_decoded_page(path, decoded(name="another"), overwrite=True)
    assert "Words of another" in path.read_text()
