"""Sensor maps: the unrolled head, pairs and kinds of sensors, layouts without a map."""

import numpy as np
import pytest

from megxl.extraction import embed_recording
from megxl.reporting.maps import plot_energy, project, sensor_groups
from megxl.signals.sensors import SensorArray, neuromag306
from tests.small import electrodes, short_recording, small_model


def sphere(n: int = 200, centre=(0.01, -0.02, 0.04), radius: float = 0.1) -> np.ndarray:
    direction = np.random.default_rng(0).standard_normal((n, 3)) * [1, 1, 0] + [0, 0, 0.3]
    return np.asarray(centre) + radius * direction / np.linalg.norm(direction, axis=1, keepdims=True)


def test_the_head_is_unrolled_with_the_nose_up():
    centre = np.array([0.01, -0.02, 0.04])
    marks = centre + 0.1 * np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, np.sqrt(0.5), np.sqrt(0.5)]])
    xy = project(np.concatenate([marks, sphere()]))[:4]
    np.testing.assert_allclose(xy, [[0, 0], [1, 0], [0, 1], [0, 0.5]], atol=1e-6)


def test_a_helmet_that_reaches_below_the_ears_fits_the_outline():
    radius = np.linalg.norm(project(neuromag306().positions_C3), axis=1)
    assert radius.max() == pytest.approx(1.0)


def test_planar_gradiometers_come_in_pairs():
    magnetometers, gradiometers = sensor_groups(neuromag306())
    names = np.array(neuromag306().names)
    assert (magnetometers.title, len(magnetometers.places)) == ("Magnetometers", 102)
    assert (gradiometers.title, len(gradiometers.places)) == ("Planar gradiometers (mean of each pair)", 102)
    for place in gradiometers.places:
        assert len(place) == 2 and len({name[:-1] for name in names[place]}) == 1  # MEG0112 and MEG0113


def test_one_gradiometer_of_a_pair_is_planar_all_the_same():
    array = neuromag306()
    single = array.select([name for name in array.names if name.endswith("2")])
    assert [group.title for group in sensor_groups(single)] == ["Planar gradiometers"]


@pytest.mark.parametrize("system", ["ctf275", "kit157"])
def test_axial_gradiometers_are_told_from_planar_ones(shared, system):
    import mne

    info = mne.io.read_info(shared / f"realdata/sensor_geometry/{system}-info.fif", verbose="ERROR")
    (group,) = sensor_groups(SensorArray.from_info(info))
    assert group.title == "Axial gradiometers" and all(len(place) == 1 for place in group.places)


def test_each_kind_of_sensor_gets_its_map():
    figure = plot_energy(embed_recording(small_model(), short_recording(n_triplets=20, bads=1)))
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles[0] == "Magnetometers, n = 20"
    assert titles[1].startswith("Planar gradiometers (mean of each pair), n = 39\n1 bad")
    figure = plot_energy(embed_recording(small_model(), electrodes(12)))
    assert figure.axes[0].get_title() == "Electrodes, n = 12"


def test_a_layout_without_a_map_is_drawn_as_places_and_says_so():
    figure = plot_energy(embed_recording(small_model(), short_recording(n_triplets=2)))
    assert all("this layout has no map" in axes.get_title() for axes in figure.axes[:2])


def test_the_colours_of_places_are_the_energies_of_good_sensors():
    embedding = embed_recording(small_model(), short_recording(n_triplets=2, bads=1))
    figure = plot_energy(embedding)
    magnetometers, gradiometers = (axes.collections[0].get_array() for axes in figure.axes[:2])
    kinds = embedding.sensors.kinds_C
    np.testing.assert_allclose(sorted(magnetometers), sorted(embedding.energy[kinds == 1]))
    by_name = dict(zip(embedding.sensors.names, embedding.energy, strict=True))
    names = [
        name
        for name in embedding.sensors.names
        if by_name[name] > 0 and kinds[embedding.sensors.names.index(name)] == 0
    ]
    places = {}
    for name in names:
        places.setdefault(name[:-1], []).append(by_name[name])
    np.testing.assert_allclose(sorted(gradiometers), sorted(np.mean(values) for values in places.values()))
