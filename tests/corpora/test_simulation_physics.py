"""Lead fields of the simulator, against Maxwell's equations and against MNE's."""

import mne
import numpy as np
import pytest

from megxl.corpora.simulation.arrays import sensor_system
from megxl.corpora.simulation.physics import dipole_fields, far_field, lead_field
from megxl.errors import InputError
from megxl.signals.reading import neuromag306_info
from megxl.signals.sensors import MAGNETOMETER, SensorArray

PLACES = np.array([[0.0, 0.03, 0.05], [0.04, -0.02, 0.03], [-0.05, 0.0, 0.02]])
MOMENTS = 1e-8 * np.array([[1.0, 0.3, -0.2], [0.1, 1.0, 0.7], [-0.4, 0.6, 0.9]])


def field(x: float, y: float, z: float) -> np.ndarray:
    return dipole_fields(np.array([x, y, z]), PLACES, MOMENTS)


def test_the_radial_field_is_that_of_the_primary_current_alone():
    # the currents that flow back through a sphere add nothing to it (Sarvas 1987, section 3)
    place = np.array([0.03, 0.05, 0.10])
    distance = place - PLACES
    primary = 1e-7 * np.cross(MOMENTS, distance) / np.linalg.norm(distance, axis=1, keepdims=True) ** 3
    np.testing.assert_allclose(field(*place) @ place, primary @ place, rtol=1e-10)


def test_the_field_outside_has_neither_sources_nor_curl():
    place, step = np.array([0.03, 0.05, 0.10]), 1e-5
    gradient = np.stack([(field(*(place + e)) - field(*(place - e))) / (2 * step) for e in step * np.eye(3)])
    scale = np.abs(gradient).max()
    for n in range(len(PLACES)):
        jacobian = gradient[:, n]
        assert abs(np.trace(jacobian)) < 1e-6 * scale
        assert np.abs(jacobian - jacobian.T).max() < 1e-6 * scale


def test_a_radial_dipole_is_not_seen():
    radial = dipole_fields(np.array([0.0, 0.0, 0.12]), PLACES, 1e-8 * PLACES / 0.05)
    assert np.abs(radial).max() < 1e-12 * np.abs(field(0, 0, 0.12)).max()


def mne_lead_field(info: mne.Info, centre_3: np.ndarray) -> np.ndarray:
    with info._unlock():
        info["dev_head_t"] = mne.Transform("meg", "head", np.eye(4))
    normals = MOMENTS / np.linalg.norm(MOMENTS, axis=1, keepdims=True)
    sphere = mne.make_sphere_model(tuple(centre_3), None, verbose="ERROR")
    places = {"rr": PLACES + centre_3, "nn": normals}
    source = mne.setup_volume_source_space(pos=places, sphere=(*centre_3, 0.09), sphere_units="m", verbose="ERROR")
    forward = mne.make_forward_solution(info, None, source, sphere, eeg=False, mindist=0.0, verbose="ERROR")
    return np.einsum("cnd,nd->cn", forward["sol"]["data"].reshape(-1, 3, 3), MOMENTS)


def test_the_lead_field_is_that_of_mne():
    info = neuromag306_info(250.0)
    theirs, ours = mne_lead_field(info, np.zeros(3)), lead_field(info, PLACES, MOMENTS, np.zeros(3))
    for kind in (0, 1):
        rows = SensorArray.from_info(info).kinds_C == kind
        # ours measures at points, MNE's over the loops of 2 cm
        assert np.linalg.norm(ours[rows] - theirs[rows]) < 0.05 * np.linalg.norm(theirs[rows])


@pytest.mark.parametrize("system", ["ctf273", "kit157"])
def test_the_lead_field_of_axial_gradiometers_is_that_of_mne(shared, system):
    info = mne.io.read_info(shared / "realdata" / "sensor_geometry" / f"{system}-info.fif", verbose="ERROR")
    info = mne.pick_info(info, mne.pick_types(info, meg=True, ref_meg=False))
    centre_3 = np.array([0.002, -0.003, -0.015])
    theirs, ours = mne_lead_field(info, centre_3), lead_field(info, PLACES, MOMENTS, centre_3)
    assert np.linalg.norm(ours - theirs) < 0.05 * np.linalg.norm(theirs)


def test_axial_gradiometers_measure_how_a_far_field_differs_at_their_coils():
    info = mne.create_info(["A"], 100.0, "mag")
    normal = np.array([0.48, 0.6, 0.64])
    info["chs"][0]["coil_type"], info["chs"][0]["loc"] = 5001, np.r_[0.01, 0.07, 0.1, np.zeros(6), normal]
    gradient = np.diag([1.0, 0.0, -1.0])  # the fourth of the five
    near = info["chs"][0]["loc"][:3]
    measured = (gradient @ near - gradient @ (near + 0.05 * normal)) @ normal
    gains = far_field(info)[0]
    assert gains[6] == pytest.approx(measured, rel=1e-12) and (gains[:3] == 0).all()


def test_far_fields_are_what_points_and_small_steps_measure():
    info = neuromag306_info(250.0)
    gains = far_field(info)
    assert np.linalg.matrix_rank(gains / np.abs(gains).max(axis=0)) == 8
    magnetometers = SensorArray.from_info(info).kinds_C == MAGNETOMETER
    np.testing.assert_array_equal(gains[~magnetometers, :3], 0.0)
    # fitted to what magnetometers measure of a dipole far off, they say what gradiometers measure
    place, step = np.array([3.0, 2.0, -1.0]), 1e-3

    def far(x: np.ndarray) -> np.ndarray:
        d = x - place
        moment = np.array([0.2, -0.5, 1.0])
        r = np.linalg.norm(d)
        return 3 * d * (moment @ d) / r**5 - moment / r**3

    measured = []
    for channel in info["chs"]:
        x, along, normal = channel["loc"][:3], channel["loc"][3:6], channel["loc"][9:12]
        slope = (far(x + step * along) - far(x - step * along)) @ normal / (2 * step)
        measured.append(far(x) @ normal if channel["coil_type"] == 3024 else slope)
    measured = np.array(measured)
    fitted = np.linalg.lstsq(gains[magnetometers], measured[magnetometers], rcond=None)[0]
    left = measured[~magnetometers] - gains[~magnetometers] @ fitted
    assert np.linalg.norm(left) < 0.12 * np.linalg.norm(measured[~magnetometers])  # what bends is left


def test_electrodes_see_a_radial_dipole_most_right_above_it():
    system = sensor_system("biosemi64", 250.0)
    places = SensorArray.from_info(system.info).positions_C3 - np.array([0.0, 0.0, 0.04])
    row = 20
    above = places[row] / np.linalg.norm(places[row])
    lead = system.lead_field(0.06 * above[None], 1e-8 * above[None])[:, 0]
    assert lead.argmax() == row and abs(lead.sum()) < 1e-6 * abs(lead).max()
    assert 1e-7 < lead[row] < 1e-5  # a few microvolts of 10 nA m
    twice = system.lead_field(0.06 * above[None], 2e-8 * above[None])[:, 0]
    np.testing.assert_allclose(twice, 2 * lead, rtol=1e-6)


def test_an_unknown_system_names_the_nearest():
    with pytest.raises(InputError, match=r"'biosem64'; did you mean 'biosemi64'\?"):
        sensor_system("biosem64", 250.0)
