"""What a store amounts to: counted by hand from a few recordings of known length."""

from dataclasses import replace

import pytest

from megxl.data.preparing import Request, prepare_corpus
from megxl.data.preparing.findings import findings, other_notes
from megxl.data.preparing.summary import counted, hours, kind_of_note, listed, size, take_stock
from megxl.signals.quality_report import QualityReport
from megxl.store.store import Store
from tests.data.small_corpus import Small, make_small


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    place = tmp_path_factory.mktemp("summary")
    prepare_corpus(Request(corpus=Small(), root=make_small(place / "root"), store=place / "store", workers=0))
    return Store(place / "store").recordings()


def test_windows_and_what_they_leave_over_add_up(recordings):
    lengths = (7499, 7500, 20_000)  # samples at 50 Hz: no window, one, two and 100 s
    found = take_stock(replace(one, n_samples=n) for one, n in zip(recordings, lengths, strict=True))
    assert found.windowed_s == 450.0 and found.left_over_s == pytest.approx(149.98 + 0 + 100)
    assert found.seconds == pytest.approx(sum(lengths) / 50) and found.bytes == 4 * 6 * sum(lengths)
    assert found.too_short == [recordings[0].key] and found.words == 6 and found.duplicates == []
    assert dict(found.rows())["windows"] == "3 of 150 s; 250 s are left over (35.7%)"


def test_odd_sensors_are_counted_by_kind_with_their_recordings(recordings):
    names = recordings[0].sensors.names
    quality = recordings[0].quality | {
        "flat": [names[0]],
        "jumpy": {names[1]: 3, names[2]: 1},
        "duplicates": [[names[0], names[3]]],
        "first_nonfinite": {names[4]: 7},
        "too_short_s": 2.0,
    }
    odd = [replace(one, quality=quality, bads=(names[5],)) for one in recordings[:2]]
    assert findings(odd[0]) == {
        "bad": [names[5]], "flat": [names[0]], "jumpy": [names[1], names[2]], "duplicates": [names[0], names[3]]
    }  # fmt: skip
    assert take_stock([*odd, recordings[2]]).bad_sensors == {
        "jumpy": (4, 2), "duplicates": (4, 2), "bad": (2, 2), "flat": (2, 2)
    }  # fmt: skip


def test_what_is_wrong_with_sensors_is_said_once_and_in_words(recordings):
    report = QualityReport(flat=["A"], unit_suspects={"B": "fT", "C": "fT"}, nonfinite={"D": 2})
    notes = [*report.notes, "Sensors marked bad (1), which take no part: E.", "Another note."]
    odd = replace(recordings[0], quality=report.to_json(), notes=notes, word_notes=[], bads=("E",))
    assert other_notes(odd) == ["Another note."]
    rows = [value for name, value in take_stock([odd, recordings[1]]).rows() if name in ("to look at", "note")]
    assert rows[:4] == [
        "2 sensors not in SI units, it seems, in 1 recording", "1 sensor marked bad or taken as such, in 1 recording",
        "1 sensor flat, in 1 recording", "1 sensor with NaN or infinite numbers, in 1 recording",
    ]  # fmt: skip


def test_equal_signals_are_found(recordings):
    copy = replace(recordings[0], key="small/sub-77_task-rest")
    assert take_stock([*recordings, copy]).duplicates == [[recordings[0].key, copy.key]]


@pytest.mark.parametrize(
    ("note", "kind"),
    [
        ("Sensors marked bad (2), which are treated as good: A.", "Sensors marked bad (N), which are treated as good"),
        ("It has 60.5 s, less than the 33 s of the filter.", "It has N s, less than the N s of the filter"),
        ("1,204 rows of CTF275 have no word.", "N rows of CTF275 have no word"),
        ("57 of 300 rows of words left out, malformed: a.tsv, line 5.", "N of N rows of words left out, malformed"),
    ],
)
def test_notes_are_counted_by_kind(recordings, note, kind):
    assert kind_of_note(note) == kind
    (told,) = take_stock([replace(recordings[0], notes=[note], word_notes=[])]).notes
    assert kind_of_note(told) == kind


def test_counts_that_notes_begin_with_are_added_up(recordings):
    left_out = "{} of {} rows of words left out, silence (sp): {}_events.tsv."
    notes = [
        [left_out.format(9, 300, "a"), "2 rows are odd: see line 9."],
        [left_out.format(1, 1000, "b"), left_out.format(2, "1,000", "c")],
        ["It has 60.5 s.", "60.5 s are missing.", "2 rows are odd."],
    ]
    told = [replace(one, notes=[], word_notes=each) for one, each in zip(recordings, notes, strict=True)]
    assert take_stock(told).notes == {
        "12 of 2,300 rows of words left out, silence (sp)": 2,
        "4 rows are odd": 2,
        "It has N s": 1,
        "N s are missing": 1,
    }


def test_recordings_without_any_words_are_told(recordings):
    silent = [replace(one, words=[]) for one in recordings]
    assert dict(take_stock(silent).rows())["words"] == "none in 3 recordings"
    assert dict(take_stock([*silent[1:], recordings[0]]).rows())["words"] == "2"
    assert dict(take_stock([]).rows())["words"] == "0"


def test_numbers_are_told_as_people_do():
    assert [hours(s) for s in (5, 220, 600, 5400, 180_000)] == ["5 s", "3:40 min", "10 min", "1.5 h", "50.0 h"]
    assert [size(b) for b in (3e6, 2.5e9, 4e3)] == ["3 MB", "2.5 GB", "4 kB"]
    assert counted(1, "recording") == "1 recording" and counted(1200, "recording") == "1,200 recordings"
    assert listed(list("abcdefgh")) == "a, b, c, d, e, f and 2 more"
