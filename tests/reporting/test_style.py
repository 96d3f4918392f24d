"""Colours: told apart by the colour-blind and in print, by formulas of their own in float64."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_rgb

from megxl.reporting import style

# complete protanopia, deuteranopia, tritanopia in linear RGB (Machado, Oliveira & Fernandes 2009, severity 1)
SEEN = {
    "all colours": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
LINES = (style.INK, style.ACCENT, style.FAINT, style.AMBER)


def lab(colour, seen=SEEN["all colours"]) -> np.ndarray:
    """CIELAB (D65) of a colour as somebody sees it."""
    rgb = np.asarray(to_rgb(colour), dtype=np.float64)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(np.asarray(seen) @ linear, 0, 1) / TO_XYZ.sum(axis=1)
    x, y, z = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_lightness_is_that_of_the_definition():
    np.testing.assert_allclose(lab("white"), [100, 0, 0], atol=0.01)
    np.testing.assert_allclose(lab("red"), [53.24, 80.09, 67.20], atol=0.05)


@pytest.mark.parametrize("seen", SEEN)
@pytest.mark.parametrize("colours", [LINES, style.PALETTE], ids=["lines", "palette"])
def test_colours_that_are_used_together_are_told_apart_by_everybody(colours, seen):
    for one, other in combinations(colours, 2):
        assert np.linalg.norm(lab(one, SEEN[seen]) - lab(other, SEEN[seen])) > 20, (one, other)


@pytest.mark.parametrize("colours", [LINES, style.PALETTE], ids=["lines", "palette"])
def test_colours_differ_in_grey(colours):
    lightness = sorted(lab(colour)[0] for colour in colours)
    assert np.diff(lightness).min() > 8 and lightness[-1] < 77  # the lightest is still seen on white


def test_small_text_has_the_contrast_that_is_asked_of_pages():
    luminance = ((lab(style.MUTED)[0] + 16) / 116) ** 3
    assert 1.05 / (luminance + 0.05) > 4.5  # WCAG 2, level AA


def test_maps_of_colours_go_one_way_or_are_even_around_zero():
    for name in (style.SEQUENTIAL, style.SHARES):
        steps = np.diff([lab(colormaps[name](n / 64))[0] for n in range(65)])
        assert (np.sign(steps) == np.sign(steps[0])).all()
    sides = [[lab(colormaps[style.DIVERGING](0.5 + sign * n / 64))[0] for n in range(33)] for sign in (-1, 1)]
    assert (np.diff(sides, axis=1)[:, 2:] < 0).all() and np.abs(np.subtract(sides[0], sides[1])).max() < 12


def test_many_lines_never_share_both_marker_and_colour():
    assert len({(style.palette(n), style.marker(n)) for n in range(24)}) == 24


def test_levels_get_lighter():
    lightness = [lab(style.level_colour(level, 6))[0] for level in range(6)]
    assert np.diff(lightness).min() > 8


def test_the_style_stays_within_its_figures():
    from matplotlib import rcParams

    before = dict(rcParams)
    figure = style.styled(lambda: style.titled_figure((style.WIDTH, 3), "who"))()
    assert dict(rcParams) == before and figure.get_figwidth() == style.WIDTH
