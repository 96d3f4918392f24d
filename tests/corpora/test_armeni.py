"""The corpus of Armeni et al."""

from megxl.corpora.corpus import corpus_named
from tests.corpora.making import neuromag_raw, touch, write_table
from tests.corpora.reference import reference_words

CORPUS = corpus_named("armeni")
HEADER = ("onset", "duration", "sample", "type", "value")


def test_recordings_without_the_empty_room(tmp_path):
    touch(
        tmp_path,
        "sub-001/ses-010/meg/sub-001_ses-010_task-compr_meg.ds",
        "sub-001/ses-002/meg/sub-001_ses-002_task-compr_meg.ds",
        "sub-001/ses-002/meg/sub-001_ses-002_task-emptyroom_meg.ds",
        "sub-001/ses-002/meg/sub-001_ses-002_task-compr_events.tsv",
    )
    assert [file.id for file in CORPUS.select(tmp_path)] == [
        "sub-001_ses-002_task-compr",
        "sub-001_ses-010_task-compr",
    ]


def test_two_runs_of_a_session_are_two_recordings_with_their_own_words(tmp_path):
    stem = "sub-001/ses-001/meg/sub-001_ses-001_task-compr_run-{}"
    touch(tmp_path, *(stem.format(run) + "_meg.ds" for run in (1, 2)))
    for run in (1, 2):
        rows = [(1, 0.5, 0, "word_onset_01", f"word{run}")]
        write_table(tmp_path / (stem.format(run) + "_events.tsv"), HEADER, rows)
    files = CORPUS.select(tmp_path)
    assert [file.run for file in files] == ["run-1", "run-2"]
    assert [[word.text for word in CORPUS.words(file)] for file in files] == [["word1"], ["word2"]]


def test_words_of_all_parts_of_a_session(tmp_path):
    touch(tmp_path, "sub-001/ses-001/meg/sub-001_ses-001_task-compr_meg.ds")
    rows = [
        (0, 0, 0, "wav_onset", "n/a"),
        (0.5, 0.25, 600, "word_onset_01", '"""THE"""'),
        (0.5, 0.05, 600, "phoneme_onset_01", "DH"),
        (0.75, 0.25, 900, "word_onset_01", "sp"),
        (9.0, "n/a", 10800, "word_onset_02", "None"),
    ]
    write_table(tmp_path / "sub-001/ses-001/meg/sub-001_ses-001_task-compr_events.tsv", HEADER, rows)
    (file,) = CORPUS.select(tmp_path)
    assert [word.to_row() for word in CORPUS.words(file)] == [
        {"text": "THE", "onset_s": 0.5, "duration_s": 0.25, "story": "ses-001/01"},
        {"text": "None", "onset_s": 9.0, "story": "ses-001/02"},
    ]


def test_gradiometers_with_other_names_are_no_sensors_of_the_helmet():
    raw = neuromag_raw().pick(["MEG 0113", "MEG 0112", "MEG 0122"])
    raw.rename_channels({"MEG 0112": "G11-1706"}, verbose="ERROR")
    assert CORPUS.channels(raw) == ["MEG 0113", "MEG 0122"]


def test_mini_recordings_are_read(mini):
    files = CORPUS.select(mini / "armeni")
    assert [file.id for file in files] == ["sub-001_ses-001_task-compr", "sub-001_ses-010_task-compr"]
    for file, seconds in zip(files, (160, 60), strict=True):
        raw = CORPUS.read(file)
        names = CORPUS.channels(raw)
        assert len(names) == 273
        assert all(name.startswith("M") for name in names)
        assert names == [name for name in raw.ch_names if name in set(names)]
        assert round(raw.times[-1]) == seconds
        assert [path.name.rpartition("_")[2] for path in CORPUS.sources(file)] == ["meg.ds", "events.tsv"]


def test_mini_words_are_those_of_the_reference(mini, shared):
    for file, texts, onsets_s in reference_words(CORPUS, mini / "armeni", shared):
        # the reference drops what pandas takes for missing, and windows that begin before the recording
        words = [word for word in CORPUS.words(file) if word.text not in ("None", "nan") and word.onset_s >= 0.5]
        assert [word.text.lower() for word in words[: len(texts)]] == texts
        assert [word.onset_s for word in words[: len(texts)]] == onsets_s


def test_mini_awkward_rows(mini):
    first, second = (CORPUS.words(file) for file in CORPUS.select(mini / "armeni"))
    texts = [word.text for word in first]
    assert texts.count("None") == texts.count("nan") == 1
    assert not any('"' in text for text in texts)
    assert [note.partition(": ")[0] for note in first.notes] == [
        "49 of 519 rows of words left out, silence (sp)",
        "1 of 519 rows of words left out, word without a text",
    ]
    assert second.words[0].onset_s < 0.5
    assert first.words[-1].onset_s > 160
