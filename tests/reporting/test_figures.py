"""Figures: what they claim about the weights, their units, and perplexity by its formula."""

import numpy as np
import pytest

from megxl.extraction import embed_recording
from megxl.reporting.figures import code_perplexity, plot_code_usage, plot_prepared, plot_raw
from megxl.reporting.maps import plot_energy
from megxl.reporting.style import ALARM
from megxl.signals.preparation import prepare
from tests.small import TRAINED, electrodes, short_recording, small_model


def all_figures(model, raw):
    embedding, prepared = embed_recording(model, raw), prepare(raw, raw.ch_names)
    yield plot_raw(raw, embedding)
    yield plot_prepared(raw, prepared, embedding)
    yield plot_energy(embedding)
    yield plot_code_usage(embedding)


def test_every_figure_says_that_random_weights_mean_nothing():
    for figure in all_figures(small_model(), short_recording()):
        band = figure._suptitle
        assert band.get_text().startswith("RANDOM WEIGHTS") and band.get_bbox_patch().get_facecolor()[
            :3
        ] == pytest.approx(tuple(int(ALARM[n : n + 2], 16) / 255 for n in (1, 3, 5)))


def test_every_figure_names_trained_weights():
    model = small_model()
    model.provenance, model.tokenizer.provenance = TRAINED, TRAINED | {"file": "codec.pt"}
    for figure in all_figures(model, short_recording()):
        assert figure._suptitle.get_text() == (
            "model: some.ckpt (SHA-256 0123456789ab), tokenizer: codec.pt (SHA-256 0123456789ab)"
        )


def drawn(axes) -> np.ndarray:
    """Lines of an axes, each around its own height."""
    return np.array([line.get_ydata() + row for row, line in enumerate(axes.lines) if len(line.get_ydata()) > 2])


def test_the_raw_signal_is_drawn_as_recorded():
    raw = electrodes(5)
    axes = plot_raw(raw, embed_recording(small_model(), raw), seconds=2.0).axes[0]
    expected = raw.get_data()[:, :500]
    expected = expected - expected.mean(axis=1, keepdims=True)
    lines = drawn(axes)
    assert [label.get_text() for label in axes.get_yticklabels()] == raw.ch_names
    np.testing.assert_allclose(lines * np.abs(expected).max() / np.abs(lines).max(), expected, atol=1e-12)
    spacing = 2e6 * np.quantile(np.abs(expected), 0.995)
    assert f"({spacing:.3g} µV between lines)" in axes.get_title(loc="left")


def test_the_prepared_signal_is_drawn_before_and_after_scaling():
    raw = electrodes(3, seconds=7.0)
    prepared = prepare(raw, raw.ch_names)
    upper, lower = plot_prepared(raw, prepared, embed_recording(small_model(), raw)).axes
    signal = prepared.signal_CT.astype(np.float64)
    np.testing.assert_allclose(np.corrcoef(drawn(upper)[1], signal[1])[0, 1], 1.0)
    for start in (0, 150, 300):
        x = signal[:, start : start + 150]
        low, middle, high = np.percentile(x, [25, 50, 75], axis=1, keepdims=True)
        expected = np.clip((x - middle) / (high - low), -5, 5)
        np.testing.assert_allclose(6 * drawn(lower)[:, start : start + 150], expected, atol=1e-5)


def test_units_go_by_what_was_measured():
    raw = short_recording()
    title = plot_raw(raw, embed_recording(small_model(), raw)).axes[0].get_title(loc="left")
    assert "fT/cm" in title and "pT" in title


def test_perplexity_is_the_number_of_codes_in_effective_use():
    usage = np.array([[5, 5, 5, 5], [20, 0, 0, 0], [10, 10, 0, 0], [1, 2, 3, 4]])
    p = np.array([0.1, 0.2, 0.3, 0.4])
    np.testing.assert_allclose(code_perplexity(usage), [4, 1, 2, np.prod(p**-p)])


def test_code_usage_shows_every_level():
    embedding = embed_recording(small_model(), short_recording())
    shares, bars = plot_code_usage(embedding).axes
    for level, line in zip(embedding.code_usage, shares.lines, strict=False):
        np.testing.assert_allclose(np.nansum(line.get_ydata()), 1.0)
        assert np.isfinite(line.get_ydata()).sum() == np.count_nonzero(level)
    assert [bar.get_height() for bar in bars.patches] == pytest.approx(list(code_perplexity(embedding.code_usage)))
