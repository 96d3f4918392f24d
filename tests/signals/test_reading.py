"""Recordings of any format: opened, chosen from and described, or refused in a sentence that helps."""

import datetime
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import mne
import numpy as np
import pytest

from megxl.errors import InputError
from megxl.signals.reading import choose_channels, neuromag306_info, open_recording, provenance
from megxl.signals.sensors import SensorArray, neuromag306
from tests.rights import forbidden


def make_raw(samples: int = 400, sfreq_hz: float = 100.0) -> mne.io.RawArray:
    data = np.random.default_rng(0).normal(size=(306, samples)) * 1e-12
    return mne.io.RawArray(data, neuromag306_info(sfreq_hz), verbose="ERROR")


def make_eeg(names=("Fz", "Cz", "Pz"), **options) -> mne.io.RawArray:
    data = np.random.default_rng(0).normal(size=(len(names), 400)) * 1e-5
    return mne.io.RawArray(data, mne.create_info(list(names), 100.0, "eeg"), verbose="ERROR", **options)


def save(raw: mne.io.BaseRaw, path: Path, **options) -> Path:
    raw.save(path, overwrite=True, verbose="ERROR", **options)
    return path


def writable_copy(source: Path, folder: Path) -> Path:
    target = folder / source.name
    if source.is_dir():
        target.mkdir()
        for file in source.iterdir():
            (target / file.name).write_bytes(file.read_bytes())
    else:
        target.write_bytes(source.read_bytes())
    return target


def write_montage(path: Path, names) -> Path:
    points = np.random.default_rng(5).normal(size=(len(names), 3))
    points *= 0.09 / np.linalg.norm(points, axis=1, keepdims=True)
    rows = [",".join([name, *(f"{value:.6f}" for value in point)]) for name, point in zip(names, points, strict=True)]
    path.write_text("\n".join(["ch_name,x,y,z", *rows]) + "\n")
    return path


# ---------------------------------------------------------------------------------------------------------- opening


def test_a_fif_recording_is_opened_without_being_read(tmp_path):
    raw = open_recording(str(save(make_raw(), tmp_path / "a_raw.fif")))
    assert not raw.preload
    assert len(raw.ch_names) == 306


def write_brainvision(folder: Path) -> Path:
    (folder / "a.eeg").write_bytes((np.arange(300, dtype="<i2")).tobytes())
    (folder / "a.vmrk").write_text(
        "Brain Vision Data Exchange Marker File, Version 1.0\n[Common Infos]\nDataFile=a.eeg\n[Marker Infos]\n"
    )
    (folder / "a.vhdr").write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\nDataFile=a.eeg\nMarkerFile=a.vmrk\n"
        "DataFormat=BINARY\nDataOrientation=MULTIPLEXED\nNumberOfChannels=3\nSamplingInterval=2000\n"
        "[Binary Infos]\nBinaryFormat=INT_16\n[Channel Infos]\nCh1=Fz,,0.5,µV\nCh2=Cz,,0.5,µV\nCh3=Pz,,0.5,µV\n",
        encoding="utf-8",
    )
    return folder / "a.vhdr"


def test_brainvision_is_opened(tmp_path):
    raw = open_recording(write_brainvision(tmp_path))
    np.testing.assert_allclose(raw.get_data(picks=[1])[0, :3], np.array([1, 4, 7]) * 0.5e-6)
    assert provenance(raw)["format"] == "BrainVision"
    assert provenance(raw)["files"] == ["a.vhdr"]


def test_a_companion_file_names_the_file_that_opens_the_recording(tmp_path):
    write_brainvision(tmp_path)
    for name in ("a.eeg", "a.vmrk"):
        with pytest.raises(InputError, match=r"open it by a\.vhdr"):
            open_recording(tmp_path / name)


