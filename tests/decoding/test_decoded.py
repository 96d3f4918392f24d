"""Ranked candidates, the table of them and what is said of their number: against brute force."""

import csv

import numpy as np
import pytest
import torch

from megxl.corpora.corpus import Word
from megxl.decoding.decoded import (
    NOT_A_CANDIDATE,
    DecodedRecording,
    DecodedWord,
    rank_candidates,
    summary,
    write_decoded,
)
from megxl.decoding.occurrences import Occurrences
from megxl.decoding.predictions import Predictions
from megxl.errors import InputError


def predictions(words, n_vocabulary: int = 30, groups: int = 4, seed: int = 0, values=None) -> Predictions:
    rng = torch.Generator().manual_seed(seed)
    count = len(words)
    return Predictions(
        values_NX=torch.randn(count, 8, generator=rng) if values is None else values,
        occurrences=Occurrences(
            words=words,
            groups=[f"r#{n % groups}" for n in range(count)],
            recordings=["r"] * count,
            subjects=["s"] * count,
            sessions=[""] * count,
            onsets_s=np.arange(count, dtype=float),
        ),
        vocabulary=[f"w{n}" for n in range(n_vocabulary)],
        targets_VD=torch.randn(n_vocabulary, 8, generator=rng),
    )


def decoded(words, top: int = 5, left_out=(), **options) -> DecodedRecording:
    made = predictions(words, **options)
    told = [(Word(text=text, onset_s=float(n), duration_s=0.25), n % 4) for n, text in enumerate(words)]
    ranked = [*rank_candidates(made, told, top), *left_out]
    return DecodedRecording(name="r", words=tuple(ranked), predictions=made, notes=(), warning=None, about={})


def test_candidates_come_in_the_order_of_their_cosines():
    made = predictions(["w3", "elsewhere", ""])
    ranked = rank_candidates(made, [(Word(text=text, onset_s=0.0), 0) for text in made.occurrences.words], 30)
    for row, word in enumerate(ranked):
        cosines = {
            name: float(torch.cosine_similarity(made.values_NX[row], target, dim=0))
            for name, target in zip(made.vocabulary, made.targets_VD, strict=True)
        }
        assert list(word.candidates) == sorted(cosines, key=cosines.get, reverse=True)
        assert word.scores == pytest.approx(sorted(cosines.values(), reverse=True), abs=1e-6)
    assert ranked[0].rank == ranked[0].candidates.index("w3") + 1
    assert [word.rank for word in ranked[1:]] == [None, None]
    assert [word.note for word in ranked] == ["", NOT_A_CANDIDATE, ""]


def test_the_table_says_every_word_once_and_leaves_unknown_cells_empty(tmp_path):
    lost = DecodedWord(word=Word(text="tab\there", onset_s=99.0), note="its window leaves the recording")
    path = write_decoded(tmp_path / "w.tsv", decoded(["w3", "elsewhere", ""], top=2, left_out=[lost]))
    rows = list(csv.reader(path.read_text().splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))
    assert rows[0] == ["onset_s", "duration_s", "word", "rank_of_word", "candidate_1", "candidate_2", "score_1",
                       "score_2", "group", "note"]  # fmt: skip
    assert {len(row) for row in rows} == {10}
    assert [row[2] for row in rows[1:]] == ["w3", "elsewhere", "", "tab here"]
    assert float(rows[1][6]) >= float(rows[1][7]) and rows[1][8] == "1"
    assert rows[4][3:] == ["", "", "", "", "", "", "its window leaves the recording"]


def test_an_older_table_is_replaced_only_if_told_and_never_half(tmp_path):
    path = write_decoded(tmp_path / "w.tsv", decoded(["w3"]))
    before = path.read_text()
    with pytest.raises(InputError, match="exists already"):
        write_decoded(path, decoded(["w4"]))
    assert path.read_text() == before
    assert "w4" in write_decoded(path, decoded(["w4"]), overwrite=True).read_text()
    assert [entry.name for entry in tmp_path.iterdir()] == ["w.tsv"]


def test_the_summary_counts_words_among_the_best_against_chance():
    words = [f"w{n % 20}" for n in range(40)]
    made = decoded(words)
    ranks = [word.rank for word in decoded(words, top=30).words]
    shares = [np.mean([rank <= 10 for rank, text in zip(ranks, words, strict=True) if text == word]) for word in
              dict.fromkeys(words)]  # fmt: skip
    first, last = summary(made)
    assert f"Balanced top-10 among 30 words: {np.mean(shares):.3f} over 40 words; chance 0.333; 95 % interval" in first
    assert "rough: few groups" in first
    assert last == "These are only 40 words: take the shares as rough."


def test_the_summary_takes_the_published_sizes_where_the_vocabulary_has_them():
    made = decoded([f"w{n % 20}" for n in range(240)], n_vocabulary=80)
    assert [sentence.split(":")[0] for sentence in summary(made)] == [
        "Balanced top-10 among 50 words",
        "Balanced top-10 among 80 words",
    ]


def test_the_summary_says_what_cannot_be_counted():
    assert summary(decoded(["", ""])) == []
    assert summary(decoded(["elsewhere"])) == ["None of the true words is in the vocabulary: nothing can be counted."]
    assert "top-10 says nothing" in summary(decoded(["w1"], n_vocabulary=10))[0]
    assert "no interval from one word group" in summary(decoded(["w1", "w2"], groups=1))[0]
