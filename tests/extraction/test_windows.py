"""Windows: none lost, none overlapping, each with its onset."""

import numpy as np
import pytest

from megxl.errors import InputError
from megxl.extraction.windows import cut_windows, token_times


def by_hand(n_samples: int, window: int, token: int) -> list[tuple[int, int, int]]:
    """(start, stop, tokens) of every window: walk token by token."""
    found, start = [], 0
    while n_samples - start >= token:
        stop, tokens = start, 0
        while stop < min(start + window, n_samples):
            stop, tokens = min(stop + token, n_samples), tokens + 1
        found.append((start, stop, tokens))
        start = stop
    return found


@pytest.mark.parametrize("n_samples", [12, 13, 119, 120, 121, 131, 132, 133, 240, 600, 607, 611, 612])
def test_windows_follow_each_other_and_the_last_one_is_shorter(n_samples):
    windows = cut_windows(n_samples, 120, 12)
    assert [(w.start, w.stop, w.n_tokens) for w in windows] == by_hand(n_samples, 120, 12)
    assert [w.complete for w in windows] == [w.stop - w.start == 120 for w in windows]
    assert [w.first_token for w in windows] == list(np.cumsum([0] + [w.n_tokens for w in windows])[:-1])


def test_a_recording_shorter_than_a_token_is_refused():
    with pytest.raises(InputError, match=r"11 samples.*less than one token"):
        cut_windows(11, 120, 12)


def test_times_are_onsets_from_the_start_of_the_recording():
    times = token_times(cut_windows(31, 24, 12), 12, 50.0)  # the 7 samples that are left make no token
    assert times.tolist() == pytest.approx([0.0, 0.24])
    times = token_times(cut_windows(24 + 20, 24, 12), 12, 50.0)
    assert times.tolist() == pytest.approx([0.0, 0.24, 0.48, 0.72])
