"""Pictures of the page: what is drawn is what was found, and every axis has its unit."""

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from megxl.model.embedding import SensorTensors
from megxl.reporting.journey.learning_figures import plot_accuracies, plot_filled
from megxl.reporting.reconstruction import MaskedWindow, Reconstruction
from tests.data.small import sensors
from tests.reporting.journey.told import judged


def points(line: Line2D) -> np.ndarray:
    """Places and values of a line, shape (2, N)."""
    return np.array(line.get_data(), dtype=float)


def test_accuracies_stand_at_their_values_with_their_intervals():
    decoders = {"one": judged(0.9), "two": judged(0.5), "three": judged(0.2)}
    figure = plot_accuracies(decoders, {8.0: decoders["one"], 0.0: decoders["three"]})
    left, right = figure.axes
    drawn = [tuple(points(line)[:, 0]) for line in left.lines if str(line.get_marker()) in "osD"]
    assert drawn == [(one.scored.value, -n) for n, one in enumerate(decoders.values())]
    for bar, one in zip(left.collections, decoders.values(), strict=True):
        interval = one.scored.interval
        assert isinstance(bar, LineCollection) and interval is not None
        assert bar.get_segments()[0][:, 0] == pytest.approx([interval.low, interval.high])
    assert [tick.get_text() for tick in right.get_xticklabels()] == ["0", "8"]
    drawn = [tuple(points(line)[:, 0]) for line in right.lines if line.get_marker() == "o"]
    assert drawn == [(0, decoders["three"].scored.value), (1, decoders["one"].scored.value)]
    assert left.get_xlabel() == "words found" and "signal-to-noise ratio" in right.get_xlabel()


def test_the_model_is_drawn_at_hidden_places_alone():
    array, generator = sensors(4), np.random.default_rng(0)
    hidden_T = torch.zeros(100, dtype=torch.bool)
    hidden_T[[30, 31, 60]] = True
    true_CS, expected_CS = generator.standard_normal((2, 4, 1200))
    window = MaskedWindow(
        key="armeni/sub-1", corpus="armeni", start_s=6.0, sfreq_hz=50.0, samples_per_token=12, array=array,
        good_C=np.ones(4, dtype=bool), signal_CS=torch.zeros(4, 1200), codes_CTQ=torch.zeros(4, 100, 1),
        sensors=SensorTensors(torch.zeros(1, 4, 3), torch.zeros(1, 4, 3), torch.ones(1, 4)), hidden_T=hidden_T,
    )  # fmt: skip
    example = Reconstruction(window=window, codes_CTQ=np.zeros((4, 100, 1)), true_CS=true_CS, likeliest_CS=true_CS,
                             expected_CS=expected_CS, guessed_CS=true_CS)  # fmt: skip
    figure = plot_filled(example, [1, 3], 9.0)
    for axes, row in zip(figure.axes, (1, 3), strict=True):
        (_, truth_S), (times_s, filled_S) = map(points, axes.lines)
        samples = np.round((times_s - 6.0) * 50).astype(int)
        inside = np.isin(samples // 12, [30, 31, 60])
        assert inside.any() and len(samples) == 450
        np.testing.assert_array_equal(np.isfinite(filled_S), inside)
        np.testing.assert_array_equal(filled_S[inside], expected_CS[row, samples[inside]])
        np.testing.assert_array_equal(truth_S, true_CS[row, samples])
