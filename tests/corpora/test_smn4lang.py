"""The SMN4Lang corpus."""

import numpy as np
import pytest

from megxl.corpora.corpus import corpus_named
from megxl.errors import InputError
from tests.corpora.making import touch, write_table

CORPUS = corpus_named("smn4lang")
MARKS = [(6.731, 0.0, "Beg", 1, 6731), (36.0, 0.0, "End", 2, 36000)]


def one_recording(root, marks=MARKS, words=("我们", "。", "None", "会"), starts=(11.28, 11.9, 12.1, 39.5)):
    """Make run 7 with its marks and story 7 with its times of words, as the release has them."""
    from scipy.io import savemat

    touch(root, "sub-01/meg/sub-01_task-RDR_run-7_meg.fif")
    header = ("onset", "duration", "trial_type", "value", "sample")
    write_table(root / "sub-01/meg/sub-01_task-RDR_run-7_events.tsv", header, marks)
    folder = root / "derivatives/annotations/time_align/word-level"
    folder.mkdir(parents=True)
    starts_W = np.array(starts)
    savemat(folder / "story_7_word_time.mat", {"start": starts_W, "end": starts_W + 0.25, "word": np.array(words)})
    (file,) = CORPUS.select(root)
    return file


def test_raw_recordings_in_the_order_of_runs(tmp_path):
    touch(
        tmp_path,
        *(f"sub-01/meg/sub-01_task-RDR_run-{run}_meg.fif" for run in (10, 1, 2)),
        "derivatives/preprocessed_data/sub-01/MEG/sub-01_task-RDR_run-1_meg.fif",
    )
    assert [file.run for file in CORPUS.select(tmp_path)] == ["run-1", "run-2", "run-10"]


def test_words_begin_after_the_mark_without_the_lead_of_the_scanner(tmp_path):
    file = one_recording(tmp_path)
    table = CORPUS.words(file)
    assert [word.text for word in table] == ["我们", "None", "会"]
    np.testing.assert_allclose(
        [word.onset_s for word in table], [6.731 + start - 10.65 for start in (11.28, 12.1, 39.5)]
    )
    np.testing.assert_allclose([word.duration_s for word in table], 0.25)
    assert {word.story for word in table} == {"story 7"}
    assert table.notes == ("1 of 4 rows of words left out, punctuation: story_7_word_time.mat.",)
    assert [path.name for path in CORPUS.sources(file)] == [
        "sub-01_task-RDR_run-7_meg.fif",
        "sub-01_task-RDR_run-7_events.tsv",
        "story_7_word_time.mat",
    ]


def test_a_story_that_ends_far_from_its_mark_is_told(tmp_path):
    marks = [MARKS[0], (60.0, 0.0, "End", 2, 60000)]
    assert "24.2 s after its last word" in CORPUS.words(one_recording(tmp_path, marks)).notes[-1]


@pytest.mark.parametrize("marks", [MARKS[:1], [*MARKS, MARKS[0]]])
def test_other_marks_than_one_beginning_and_one_end_are_refused(tmp_path, marks):
    with pytest.raises(InputError, match=r"run-7_events\.tsv has [02] rows"):
        CORPUS.words(one_recording(tmp_path, marks))


def test_times_that_do_not_fit_the_words_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"story_7_word_time\.mat"):
        CORPUS.words(one_recording(tmp_path, words=("a", "b")))


def test_without_times_there_is_a_note(tmp_path):
    touch(tmp_path, "sub-01/meg/sub-01_task-RDR_run-1_meg.fif")
    (file,) = CORPUS.select(tmp_path)
    assert "story_1_word_time.mat" in CORPUS.words(file).notes[0]


def test_mini_recordings_are_read(mini):
    files = CORPUS.select(mini / "smn4lang")
    assert [file.id for file in files] == [
        f"sub-0{subject}_task-RDR_run-{run}" for subject in (1, 2) for run in (1, 2, 56)
    ]
    raw = CORPUS.read(files[3])
    assert len(CORPUS.channels(raw)) == 306
    assert sorted(raw.info["bads"]) == ["MEG 1213", "MEG 2443"]
