"""Montages: positions by name for electrodes, and a sentence where names or files do not fit."""

import pytest

from megxl.errors import InputError
from megxl.signals.montage import place_electrodes, place_sensors
from megxl.signals.reading import choose_channels, open_recording, provenance
from megxl.signals.sensors import SensorArray
from tests.rights import forbidden
from tests.signals.test_reading import make_eeg, make_raw, save, write_montage


def test_a_montage_file_gives_positions_whatever_the_case_of_names(tmp_path):
    path = save(make_eeg(), tmp_path / "a_eeg.fif")
    montage = write_montage(tmp_path / "m.csv", ["FZ", "CZ", "PZ", "OZ"])
    raw = open_recording(path, montage=montage)
    assert SensorArray.from_info(raw.info).names == ("Fz", "Cz", "Pz")


def test_a_built_in_montage_is_taken_by_name(tmp_path):
    path = save(make_eeg(), tmp_path / "a_eeg.fif")
    raw = open_recording(path, montage="standard_1005")
    positions_C3 = SensorArray.from_info(raw.info).positions_C3
    assert positions_C3[0, 1] > 0.03 > positions_C3[2, 1]  # Fz in front of Pz
    assert positions_C3[1, 2] == positions_C3[:, 2].max()  # Cz on top


def test_electrodes_without_a_match_are_listed_and_then_refused_as_sensors(tmp_path):
    path = save(make_eeg(("Fz", "Cz", "EOG1")), tmp_path / "a_eeg.fif")
    raw = open_recording(path, montage="standard_1005")
    assert any(
        "not in the montage standard_1005: 1 of 3 electrodes (EOG1)" in note for note in provenance(raw)["notes"]
    )
    with pytest.raises(InputError, match=r"1 of 3 .*EOG1"):
        SensorArray.from_info(raw.info)
    assert len(SensorArray.from_info(raw.info, choose_channels(raw, exclude=["EOG1"]))) == 2


def test_montages_that_do_not_fit_are_refused(tmp_path):
    eeg = save(make_eeg(("E1", "E2")), tmp_path / "a_eeg.fif")
    with pytest.raises(InputError, match=r"None of the 2 electrodes of a_eeg\.fif \(first: 'E1'\) is in the montage"):
        open_recording(eeg, montage="standard_1020")
    with pytest.raises(InputError, match=r"neither a file nor built into MNE.*biosemi"):
        open_recording(eeg, montage="biosemi23")
    (tmp_path / "m.sfp").write_text("not\na montage")
    with pytest.raises(InputError, match=r"m\.sfp is no montage that MNE reads"):
        open_recording(eeg, montage=tmp_path / "m.sfp")
    with pytest.raises(InputError, match=r"a_raw\.fif has no EEG channel"):
        open_recording(save(make_raw(), tmp_path / "a_raw.fif"), montage="standard_1020")


def test_a_montage_that_may_not_be_read_is_said(tmp_path):
    eeg = save(make_eeg(), tmp_path / "a_eeg.fif")
    content = write_montage(tmp_path / "m.csv", ["Fz", "Cz", "Pz"]).read_bytes()
    open_recording(eeg, montage=tmp_path / "m.csv")
    with forbidden(0, **{"m.csv": content}) as folder, pytest.raises(InputError, match=r"^m\.csv cannot be read: "):
        place_electrodes(make_eeg(), folder / "m.csv", "a recording")


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        (("Fz", "CZ", "Pz"), "standard_1005 and biosemi16 know all 3 of them"),
        (("A1", "A32", "D32"), "biosemi128 and biosemi160 know all 3 of them"),
        (("E1", "E128", "Cz"), "GSN-HydroCel-129 and GSN-HydroCel-257 know all 3 of them"),
        (("Fz", "Cz", "VEOG"), "standard_1005 knows 2 of these 3 names, not 'VEOG'"),
        (("EEG 000", "EEG 001"), "no built-in montage knows any of these names"),
    ],
)
def test_electrodes_without_positions_are_refused_with_the_montages_that_know_them(names, hint):
    raw = make_eeg(names)
    with pytest.raises(InputError) as caught:
        place_sensors(raw.info, names)
    sentence = str(caught.value)
    assert sentence.startswith(f"{len(names)} of {len(names)} electrodes have no position (first: {names[0]!r}). ")
    assert "--montage" in sentence and "electrodes.tsv" in sentence and sentence.endswith(f"; {hint}.")


def test_sensors_of_meg_without_positions_get_no_hint_about_montages():
    raw = make_raw()
    raw.info["chs"][0]["loc"][:3] = 0
    with pytest.raises(InputError, match=r"1 of \d+ sensors has no position .*--exclude\.$"):
        place_sensors(raw.info, raw.ch_names)


def test_positions_of_a_template_are_told_and_those_of_a_file_are_not(tmp_path):
    assert place_electrodes(make_eeg(), "standard_1005", "a recording") == [
        "Positions of electrodes are those of a template, not measured: 3 from standard_1005."
    ]
    montage = write_montage(tmp_path / "m.csv", ["Fz", "Cz", "Pz"])
    assert not any("template" in note for note in place_electrodes(make_eeg(), montage, "a recording"))
