"""Where on the head something is strong: one topographic map a kind of sensor.

Letters: C sensors, N places (a pair of planar gradiometers is one).
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from megxl.extraction import Embedding
from megxl.reporting.figures import new_figure
from megxl.reporting.style import ALARM, DIVERGING, FAINT, INK, SEQUENTIAL, SMALL, WIDTH, styled
from megxl.signals.sensors import ELECTRODE, GRADIOMETER, MAGNETOMETER, SensorArray

SAME_PLACE_M = 5e-4
FEWEST_PLACES = 8


@dataclass(frozen=True, kw_only=True)
class SensorGroup:
    """Sensors of one kind, by place."""

    title: str
    places: list[np.ndarray]
    """Rows of the sensor array at each place: two for a pair of planar gradiometers."""


def sensor_groups(sensors: SensorArray) -> list[SensorGroup]:
    """Group sensors by kind and, within a kind, by place."""
    groups = []
    for kind in (MAGNETOMETER, GRADIOMETER, ELECTRODE):
        rows = np.flatnonzero(sensors.kinds_C == kind)
        if not rows.size:
            continue
        grid = np.round(sensors.positions_C3[rows] / SAME_PLACE_M).astype(int)
        _, place = np.unique(grid, axis=0, return_inverse=True)
        places = [rows[place.ravel() == n] for n in range(place.max() + 1)]
        groups.append(SensorGroup(title=_title(kind, sensors, rows, places), places=places))
    return groups


def project(positions_N3: np.ndarray) -> np.ndarray:
    """Unroll positions on a head or helmet to a disc (azimuthal equidistant) of radius 1; shape (N, 2)."""
    centred_N3 = positions_N3 - _sphere_centre(positions_N3)
    direction_N3 = centred_N3 / np.linalg.norm(centred_N3, axis=1, keepdims=True).clip(1e-9)
    radius_N = np.arccos(direction_N3[:, 2].clip(-1, 1)) / (np.pi / 2)
    flat_N = np.hypot(direction_N3[:, 0], direction_N3[:, 1]).clip(1e-9)
    # a helmet reaches below the ears: its rim is then drawn as the outline
    return direction_N3[:, :2] * (radius_N / flat_N)[:, None] / max(1.0, radius_N.max())


@styled
def plot_energy(embedding: Embedding) -> Figure:
    """Draw the energy of each sensor's features (squared norm, mean over time) on the head, seen from above."""
    groups = sensor_groups(embedding.sensors)
    figure = new_figure(embedding, (max(WIDTH, 4.4 * len(groups)), 4.3))
    xy_C2 = project(embedding.sensors.positions_C3)
    for axes, group in zip(figure.subplots(1, len(groups), squeeze=False)[0], groups, strict=True):
        draw_group(axes, group, embedding.energy, ~embedding.bad, xy_C2, label="squared norm of features")
    return figure


def draw_group(
    axes: Axes, group: SensorGroup, value_C: np.ndarray, good_C: np.ndarray, xy_C2: np.ndarray, *, label: str
) -> None:
    """Draw the values of the good sensors of a group on the head, a pair by its mean; crosses are the bad ones."""
    good = [place[good_C[place]] for place in group.places]
    good = [place for place in good if place.size]
    bad = np.concatenate([place[~good_C[place]] for place in group.places])
    title = f"{group.title}, n = {sum(map(len, good))}"
    if good:
        value_N = np.array([value_C[place].mean() for place in good])
        xy_N2 = np.array([xy_C2[place].mean(axis=0) for place in good])
        if not draw_topomap(axes, value_N, xy_N2, label=label):
            title += "\n(places only: this layout has no map)"
    axes.plot(*xy_C2[bad].T, linestyle="", marker="x", color=ALARM, markersize=7, markeredgewidth=2, zorder=20)
    axes.set_title(title + (f"\n{len(bad)} bad (crosses) left out" if len(bad) else ""), loc="center")


def draw_topomap(axes: Axes, value_N: np.ndarray, xy_N2: np.ndarray, *, label: str, signed: bool = False) -> bool:
    """Draw an interpolated map, or coloured dots where the layout does not allow one; tell which.

    Parameters
    ----------
    axes : Axes
        To draw on; a bar of colours is put beside it.
    value_N : ndarray, shape (N,)
    xy_N2 : ndarray, shape (N, 2)
        Places, as `project` gives them.
    label : str
        Beside the bar of colours.
    signed : bool
        Whether the values have a sign: the colours then are symmetric around zero.
    """
    from mne.viz import plot_topomap

    interpolated = len(value_N) >= FEWEST_PLACES
    largest = float(np.abs(value_N).max())
    vlim = (-largest, largest) if signed else (float(value_N.min()), float(value_N.max()))
    cmap = DIVERGING if signed else SEQUENTIAL
    if interpolated:
        try:
            image, _ = plot_topomap(
                value_N, xy_N2, axes=axes, show=False, sphere=(0.0, 0.0, 0.0, 1.0), contours=0, cmap=cmap,
                extrapolate="head", vlim=vlim, res=128,
            )  # fmt: skip
        except (ValueError, RuntimeError):  # what MNE and Qhull raise for points that span no area
            axes.clear()
            interpolated = False
    if not interpolated:
        image = axes.scatter(
            *xy_N2.T, c=value_N, cmap=cmap, vmin=vlim[0], vmax=vlim[1], s=60, edgecolors=INK, linewidths=0.5
        )
        axes.add_patch(_circle())
        axes.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), aspect="equal")
        axes.axis("off")
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.7)
    axes.set_anchor("C")  # a bar pulls it to the right
    bar.set_label(label, fontsize=SMALL)
    bar.ax.ticklabel_format(scilimits=(-3, 4))
    return interpolated


def _title(kind: int, sensors: SensorArray, rows: np.ndarray, places: list[np.ndarray]) -> str:
    if kind != GRADIOMETER:
        return "Magnetometers" if kind == MAGNETOMETER else "Electrodes"
    if any(len(place) > 1 for place in places):
        return "Planar gradiometers (mean of each pair)"
    centred_C3 = sensors.positions_C3[rows] - _sphere_centre(sensors.positions_C3)
    outwards_C3 = centred_C3 / np.linalg.norm(centred_C3, axis=1, keepdims=True).clip(1e-9)
    radial = np.abs((outwards_C3 * sensors.orientations_C3[rows]).sum(axis=1)).mean()
    return "Axial gradiometers" if radial > 0.5 else "Planar gradiometers"


def _sphere_centre(positions_N3: np.ndarray) -> np.ndarray:
    """Centre of the sphere that fits best: |p|^2 = 2 p.c + const, linear in c."""
    design_N4 = np.column_stack([2 * positions_N3, np.ones(len(positions_N3))])
    if len(positions_N3) < FEWEST_PLACES or np.linalg.matrix_rank(design_N4) < 4:
        return positions_N3.mean(axis=0) - [0.0, 0.0, 0.1]
    return np.linalg.lstsq(design_N4, (positions_N3**2).sum(axis=1), rcond=None)[0][:3]


def _circle():
    from matplotlib.patches import Circle

    return Circle((0, 0), 1.0, fill=False, edgecolor=FAINT)
