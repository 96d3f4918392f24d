"""The corpus of any files: recordings found, words of four kinds, on the recording's own clock."""

import pickle

import mne
import numpy as np
import pytest

from megxl.corpora.corpus import Selection, corpus_named
from megxl.corpora.files import Files
from megxl.errors import InputError
from tests.small import short_recording

SFREQ_HZ = 250.0
FIRST = 1000  # samples that the acquisition ran before it recorded
ONSETS_S = [0.4, 1.2, 2.0, 3.6]


def recording(path, *, onsets_s=(), codes=(), marks=(), dated=True):
    """Write a recording whose first sample is not the acquisition's, with triggers and annotations."""
    raw = short_recording(6.0, n_triplets=1)
    trigger_T = np.zeros(raw.n_times)
    for onset_s, code in zip(onsets_s, codes, strict=True):
        start = round(onset_s * SFREQ_HZ)
        trigger_T[start : start + 5] = code
    info = mne.create_info([*raw.ch_names, "STI 014"], SFREQ_HZ, ["mag"] * 3 + ["stim"])
    raw = mne.io.RawArray(np.vstack([raw.get_data(), trigger_T]), info, first_samp=FIRST, verbose="ERROR")
    if dated:
        raw.set_meas_date(1_600_000_000.0)
    if marks:
        onset_s, duration_s, text = zip(*marks, strict=True)
        raw.set_annotations(mne.Annotations(onset_s, duration_s, text))
    path.parent.mkdir(parents=True, exist_ok=True)
    raw.save(path, verbose="ERROR")
    return path


def only(corpus, root):
    (file,) = corpus.select(root)
    return file


def listed(words):
    return [(word.text, round(word.onset_s, 6)) for word in words]