@pytest.mark.parametrize("naming", ["neuromag", "bids"])
def test_all_parts_of_a_split_recording_are_read(tmp_path, naming):
    raw = make_raw(samples=4000)
    first = save(raw, tmp_path / "a_meg.fif", split_size="2MB", split_naming=naming)
    first = first if first.exists() else tmp_path / "a_split-01_meg.fif"
    back = open_recording(first)
    assert back.n_times == 4000
    assert provenance(back)["parts"] == len(list(tmp_path.iterdir())) > 2
    later = sorted(tmp_path.iterdir())[1 if naming == "bids" else 0]
    assert later != first
    with pytest.raises(InputError, match=f"later part of a split recording; open {first.name}"):
        open_recording(later)
    Path(back.filenames[-1]).unlink()
    with pytest.raises(InputError, match=rf"its part {Path(back.filenames[-1]).name} is missing"):
        open_recording(first)


def test_a_name_that_only_looks_like_a_later_part_is_opened(tmp_path):
    save(make_raw(), tmp_path / "rest_raw.fif")
    assert open_recording(save(make_raw(500), tmp_path / "rest_raw-1.fif")).n_times == 500


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.fif", b"", r"a\.fif is empty"),
        ("a.fif", b"hello" * 99, r"a\.fif is not readable as its ending promises"),
        ("a.edf", b"hello" * 99, r"a\.edf is not readable as its ending promises"),
        ("a.bdf", b"hello" * 99, r"a\.bdf is not readable as its ending promises"),
        ("a.vhdr", b"hello" * 99, r"a\.vhdr is not readable as its ending promises"),
        ("a.set", b"hello" * 99, r"a\.set is not readable as its ending promises"),
        ("a.con", b"hello" * 99, r"a\.con is not readable as its ending promises"),
        ("a.docx", b"hello" * 99, r"a\.docx has no ending of a recording.*CTF \.ds"),
        ("a", b"hello" * 99, r"a has no ending of a recording.*BrainVision"),
    ],
)
def test_what_is_no_recording_is_said_by_name(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        open_recording(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.con", bytes(4000), ""),  # AssertionError inside
        ("a.con", b"hello" * 99, ""),  # IndexError inside
        ("a.edf", b"hello" * 99, r" \(MNE says .+\)"),  # a ValueError, whose words depend on MNE's version
    ],
)
def test_only_what_was_meant_for_people_is_repeated_and_no_formats_are_listed(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        open_recording(tmp_path / name)
    start = rf"{re.escape(name)} is not readable as its ending promises{said}: "
    expected = start + r"it is no recording, or is damaged \(then copy or download it again\)\."
    assert re.fullmatch(expected, str(caught.value))


def test_missing_files_and_folders_that_are_no_recordings(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.fif does not exist"):
        open_recording(tmp_path / "nothing.fif")
    with pytest.raises(InputError, match="is a folder, but no recording"):
        open_recording(tmp_path)
    save(make_raw(), tmp_path / "a_raw.fif")
    with pytest.raises(InputError, match=r"it holds a_raw\.fif"):
        open_recording(tmp_path)


@pytest.mark.skipif(not hasattr(os, "getresuid"), reason="rights are taken away in the way of Linux")
def test_a_recording_that_may_not_be_read_is_not_called_damaged(tmp_path):
    content = save(make_raw(), tmp_path / "a_raw.fif").read_bytes()
    open_recording(tmp_path / "a_raw.fif")  # loads what is needed with the rights that are there
    with forbidden(0, **{"a_raw.fif": content}) as folder:
        for path in (folder / "a_raw.fif", folder):  # a folder of a recording is looked into
            sentence = rf"^{path.name} cannot be read: the operating system says 'Permission denied'\.$"
            with pytest.raises(InputError, match=sentence):
                open_recording(path)


def test_a_name_that_is_too_long_is_said(tmp_path):
    with pytest.raises(InputError, match=r"^a+\.fif cannot be read: .*name too long'\.$"):
        open_recording(tmp_path / f"{'a' * 300}.fif")


def test_a_4d_folder_is_opened_by_its_data_file(tmp_path):
    (tmp_path / "config").write_bytes(b"x" * 10)
    (tmp_path / "c,rfDC").write_bytes(b"x" * 10)
    with pytest.raises(InputError, match="c,rfDC is not readable as its ending promises"):  # that file, not the folder
        open_recording(tmp_path)
    (tmp_path / "e,rfhp1.0Hz,COH").write_bytes(b"x" * 10)
    with pytest.raises(InputError, match=r"2 4D/BTi data files; open one: c,rfDC, e,rfhp1\.0Hz,COH"):
        open_recording(tmp_path)


def test_a_fif_file_that_was_cut_is_refused(tmp_path):
    path = save(make_raw(4000), tmp_path / "a_raw.fif")
    path.write_bytes(path.read_bytes()[:-2_000_003])
    with pytest.raises(InputError, match=r"a_raw\.fif ends in the middle of its data"):
        open_recording(path)


def test_a_reader_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "a.snirf").write_bytes(b"hello" * 99)
    with pytest.raises(InputError, match=r"Reading a\.snirf needs a package that is not installed: pip install h5py"):
        open_recording(tmp_path / "a.snirf")


def test_maxshield_is_refused_with_advice_unless_allowed(shared):
    path = shared / "realdata" / "meg_neuromag306" / "test_move_anon_erm_raw.fif"
    with pytest.raises(InputError, match=r"MaxShield.*maxwell_filter.*--allow-maxshield"):
        open_recording(path)
    told = provenance(open_recording(path, allow_maxshield=True))
    assert told["maxshield"]
    assert "MaxShield" in told["notes"][0]


def test_ctf_is_opened_by_its_folder_or_any_file_in_it_and_refused_when_incomplete(shared, tmp_path):
    folder = writable_copy(shared / "realdata" / "meg_ctf" / "somMDYO-18av.ds", tmp_path)
    assert provenance(open_recording(folder))["files"] == ["somMDYO-18av.ds"]
    assert open_recording(folder / "somMDYO-18av.meg4").n_times == 626
    for name in ("somMDYO-18av.meg4", "somMDYO-18av.res4"):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(InputError, match=r"somMDYO-18av\.ds is not readable as its ending promises"):
            open_recording(folder)
        (folder / name).unlink()
        with pytest.raises(InputError, match=rf"^somMDYO-18av\.ds .*{name}"):
            open_recording(folder)
        (folder / name).write_bytes(whole)


def test_a_renamed_ctf_folder_is_told_how_to_be_named(shared, tmp_path):
    folder = writable_copy(shared / "realdata" / "meg_ctf" / "somMDYO-18av.ds", tmp_path).rename(tmp_path / "new.ds")
    sentence = r"^new\.ds lacks new\.res4: the files in a \.ds folder keep the folder's name\. Give a renamed folder"
    with pytest.raises(InputError, match=sentence):
        open_recording(folder)


def test_bad_channel_lists_of_ctf_are_honoured(shared):
    raw = open_recording(shared / "realdata" / "meg_ctf" / "somMDYO-18av.ds")
    assert len(provenance(raw)["bads"]) == 7


def test_opening_a_damaged_recording_prints_nothing(tmp_path, capfd):
    path = save(make_raw(4000), tmp_path / "a_raw.fif")
    whole = path.read_bytes()
    for content in (whole[:-2_000_003], b"hello" * 99):
        path.write_bytes(content)
        with pytest.raises(InputError):
            open_recording(path)
    assert capfd.readouterr() == ("", "")


def test_warnings_of_other_folders_name_none(tmp_path, monkeypatch):
    path = save(make_raw(), tmp_path / "a_raw.fif")
    read = mne.io.read_raw

    def warning_read(*args, **options):
        mne.utils.warn("The digitised head is that of /mnt/Zaphod B/erm/head.pos.")
        return read(*args, **options)

    monkeypatch.setattr(mne.io, "read_raw", warning_read)
    assert provenance(open_recording(path))["notes"] == ["The digitised head is that of head.pos."]


def test_opening_prints_nothing(tmp_path):
    path = save(make_raw(), tmp_path / "strange name.fif")  # a name that MNE warns of
    code = (
        "from megxl.signals.reading import open_recording, provenance\n"
        f"assert not provenance(open_recording({str(path)!r}))['notes']"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


# --------------------------------------------------------------------------------------------------------- choosing


def mixed_raw() -> mne.io.RawArray:
    """306 MEG, one of them marked bad and one turned into a reference sensor; one electrode, one trigger."""
    extra = mne.io.RawArray(
        np.zeros((2, 400)), mne.create_info(["EEG 001", "STI 014"], 100.0, ["eeg", "stim"]), verbose="ERROR"
    )
    raw = make_raw().add_channels([extra], force_update_info=True)
    raw.info["bads"] = ["MEG 0122"]
    raw.info["chs"][0]["kind"] = 301
    return raw


@pytest.mark.parametrize(("channels", "count"), [("auto", 305), ("meg", 305), ("grad", 203), ("mag", 102), ("eeg", 1)])
def test_sensors_are_chosen_by_kind_with_bads_and_without_references(channels, count):
    raw = mixed_raw()
    names = choose_channels(raw, channels)
    assert len(names) == count
    assert ("MEG 0122" in names) == (channels in ("auto", "meg", "grad"))
    assert names == [name for name in raw.ch_names if name in names]


def test_auto_takes_electrodes_where_there_is_no_meg():
    assert choose_channels(make_eeg()) == ["Fz", "Cz", "Pz"]


def test_axial_gradiometers_are_gradiometers(shared):
    raw = open_recording(shared / "realdata" / "meg_ctf" / "test_ctf_comp_raw.fif")
    assert len(choose_channels(raw, "grad")) == 274
    with pytest.raises(InputError, match=r"kind 'mag' is left; the recording has: .*274 grad"):
        choose_channels(raw, "mag")


def test_exclusions_must_exist_and_leave_something():
    raw = make_eeg()
    assert choose_channels(raw, exclude=["Cz"]) == ["Fz", "Pz"]
    with pytest.raises(InputError, match=r"^1 channel to exclude is not .*'Fzz'; the nearest names are 'Fz'"):
        choose_channels(raw, exclude=["Fzz"])
    with pytest.raises(InputError, match=r"^2 channels to exclude are not "):
        choose_channels(raw, exclude=["Fzz", "Czz"])
    with pytest.raises(InputError, match="left after leaving out 3; the recording has: 3 eeg"):
        choose_channels(raw, exclude=raw.ch_names)
    with pytest.raises(InputError, match="allowed: auto, meg, mag, grad, eeg"):
        choose_channels(raw, "all")


# ------------------------------------------------------------------------------------------------------- provenance


def test_provenance_names_nobody(tmp_path):
    marker, number = "Zaphod", 987654321
    raw = make_raw()
    with raw.info._unlock():
        raw.info["subject_info"] = {
            "id": number, "his_id": marker, "last_name": marker, "first_name": marker, "middle_name": marker,
            "birthday": datetime.date(1911, 1, 11), "sex": 1, "hand": 2, "weight": 98.7654, "height": 9.87654,
        }  # fmt: skip
        raw.info["experimenter"] = raw.info["description"] = raw.info["proj_name"] = marker
        raw.info["proj_id"] = number
        raw.info["device_info"] = {"type": marker, "model": marker, "serial": marker, "site": marker}
        raw.info["helium_info"] = {
            "he_level_raw": 98.7654, "helium_level": 9.87654, "orig_file_guid": marker,
            "meas_date": datetime.datetime(1911, 1, 11, tzinfo=datetime.UTC),
        }  # fmt: skip
        raw.info["hpi_results"], raw.info["utc_offset"] = [], marker
        raw.info["xplotter_layout"] = marker
        raw.info["proc_history"] = [
            {
                "experimenter": marker,
                "creator": marker,
                "date": (number, number),
                "max_info": {"sss_info": {"origin": marker}},
            }
        ]
    raw.set_meas_date(datetime.datetime(1911, 1, 11, tzinfo=datetime.UTC))
    raw.set_annotations(mne.Annotations([0.5], [1.0], [f"BAD_{marker}"], orig_time=raw.info["meas_date"]))
    told = json.dumps(provenance(raw))
    assert json.loads(told)["sss"]
    for secret in (marker, "1911", "9876", "98.76", "9.876"):
        assert secret not in told


def test_provenance_and_notes_hold_no_folder(tmp_path):
    folder = tmp_path / "Zaphod_Beeblebrox"
    folder.mkdir()
    path = save(make_eeg(("Fz", "Cz", "EOG1")), folder / "a_eeg.fif")
    raw = open_recording(path, montage=write_montage(folder / "m.csv", ["Fz", "Cz"]))
    told = json.dumps(provenance(raw))
    assert "m.csv" in told
    assert "Zaphod" not in told
    path.write_bytes(b"hello" * 99)
    with pytest.raises(
        InputError, match=r"a_eeg\.fif.* does not start with a file id tag"
    ) as caught:  # MNE names the path
        open_recording(path)
    assert "Zaphod" not in str(caught.value)


def test_provenance_of_real_recordings(shared):
    folder = shared / "realdata"
    sss = provenance(open_recording(folder / "meg_neuromag306" / "triux_bmlhus_erm_raw_sss.fif"))
    assert (sss["sss"], sss["tsss"], sss["maxshield"], sss["format"]) == (True, False, False, "FIF")
    comp = provenance(open_recording(folder / "meg_ctf" / "somMDYO-18av.ds"))
    assert (comp["ctf_compensation_grade"], comp["format"], comp["channels"]["grad"]) == (3, "CTF", 151)
    plain = provenance(open_recording(folder / "meg_neuromag306" / "test_raw.fif"))
    assert (plain["projectors"], plain["projectors_active"], plain["sss"]) == (3, 0, False)
    assert plain["duration_s"] == pytest.approx(14400 / 600.614990234375)
    assert provenance(open_recording(folder / "meg_kit" / "test.sqd"))["format"] == "KIT"
    eeglab = open_recording(folder / "eeg" / "test_raw.set")
    assert Path(eeglab.filenames[0]).suffix == ".fdt"
    assert provenance(eeglab)["files"] == ["test_raw.set"]


@pytest.mark.parametrize("dated", [False, True])
def test_bad_seconds_are_the_union_within_the_recording(dated):
    raw = mne.io.RawArray(np.zeros((1, 1000)), mne.create_info(1, 100.0, "eeg"), first_samp=500, verbose="ERROR")
    if dated:
        raw.set_meas_date(datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC))
    # 1-3 and 2-4 overlap, 8-12 runs out of the recording (10 s), one is not bad
    marks = mne.Annotations([1, 2, 8, 5], [2, 2, 4, 1], ["BAD_a", "bad b", "BAD_c", "word"])
    raw.set_annotations(marks, emit_warning=False)
    assert provenance(raw)["bad_seconds"] == pytest.approx(3 + 2)


def test_notes_travel_with_copies_but_not_into_files(tmp_path):
    path = save(make_eeg(("Fz", "EOG1")), tmp_path / "a_eeg.fif")
    raw = open_recording(path, montage="standard_1005")
    assert provenance(raw.copy())["notes"] == provenance(raw)["notes"] != []
    assert provenance(open_recording(save(raw, tmp_path / "b_eeg.fif")))["notes"] == []


# ------------------------------------------------------------------------------------------------------- neuromag306


def test_the_made_info_has_the_same_sensors_and_survives_a_file(tmp_path):
    assert SensorArray.from_info(neuromag306_info(250.0)) == neuromag306()
    raw = open_recording(save(make_raw(), tmp_path / "a_raw.fif"))
    back, table = SensorArray.from_info(raw.info), neuromag306()
    np.testing.assert_array_equal(back.kinds_C, table.kinds_C)
    np.testing.assert_allclose(back.positions_C3, table.positions_C3, atol=1e-8)
    assert len(mne.pick_types(raw.info, meg="grad")) == 204
