"""Sensors that are taken from a real recording: those of the file, around a head in the middle."""

import shutil

import mne
import numpy as np
import pytest

from megxl.corpora.simulation.template import template_system
from megxl.errors import InputError

CTF = "meg_ctf/testdata_ctf_short_discontinuous.ds"
KIT = "meg_kit/test_old_5s_kit157.sqd"


@pytest.mark.parametrize(("file", "kind", "count"), [(CTF, "CTF", 273), (KIT, "KIT", 157)])
def test_the_sensors_are_those_of_the_helmet_in_the_order_of_the_file(shared, file, kind, count):
    raw = mne.io.read_raw(shared / "realdata" / file, verbose="ERROR")
    picks = mne.pick_types(raw.info, meg=True, ref_meg=False)
    system = template_system(shared / "realdata" / file, kind)
    assert system.info["ch_names"] == [raw.ch_names[pick] for pick in picks] and len(picks) == count
    expected = np.array([raw.info["chs"][pick]["loc"] for pick in picks])
    np.testing.assert_array_equal([channel["loc"] for channel in system.info["chs"]], expected)
    assert system.info["sfreq"] == raw.info["sfreq"] and (system.kinds_C == 0).all()
    np.testing.assert_array_equal(system.noise_density_C, 5e-15)  # T by the root of a hertz


@pytest.mark.parametrize(("file", "kind"), [(CTF, "CTF"), (KIT, "KIT"), ("meg_kit/MQKIT_125_2sec.con", "KIT")])
def test_the_head_is_in_the_middle_of_the_helmet(shared, file, kind):
    system = template_system(shared / "realdata" / file, kind)
    distance_C = np.linalg.norm([channel["loc"][:3] - system.centre_3 for channel in system.info["chs"]], axis=1)
    # helmets are no spheres; no dipole is further from the middle than 7 cm
    assert distance_C.min() > 0.085 and distance_C.std() < 0.1 * distance_C.mean()


@pytest.mark.parametrize(("file", "kind"), [(CTF, "CTF"), (KIT, "KIT")])
def test_dipoles_give_the_median_axial_gradiometer_its_level(shared, file, kind):
    system = template_system(shared / "realdata" / file, kind)
    lead_CN = np.random.default_rng(0).standard_normal((len(system.kinds_C), 40))
    activity_NT = np.random.default_rng(1).standard_normal((40, 20_000))
    measured_C = (system.strength_for(lead_CN) * lead_CN @ activity_NT).std(axis=1)
    assert np.median(measured_C) == pytest.approx(2.4e-13, rel=0.02)


def test_a_file_inside_of_the_folder_stands_for_the_recording(shared):
    inside = shared / "realdata" / CTF / "testdata_ctf_short_discontinuous.meg4"
    template = template_system(inside, "CTF").template
    assert template is not None and template.samefile(shared / "realdata" / CTF)


@pytest.mark.parametrize(
    ("file", "kind", "said"),
    [
        (
            KIT,
            "CTF",
            r"test_old_5s_kit157.sqd is no template here: needed is a CTF .*\(a folder \*.ds\); its .* is KIT",
        ),
        (CTF, "KIT", r"is no template here: needed is a KIT recording .*; its format is CTF"),
        ("meg_neuromag306/test_raw.fif", "KIT", "needed is a KIT recording .*; its format is FIF"),
        ("meg_ctf/somMDYO-18av.ds", "CTF", "has no system clock .* it holds averages"),
        ("no.ds", "CTF", "no.ds does not exist"),
    ],
)
def test_what_is_no_template_is_refused_in_a_sentence(shared, file, kind, said):
    with pytest.raises(InputError, match=said):
        template_system(shared / "realdata" / file, kind)


def test_a_helmet_with_few_sensors_is_refused(shared, tmp_path, monkeypatch):
    shutil.copyfile(shared / "realdata" / KIT, tmp_path / "few.con")
    monkeypatch.setattr("megxl.corpora.simulation.template._FEWEST", 158)
    with pytest.raises(InputError, match=r"few\.con has 157 axial gradiometers; a template needs .* at least 158"):
        template_system(tmp_path / "few.con", "KIT")