def test_recordings_are_found_by_their_endings_and_told_apart_by_names_or_places(tmp_path):
    for name in ("sub-01/sub-01_ses-2_task-story_run-3_meg.fif", "kid/a.fif", "kid/b one.fif", ".trash/c.fif"):
        recording(tmp_path / name)
    for name in ("kid/a-eve.fif", "kid/a-1.fif", "kid/x_mrk.sqd", "kid/z.ds/hz.ds", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    files = Files().select(tmp_path)
    assert [file.id for file in files] == ["kid_a", "kid_a-1", "kid_b-one", "kid_z", "sub-01_ses-2_task-story_run-3"]


def test_words_of_a_table_beside_the_recording_with_a_delay(tmp_path):
    recording(tmp_path / "story_raw.fif")
    (tmp_path / "story_raw.csv").write_text("onset,word\n0.5,the\n0.9,NA\n")
    corpus = corpus_named("files", {"audio_delay_s": "0.04"})
    file = only(corpus, tmp_path)
    assert listed(corpus.words(file)) == [("the", 0.54), ("NA", 0.94)]
    assert [path.name for path in corpus.sources(file)] == ["story_raw.fif", "story_raw.csv"]
    assert corpus.read(file).n_times == 1500


def test_a_recording_without_words_says_so(tmp_path):
    recording(tmp_path / "rest_raw.fif")
    words = Files().words(only(Files(), tmp_path))
    assert len(words) == 0 and "rest_raw.fif has no words" in words.notes[0]
    with pytest.raises(InputError, match=r"words_kind=table\); looked for rest_raw.tsv, rest_raw.csv"):
        Files(words_kind="table").words(only(Files(words_kind="table"), tmp_path))


def test_two_tables_of_words_beside_a_recording_are_a_choice(tmp_path):
    recording(tmp_path / "story_raw.fif")
    for ending in ("tsv", "txt"):
        (tmp_path / f"story_raw.{ending}").write_text("onset\tword\n1\ta\n")
    with pytest.raises(InputError, match=r"story_raw.tsv and story_raw.txt lie beside it"):
        Files().select(tmp_path)


@pytest.mark.parametrize("dated", [True, False])
def test_annotations_count_from_the_first_sample(tmp_path, dated):
    marks = [(1.0, 0.2, "word/the"), (2.5, 0.2, "word/sp"), (3.0, 0.0, "BAD blink"), (3.5, 0.0, "word/None")]
    path = recording(tmp_path / "a_raw.fif", marks=marks, dated=dated)
    raw = mne.io.read_raw_fif(path, verbose="ERROR")
    assert raw.first_samp == FIRST and raw.annotations.onset[0] == 5.0
    events, codes = mne.events_from_annotations(raw, verbose="ERROR")
    truth_s = [(sample - FIRST) / SFREQ_HZ for sample, _, code in events if code == codes["word/the"]]
    corpus = Files(words_kind="annotations")
    words = corpus.words(only(corpus, tmp_path))
    assert truth_s == [1.0] and listed(words) == [("the", 1.0), ("None", 3.5)]
    assert [word.duration_s for word in words] == [pytest.approx(0.2), None]
    corpus = Files(words_kind="annotations", annotation_pattern="token:*")
    with pytest.raises(InputError, match=r"No annotation fits 'token:\*'; the recording has: 'word/the' \(1\)"):
        corpus.words(only(corpus, tmp_path))


def test_triggers_time_the_words_of_a_transcript(tmp_path):
    recording(tmp_path / "a_raw.fif", onsets_s=[*ONSETS_S, 5.0], codes=[1, 2, 1, 2, 9])
    (tmp_path / "a_raw.txt").write_text("the cat sat down")
    corpus = Files(words_kind="triggers", trigger_codes="1,2")
    assert listed(corpus.words(only(corpus, tmp_path))) == list(
        zip(("the", "cat", "sat", "down"), ONSETS_S, strict=True)
    )


def test_a_transcript_that_does_not_pair_up_with_its_triggers_is_refused(tmp_path):
    recording(tmp_path / "a_raw.fif", onsets_s=ONSETS_S, codes=[1, 1, 1, 1])
    (tmp_path / "a_raw.txt").write_text("the cat sat down there")
    corpus = Files(words_kind="triggers")
    with pytest.raises(InputError, match=r"5 words, but there are 4 triggers.*the longest gap after 2.000 s"):
        corpus.words(only(corpus, tmp_path))
    corpus = Files(words_kind="triggers", trigger_codes=(7,))
    with pytest.raises(InputError, match=r"STI 014 has no trigger with the code 7; it has the codes: 1 \(4\)"):
        corpus.words(only(corpus, tmp_path))
    corpus = Files(words_kind="triggers", trigger_channel="STI101")
    with pytest.raises(InputError, match="no channel 'STI101'; the trigger channels are: STI 014"):
        corpus.words(only(corpus, tmp_path))


def test_triggers_start_the_audio_files_that_a_table_times_words_in(tmp_path):
    recording(tmp_path / "a_raw.fif", onsets_s=[0.4, 3.6], codes=[1, 1])
    # chapter 10 was played before chapter 9: the order in the table counts, not the names
    (tmp_path / "a_raw.tsv").write_text("chapter\tonset\tword\n10\t0.1\ta\n10\t0.5\tb\n9\t0.0\tc\n9\t0.3\td\n")
    options = {"words_kind": "triggers", "trigger_marks": "audio", "segment_column": "chapter", "audio_delay_s": 0.01}
    corpus = Files(**options)
    words = corpus.words(only(corpus, tmp_path))
    assert listed(words) == [("a", 0.51), ("b", 0.91), ("c", 3.61), ("d", 3.91)]
    assert [word.story for word in words] == ["10", "10", "9", "9"]
    corpus = Files(**options | {"segment_column": "part"})
    with pytest.raises(InputError, match=r"in 1 audio files, but there are 2 triggers \(at 0.400, 3.600 s\)"):
        corpus.words(only(corpus, tmp_path))


def test_a_table_of_recordings_says_what_differs(tmp_path):
    recording(tmp_path / "data" / "x.fif", onsets_s=ONSETS_S, codes=[1, 1, 1, 1])
    recording(tmp_path / "data" / "y.fif")
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "x.txt").write_text("the cat sat down")
    (tmp_path / "text" / "y.tsv").write_text("onset\tword\n1\ta\n")
    table = tmp_path / "recordings.tsv"
    table.write_text(
        "recording\tsubject\tsession\ttask\trun\twords\twords_kind\taudio_delay_s\n"
        "data/x.fif\tsub-b\tses-1\tstory\trun-1\ttext/x.txt\ttriggers\t0.1\n"
        "data/y.fif\tsub-a\t\tstory\t\ttext/y.tsv\tn/a\t\n"
    )
    corpus = Files(audio_delay_s=0.2)
    x, y = corpus.select(table)
    assert (x.key, y.key) == ("files/sub-b_ses-1_task-story_run-1", "files/sub-a_task-story")
    assert listed(corpus.words(x))[0] == ("the", 0.5) and listed(corpus.words(y)) == [("a", 1.2)]
    assert [file.key for file in corpus.select(table, Selection(subjects=("sub-a",)))] == [y.key]
    assert pickle.loads(pickle.dumps(x)) == x


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ("recording\tsubject\nx.fif\ta\nx.fif\ta\n", "rows 2 and 3 would both be stored as files/a"),
        ("recording\tcolour\nx.fif\tred\n", "the column 'colour', which means nothing here"),
        ("subject\na\n", "no column 'recording'; its columns are: subject"),
        ("recording\nz.fif\n", "row 2: there is no recording 'z.fif'"),
        ("recording\twords\nx.fif\ty.tsv\n", "row 2: there is no file 'y.tsv'"),
        ("recording\taudio_delay_s\nx.fif\t35ms\n", "row 2: audio_delay_s = '35ms'; allowed: a number"),
        ("recording\twords_kind\nx.fif\tpraat\n", "row 2: words_kind = 'praat'; allowed: auto, table"),
    ],
)
def test_a_table_of_recordings_that_cannot_be_meant_is_refused(tmp_path, rows, problem):
    (tmp_path / "x.fif").write_bytes(b"x")
    (tmp_path / "recordings.tsv").write_text(rows)
    with pytest.raises(InputError, match=problem):
        Files().select(tmp_path / "recordings.tsv")


def test_a_delay_in_milliseconds_is_suspected():
    with pytest.raises(InputError, match="milliseconds"):
        Files(audio_delay_s=85)


def test_real_formats_are_found_and_read(mini):
    armeni = Files().select(mini / "armeni" / "sub-001" / "ses-001")
    assert [file.task for file in armeni] == ["compr", "emptyroom"]
    (masc,) = Files().select(mini / "meg_masc" / "sub-03" / "ses-0", Selection(tasks=("0",)))
    assert Files().read(masc).info["sfreq"] == 1000.0
