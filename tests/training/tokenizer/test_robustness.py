"""Disturbances: noise as loud as it says, gains that change nothing, and codes that noise takes step by step."""

from itertools import pairwise

import numpy as np
import pytest

from megxl.training.tokenizer.coding import encode
from megxl.training.tokenizer.judged_windows import JudgedWindows
from megxl.training.tokenizer.judging import judge
from megxl.training.tokenizer.robustness import DISTURBANCES, Disturbance
from tests.training.small_run import small_codec
from tests.training.tokenizer.judged_codecs import Oracle, recordings


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    return recordings(tmp_path_factory.mktemp("store"))


@pytest.mark.parametrize("amount", [20.0, 0.0])
def test_noise_is_as_loud_as_it_says_and_white(stored, amount):
    rows = next(iter(JudgedWindows(stored, window_s=12.0)))
    signal_NT = rows.signal_NT
    noise_NT = (Disturbance(kind="noise", amount=amount).of(rows, signal_NT, 0) - signal_NT).double().numpy()
    for row_T, noise_T in zip(signal_NT.double().numpy(), noise_NT, strict=True):
        assert 10 * np.log10(np.var(row_T) / np.var(noise_T)) == pytest.approx(amount, abs=0.5)
        assert abs(np.corrcoef(noise_T[1:], noise_T[:-1])[0, 1]) < 0.12
    assert abs(np.corrcoef(noise_NT[0], noise_NT[1])[0, 1]) < 0.12


def test_noise_is_another_one_in_another_window_and_of_another_seed_but_not_at_another_amount(stored):
    first, second = (rows for rows in JudgedWindows(stored, window_s=12.0, number=2))
    quiet, loud = (Disturbance(kind="noise", amount=amount) for amount in (20.0, 0.0))

    def noise(disturbance, rows, seed=0):
        return disturbance.of(rows, first.signal_NT, seed) - first.signal_NT

    np.testing.assert_allclose(10 * noise(quiet, first), noise(loud, first), atol=1e-5)
    assert abs(np.corrcoef(noise(loud, first)[0], noise(loud, second)[0])[0, 1]) < 0.2
    assert abs(np.corrcoef(noise(loud, first)[0], noise(loud, first, seed=1)[0])[0, 1]) < 0.2


def test_a_gain_before_the_normalisation_does_not_reach_the_tokenizer_and_one_after_it_does(stored):
    rows = next(iter(JudgedWindows(stored, window_s=6.0)))
    before, after = (Disturbance(kind=kind, amount=10.0) for kind in ("gain_before", "gain_after"))
    np.testing.assert_allclose(before.of(rows, rows.signal_NT, 0), rows.signal_NT, atol=1e-5)
    np.testing.assert_allclose(after.of(rows, rows.signal_NT, 0), 10 * rows.signal_NT)


def test_gains_leave_codes_and_correlation_and_noise_takes_more_the_louder_it_is(stored):
    scores = judge({"it": small_codec()}, JudgedWindows(stored, window_s=12.0)).tokenizers["it"]
    by_kind = {kind: [one for one in scores.robustness if one.kind == kind] for kind in ("noise", "gain_after")}
    gains = [one for one in scores.robustness if one.kind != "noise"]
    assert len(gains) == 4
    for gain in gains:
        # a power of two would leave every bit; ten may turn a near tie
        assert gain.kept.mean > 0.999 and gain.r.mean == pytest.approx(scores.r.mean, abs=1e-3)
    kept = [1.0, *(one.kept.mean for one in by_kind["noise"])]
    assert [one.amount for one in by_kind["noise"]] == [20.0, 10.0, 0.0]
    assert all(more > less + 0.02 for more, less in pairwise(kept))
    first = [one.kept_first.mean for one in by_kind["noise"]]
    assert first == sorted(first, reverse=True)


def test_kept_codes_are_counted_as_one_would_by_hand(stored):
    codec, windows = small_codec(), JudgedWindows(stored, window_s=6.0, number=1)
    rows = next(iter(windows))
    clean, noisy = (
        encode(codec, signal_NT).codes_NQT.numpy()
        for signal_NT in (rows.signal_NT, DISTURBANCES[1].of(rows, rows.signal_NT, 0))
    )
    found = judge({"it": codec}, windows).tokenizers["it"].robustness[1]
    same = [a == b for a, b in zip(clean.ravel().tolist(), noisy.ravel().tolist(), strict=True)]
    assert found.kept.mean == pytest.approx(sum(same) / len(same))
    assert found.kept_first.mean == pytest.approx(np.mean(clean[:, 0] == noisy[:, 0]))


def test_who_gives_back_everything_gives_back_the_noise_too(stored):
    scores = judge({"it": Oracle()}, JudgedWindows(stored, window_s=12.0)).tokenizers["it"]
    for one in scores.robustness[:3]:
        share = 10 ** (-one.amount / 10)
        # correlation of x with x + n
        assert one.r.mean == pytest.approx(1 / np.sqrt(1 + share), abs=0.02)
