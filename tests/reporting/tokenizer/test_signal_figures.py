"""Signals and spectra on the page are the true ones and those that the codec gives back."""

import numpy as np
import pytest
import torch
from scipy.signal import csd

from megxl.reporting.tokenizer.rebuilt import Rebuilt, band_edges, mean_spectra, ranked, rebuild
from megxl.reporting.tokenizer.signal_figures import excerpt_of, plot_examples, plot_spectra
from megxl.training.tokenizer.judged_windows import JudgedWindows
from tests.training.tokenizer.judged_codecs import Oracle, recordings


def window(noise_N, key="armeni/sub-1", seconds=20.0, start_s=4.0) -> Rebuilt:
    """Noise, and the same with so much other noise on each row."""
    rng = np.random.default_rng(len(noise_N))
    signal_NS = rng.standard_normal((len(noise_N), round(50 * seconds)))
    return Rebuilt(
        key=key,
        start_s=start_s,
        sfreq_hz=50.0,
        names=tuple(f"S{n}" for n in range(len(noise_N))),
        signal_NS=signal_NS,
        decoded_NS=signal_NS + np.array(noise_N)[:, None] * rng.standard_normal(signal_NS.shape),
    )


def test_examples_stand_at_fixed_places_of_the_ranking():
    windows = [window([0.5, 0.1, 2.0]), window([0.3, 4.0, 1.0, 8.0, 0.2, 0.7], key="armeni/sub-2")]
    every = sorted(np.corrcoef(a, b)[0, 1] for w in windows for a, b in zip(w.signal_NS, w.decoded_NS, strict=True))
    examples = ranked(windows)
    np.testing.assert_allclose([one.r for one in examples], [every[place] for place in (8, 6, 4, 2, 0)])
    for one in examples:
        r = np.corrcoef(one.window.signal_NS[one.row], one.window.decoded_NS[one.row])[0, 1]
        assert one.r == pytest.approx(r)
    assert [one.rank.replace("\n", " ") for one in examples] == [
        "best", "better than 3 of 4", "median", "worse than 3 of 4", "worst"
    ]  # fmt: skip


def test_few_rows_are_shown_once_and_flat_ones_never():
    one = window([0.1, 0.2])
    one.signal_NS[0] = 0.0
    assert [example.row for example in ranked([one])] == [1]
    one.signal_NS[1] = 0.0
    assert ranked([one]) == []


def test_an_excerpt_is_the_true_and_the_decoded_middle_of_its_window():
    (example,) = ranked([window([0.4], seconds=20.0)])
    assert excerpt_of(example) == slice(300, 700)
    (axes,) = plot_examples([example], "line").axes
    true, decoded = axes.lines
    np.testing.assert_array_equal(true.get_ydata(), example.window.signal_NS[0, 300:700])
    np.testing.assert_array_equal(decoded.get_ydata(), example.window.decoded_NS[0, 300:700])
    np.testing.assert_allclose(true.get_xdata(), np.arange(400) / 50)
    assert axes.get_title("right") == "S0, armeni/sub-1 from 10 s" and f"r = {example.r:.2f}" in axes.get_ylabel()


def test_a_short_window_is_shown_whole():
    (example,) = ranked([window([0.4], seconds=3.0)])
    assert excerpt_of(example) == slice(0, 150)


def test_spectra_are_means_over_rows_not_over_windows():
    windows = [window([0.5]), window([2.0, 0.1, 0.4])]
    frequency_F, density_3F = mean_spectra(windows)
    rows = [(a, b) for w in windows for a, b in zip(w.signal_NS, w.decoded_NS, strict=True)]
    for density_F, of in zip(density_3F, (lambda a, b: a, lambda a, b: b, lambda a, b: a - b), strict=True):
        each = [csd(of(a, b), of(a, b), fs=50.0, nperseg=200)[1].real for a, b in rows]
        np.testing.assert_allclose(density_F, np.mean(each, axis=0), rtol=1e-9)
    np.testing.assert_allclose(frequency_F, np.arange(0, 25.01, 0.25))


def test_spectra_and_errors_by_band_are_drawn_as_they_are():
    frequency_F, density_3F = mean_spectra([window([0.5, 0.3])])
    errors = {"a": {"delta": -12.0, "beta": -1.5}, "b": {"delta": -9.0, "beta": -2.5}}
    left, right = plot_spectra(frequency_F, density_3F, band_edges(50.0), errors, "line").axes
    for line, density_F in zip(left.lines, density_3F, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), density_F[2:])
        np.testing.assert_array_equal(line.get_xdata(), frequency_F[2:])
    assert [line.get_label() for line in left.lines] == ["signal", "decoded", "error"]
    assert [bar.get_width() for bar in right.patches] == [-12.0, -1.5, -9.0, -2.5]
    assert [label.get_text() for label in right.get_yticklabels()] == ["delta", "beta"]
    assert "(Hz)" in left.get_xlabel() and "/ Hz" in left.get_ylabel() and "(dB)" in right.get_xlabel()


def test_bands_end_at_half_the_rate():
    assert band_edges(50.0) == {"delta": (0, 4), "theta": (4, 8), "alpha": (8, 13), "beta": (13, 25)}
    assert band_edges(250.0)["gamma"] == (30, 125)


def test_what_comes_back_is_that_of_the_codec_for_the_rows_that_were_chosen(tmp_path):
    windows, seen = JudgedWindows(recordings(tmp_path), window_s=6.0, number=3, sensors=2), []
    rebuilt = rebuild(Oracle(), windows)
    assert len(rebuilt) == 3 and seen == []
    for one, rows in zip(rebuilt, windows, strict=True):
        assert one.key == rows.key and one.start_s == rows.start_s
        assert one.names == tuple(windows.arrays[rows.array].names[place] for place in rows.sensors_N)
        np.testing.assert_array_equal(one.signal_NS, rows.signal_NT.numpy())
        torch.testing.assert_close(torch.tensor(one.decoded_NS), rows.signal_NT, rtol=0, atol=1e-3)
