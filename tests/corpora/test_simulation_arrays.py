"""The sensor systems of the simulator: kinds, noise of each, strength of brains, drifts. (Lead fields: physics.)"""

import numpy as np
import pytest

from megxl.corpora.simulation.arrays import sensor_system
from megxl.errors import InputError
from megxl.signals.sensors import ELECTRODE, GRADIOMETER, MAGNETOMETER


@pytest.fixture(scope="module")
def helmet():
    return sensor_system("neuromag306", 250.0)


@pytest.fixture(scope="module")
def cap():
    return sensor_system("biosemi32", 250.0)


def test_each_sensor_has_the_noise_of_its_kind(helmet, cap):
    names = np.array(helmet.info["ch_names"])
    magnetic = np.char.endswith(names, "1")  # as Neuromag names them
    np.testing.assert_array_equal(helmet.kinds_C, np.where(magnetic, MAGNETOMETER, GRADIOMETER))
    assert magnetic.sum() == 102 and not helmet.is_eeg
    # T and T/m by the root of a hertz: a gradiometer of 16.8 mm measures about what two magnetometers do
    np.testing.assert_array_equal(helmet.noise_density_C, np.where(magnetic, 3.5e-15, 3.5e-13))
    assert cap.is_eeg and (cap.kinds_C == ELECTRODE).all() and len(cap.info["chs"]) == 32
    np.testing.assert_array_equal(cap.noise_density_C, 2e-7)


@pytest.mark.parametrize(("name", "level"), [("neuromag306", 3.3e-13), ("biosemi32", 1e-5)])
def test_dipoles_of_the_strength_give_the_median_sensor_the_level_of_a_real_one(name, level):
    system = sensor_system(name, 250.0)
    lead_CN = np.random.default_rng(0).standard_normal((len(system.info["chs"]), 40))
    lead_CN[system.kinds_C == GRADIOMETER] *= 100  # which follow, and do not count
    activity_NT = np.random.default_rng(1).standard_normal((40, 20_000))
    measured_C = (system.strength_for(lead_CN) * lead_CN @ activity_NT).std(axis=1)
    assert np.median(measured_C[system.kinds_C != GRADIOMETER]) == pytest.approx(level, rel=0.02)


def test_slow_disturbances_come_from_far_away_or_from_each_electrode(helmet, cap):
    assert helmet.drift_CK.shape == (306, 8)
    magnetic = helmet.kinds_C == MAGNETOMETER
    # three homogeneous fields of 0.2 pT, which a gradiometer does not feel
    np.testing.assert_allclose(np.linalg.norm(helmet.drift_CK[magnetic, :3], axis=1), 2e-13, rtol=1e-3)
    np.testing.assert_array_equal(helmet.drift_CK[~magnetic, :3], 0.0)
    assert 1e-13 < np.abs(helmet.drift_CK[~magnetic, 3:]).max() < 3e-12
    # electrodes drift by themselves, against the mean of all
    np.testing.assert_allclose(cap.drift_CK.sum(axis=0), 0.0, atol=1e-18)
    np.testing.assert_allclose(np.diag(cap.drift_CK), 5e-6 * 31 / 32, rtol=1e-12)
    assert np.linalg.matrix_rank(cap.drift_CK) == 31


def test_the_rate_is_that_asked_for(helmet):
    assert helmet.info["sfreq"] == 250.0 and sensor_system("biosemi32", 512.0).info["sfreq"] == 512.0


def places(system) -> np.ndarray:
    return np.array([channel["loc"][:3] for channel in system.info["chs"]])


def nearest(places_C3: np.ndarray) -> float:
    """Smallest distance of two sensors."""
    apart_CC = np.linalg.norm(places_C3[:, None] - places_C3[None], axis=-1)
    return float(apart_CC[np.triu_indices(len(places_C3), 1)].min())


@pytest.mark.parametrize("number", [4, 16, 24])
def test_some_magnetometers_lie_further_apart_than_any_at_random(helmet, number):
    some = sensor_system(f"neuromag{number}", 250.0)
    assert len(set(some.info["ch_names"])) == number and (some.kinds_C == MAGNETOMETER).all()
    all_C3 = places(helmet)[helmet.kinds_C == MAGNETOMETER]
    assert {tuple(place) for place in places(some)} <= {tuple(place) for place in all_C3}
    rng = np.random.default_rng(number)
    assert nearest(places(some)) > max(nearest(rng.permutation(all_C3)[:number]) for _ in range(200))


def test_all_magnetometers_are_those_of_the_system(helmet):
    names = np.array(helmet.info["ch_names"])[helmet.kinds_C == MAGNETOMETER]
    assert sensor_system("neuromag102", 250.0).info["ch_names"] == names.tolist()


@pytest.mark.parametrize("name", ["neuromag3", "neuromag103", "neuromag0"])
def test_more_or_fewer_magnetometers_than_there_can_be_are_refused(name):
    with pytest.raises(InputError, match=f"{name}.*neuromag4 to neuromag102"):
        sensor_system(name, 250.0)


def test_a_montage_may_have_the_name_that_older_versions_of_mne_gave_it():
    info = sensor_system("standard_1020", 250.0).info
    assert {"Fp1", "Cz", "O2"} < set(info["ch_names"])
    np.testing.assert_allclose(np.linalg.norm([one["loc"][:3] for one in info["chs"]], axis=1), 0.1, atol=0.05)
