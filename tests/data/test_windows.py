"""Windows: side by side from the first sample, none outside of its recording, the rest counted."""

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megxl.data.windows import fixed_windows
from megxl.errors import InputError
from tests.data.small import put, small_store


@dataclass(frozen=True)
class Recording:
    """What windows need to know of a stored recording."""

    key: str
    n_samples: int
    sfreq_hz: float = 50.0

    @property
    def duration_s(self) -> float:
        return self.n_samples / self.sfreq_hz


def recordings(lengths):
    return [Recording(f"corpus/sub-{n:02d}", length) for n, length in enumerate(lengths)]


LENGTHS = st.lists(st.integers(1, 700), min_size=1, max_size=6).filter(lambda lengths: max(lengths) >= 100)


@given(LENGTHS)
def test_windows_cover_a_recording_from_its_first_sample_up_to_a_rest_that_is_counted(lengths):
    made = fixed_windows(recordings(lengths), window_s=2.0)
    for place, length in enumerate(lengths):
        seen, start = [], 0
        while start + 100 <= length:  # by hand
            seen.append((start, start + 100))
            start += 100
        assert [(w.start, w.stop) for w in made.windows if w.recording == place] == seen
        assert made.left_out_s[f"corpus/sub-{place:02d}"] == pytest.approx((length - start) / 50)


@given(LENGTHS, st.integers(0, 10**9), st.integers(0, 1000))
def test_shifted_windows_stay_in_their_recording_and_side_by_side(lengths, seed, epoch):
    made = fixed_windows(recordings(lengths), window_s=2.0)
    shifts = {}
    for index, window in enumerate(made.windows):
        moved = made.shifted(index, seed=seed, epoch=epoch)
        assert moved.recording == window.recording and moved.stop - moved.start == 100
        assert moved.start >= 0 and moved.stop <= lengths[window.recording]
        shifts.setdefault(window.recording, set()).add(moved.start - window.start)
    assert all(len(some) == 1 for some in shifts.values())


def test_over_the_epochs_a_shifted_recording_is_seen_to_its_last_sample():
    made = fixed_windows(recordings([109]), window_s=2.0)
    starts = {made.shifted(0, seed=3, epoch=epoch).start for epoch in range(200)}
    assert starts == set(range(10))


def test_a_shift_depends_on_the_recording_s_name_not_on_its_company():
    alone, company = recordings([777, 777, 640])[1:2], recordings([777, 777, 640])
    one = fixed_windows(alone, 2.0).shifted(0, seed=1, epoch=5)
    other = fixed_windows(company, 2.0).shifted(7, seed=1, epoch=5)
    assert one.start == other.start
    assert {fixed_windows(alone, 2.0).shifted(0, seed=seed, epoch=5).start for seed in range(20)} != {one.start}


def test_the_summary_counts_what_is_left_out():
    made = fixed_windows(recordings([250, 99, 300]), window_s=2.0)
    assert made.summary == (
        "5 windows of 2 s from 3 recordings; 3.0 s of 13.0 s (23.0 %) at their ends fill no window; "
        "shorter than a window: 1 (first: corpus/sub-01)."
    )


def test_windows_of_another_rate_are_refused(tmp_path):
    store = small_store(tmp_path / "store", {"a": [500]})
    put(store, "a", "sub-09", sfreq_hz=100.0)
    with pytest.raises(InputError, match=r"a/sub-09 is stored at 100 Hz, a/sub-00 at 50 Hz"):
        fixed_windows(store.recordings(), 2.0)


@pytest.mark.parametrize(
    ("lengths", "window_s", "words"),
    [
        ([], 2.0, "the selection is empty"),
        ([99, 80], 2.0, r"corpus/sub-00, lasts 2\.0 s"),
        ([99], 0.001, "at least one sample"),
    ],
)
def test_windows_that_cannot_be_are_refused(lengths, window_s, words):
    with pytest.raises(InputError, match=words):
        fixed_windows(recordings(lengths), window_s)


def test_a_recording_given_twice_is_refused():
    with pytest.raises(InputError, match="twice"):
        fixed_windows(recordings([200]) * 2, 2.0)


def test_as_many_windows_as_the_reference_has(shared):
    expected = json.loads((shared / "golden" / "data_reference.json").read_text())["expected"]
    shapes = {item["raw"]: item["shape"][1] for run in expected.values() if "stageA" in run for item in run["stageA"]}
    checked = 0
    for name, run in expected.items():
        if "/seg" in name and all(item["raw"] in shapes for item in run["recordings"]):
            found = [Recording(item["raw"], shapes[item["raw"]]) for item in run["recordings"]]
            made = fixed_windows(found, run["arguments"]["segment_length"])
            assert [[w.recording, w.start // made.window_samples] for w in made.windows] == run["segment_index"]
            checked += 1
    assert checked >= 4


@pytest.mark.parametrize("window_s", [float("nan"), float("inf"), "10", None, True])
def test_a_length_that_is_no_number_is_refused(window_s):
    with pytest.raises(InputError, match=r"window_s = .*allowed: a number of seconds"):
        fixed_windows(recordings([500]), window_s)
