"""Words and bare onsets from what people have beside a recording, or in it."""

import mne
import numpy as np
import pytest

from megxl.decoding.word_events import word_reader, words_inside, words_of_file, words_of_stored
from megxl.errors import InputError
from tests.data.told import told
from tests.small import short_recording


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Six seconds with annotations and a trigger channel."""
    raw = short_recording(6.0, n_triplets=2).copy()
    stim = mne.io.RawArray(np.zeros((1, raw.n_times)), mne.create_info(["STI 014"], raw.info["sfreq"], "stim"))
    for second, code in ((1, 5), (2, 7), (3, 5)):
        start = round(second * raw.info["sfreq"])
        stim._data[0, start : start + 20] = code
    raw.add_channels([stim], force_update_info=True)
    raw.set_annotations(mne.Annotations([1.5, 2.5, 4.0], [0.3, 0.2, 0], ["word/The", "word/door", "blink"]))
    path = tmp_path_factory.mktemp("recording") / "r_raw.fif"
    raw.save(path, verbose="ERROR")
    return path


def words(source, recording, **options):
    return words_of_file(str(source), recording, word_reader(options))


def told_of(table):
    return [(word.text, round(word.onset_s, 3)) for word in table]


def test_a_table_with_words_is_read_in_the_order_of_time(recording, tmp_path):
    (tmp_path / "w.csv").write_text("start,said\n2000,door\n1000,The\n")
    table = words(tmp_path / "w.csv", recording, onset_column="start", word_column="said", time_unit="ms")
    assert told_of(table) == [("The", 1.0), ("door", 2.0)]


def test_a_table_of_onsets_alone_gives_words_without_a_text_and_says_so(recording, tmp_path):
    (tmp_path / "w.tsv").write_text("onset\tsaid\n2\tdoor\n1,5\tThe\n")
    table = words(tmp_path / "w.tsv", recording, audio_delay_s=0.5)
    assert told_of(table) == [("", 2.0), ("", 2.5)]
    assert table.notes[0].startswith("No column 'word' (word_column)")
    (tmp_path / "ms.tsv").write_text("onset\n2000\n")
    assert told_of(words(tmp_path / "ms.tsv", recording, time_unit="ms")) == [("", 2.0)]


def test_a_column_that_was_asked_for_must_be_there(recording, tmp_path):
    (tmp_path / "w.tsv").write_text("onset\n1\n")
    with pytest.raises(InputError, match="no column 'said'"):
        words(tmp_path / "w.tsv", recording, word_column="said")


def test_an_onset_that_is_no_number_names_its_line(recording, tmp_path):
    (tmp_path / "w.tsv").write_text("onset\n1\nsoon\n")
    with pytest.raises(InputError, match=r"w\.tsv, line 3: onset is no number \(so in 1 of 2 rows\)"):
        words(tmp_path / "w.tsv", recording)


def test_a_textgrid_gives_its_words_and_no_silence(recording, tmp_path):
    intervals = [(0, 1, "sp"), (1, 1.5, "The"), (1.5, 2.5, "door")]
    rows = "\n".join(f'{low}\n{high}\n"{text}"' for low, high, text in intervals)
    head = (
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n2.5\n<exists>\n1\n"IntervalTier"\n"words"\n0\n2.5\n3'
    )
    (tmp_path / "w.TextGrid").write_text(f"{head}\n{rows}\n")
    assert told_of(words(tmp_path / "w.TextGrid", recording)) == [("The", 1.0), ("door", 1.5)]


def test_annotations_of_the_recording_are_words(recording):
    assert told_of(words("annotations", recording)) == [("The", 1.5), ("door", 2.5)]


def test_triggers_are_onsets_alone_or_time_a_transcript(recording, tmp_path):
    assert told_of(words("triggers", recording, trigger_codes="5")) == [("", 1.0), ("", 3.0)]
    (tmp_path / "w.txt").write_text("The door")
    assert told_of(words(tmp_path / "w.txt", recording, trigger_codes="5")) == [("The", 1.0), ("door", 3.0)]


def test_a_word_that_stands_twice_at_one_time_is_taken_once(recording, tmp_path):
    (tmp_path / "w.tsv").write_text("onset\tword\n1\tThe\n1\tthe\n1\tdoor\n")
    table = words(tmp_path / "w.tsv", recording)
    assert told_of(table) == [("The", 1.0), ("door", 1.0)]
    assert "1 rows repeat a word" in table.notes[-1]


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("nowhere.tsv", "--words nowhere.tsv does not exist; allowed: a table with onsets"),
        ("stored", "is for a recording of a store"),
        (__file__, "has no ending of words"),
    ],
)
def test_what_holds_no_words_is_refused(recording, source, problem):
    with pytest.raises(InputError, match=problem):
        words(source, recording)


def test_an_option_that_says_nothing_of_words_is_refused():
    with pytest.raises(InputError, match="--set montage: no option of how words are written"):
        word_reader({"montage": "standard_1020"})


def test_a_store_has_its_own_words_but_no_marks(tmp_path):
    stored = told(tmp_path / "store", ["The", "door"])
    assert told_of(words_of_stored("stored", stored, word_reader({}))) == [("The", 1.0), ("door", 1.4)]
    (tmp_path / "w.tsv").write_text("onset\tword\n1\tnight\n")
    assert told_of(words_of_stored(str(tmp_path / "w.tsv"), stored, word_reader({}))) == [("night", 1.0)]
    for source in ("annotations", "triggers", "w.txt"):
        with pytest.raises(InputError, match="keeps no annotations or triggers"):
            words_of_stored(source, stored, word_reader({}))


def test_onsets_outside_of_the_recording_are_refused_or_told(recording, tmp_path):
    (tmp_path / "w.tsv").write_text("onset\tword\n7\tThe\n8\tdoor\n")
    with pytest.raises(InputError, match=r"all 2 onsets \(7.00 to 8.00 s\) lie outside the recording of 6.00 s"):
        words_inside(words(tmp_path / "w.tsv", recording), 6.0, "w.tsv")
    (tmp_path / "w.tsv").write_text("onset\tword\n1\tThe\n8\tdoor\n")
    assert "1 of 2 words lie outside" in words_inside(words(tmp_path / "w.tsv", recording), 6.0, "w.tsv").notes[-1]
