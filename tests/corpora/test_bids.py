"""Any BIDS data set: its recordings, its words by a rule, its channels and electrodes."""

import json
import warnings

import mne
import numpy as np
import pytest

from megxl.corpora.bids import BIDS
from megxl.corpora.bids_sidecars import sidecar
from megxl.corpora.corpus import Selection, corpus_named
from megxl.errors import InputError
from megxl.signals.sensors import SensorArray
from tests.corpora.making import touch, write_table

HEADER = ("onset", "duration", "trial_type", "value", "sentence", "speaker")
ROWS = [
    (0.5, 0.25, "word/noun", "Null", 1, "a"),
    (0.5, 0.25, "phoneme", "n", 1, "a"),
    (1.0, "n/a", "word/verb", "NA", 1, "n/a"),
    (2.0, 0.5, "word/noun", "sp", "n/a", "b"),
    (3.0, 0.5, "noun", "cat", "n/a", "b"),
]


def one_recording(root, table=True):
    touch(root, "sub-1/meg/sub-1_task-a_meg.fif")
    if table:
        write_table(root / "sub-1/meg/sub-1_task-a_events.tsv", HEADER, ROWS)
    return BIDS().recordings(root)[0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ds000117", [f"sub-01_ses-meg_task-facerecognition_run-0{run}" for run in range(1, 7)]),
        ("ds000246", ["sub-0001_task-AEF_run-01", "sub-0001_task-AEF_run-02"]),
        ("ds000247", ["sub-0002_ses-0001_task-rest_run-01"]),
        ("ds000248", ["sub-01_task-audiovisual_run-01"]),
    ],
)
def test_recordings_of_public_data_sets(shared, name, expected):
    root = shared / "realdata" / "bids_layouts" / name
    files = corpus_named("bids", {"dataset": name}).select(root)
    assert [file.key for file in files] == [f"{name}/{each}" for each in expected]
    assert all("derivatives" not in file.path.parts and file.path.exists() for file in files)
    assert BIDS().licence_of(files[0]) == "CC0"


def test_meg_and_eeg_with_and_without_sessions_split_files_and_calibrations(tmp_path):
    touch(
        tmp_path,
        "sub-1/ses-1/meg/sub-1_ses-1_task-a_split-01_meg.fif",
        "sub-1/ses-1/meg/sub-1_ses-1_task-a_split-02_meg.fif",
        "sub-1/ses-1/meg/sub-1_ses-1_acq-crosstalk_meg.fif",
        "sub-2/meg/sub-2_task-a_run-10_meg.ds",
        "sub-2/meg/sub-2_task-a_run-9_meg.con",
        "sub-3/eeg/sub-3_task-a_eeg.vhdr",
        "sub-3/eeg/sub-3_task-a_eeg.vmrk",
        "sub-3/eeg/sub-3_task-a_eeg.eeg",
        "sub-3/eeg/sub-3_task-a_eeg.json",
        "sub-3/eeg/sub-3_task-b_eeg.set",
        "sub-3/eeg/sub-3_task-b_eeg.fdt",
        "sub-emptyroom/ses-20200101/meg/sub-emptyroom_ses-20200101_task-noise_meg.fif",
        "derivatives/x/sub-1/ses-1/meg/sub-1_ses-1_task-a_proc-sss_meg.fif",
    )
    assert [file.path.name for file in BIDS().select(tmp_path)] == [
        "sub-1_ses-1_task-a_split-01_meg.fif",
        "sub-2_task-a_run-9_meg.con",
        "sub-2_task-a_run-10_meg.ds",
        "sub-3_task-a_eeg.vhdr",
        "sub-3_task-b_eeg.set",
    ]
    assert [file.id for file in BIDS(datatype="eeg").select(tmp_path)] == ["sub-3_task-a", "sub-3_task-b"]
    first = BIDS().recordings(tmp_path)[0]
    assert [path.name for path in BIDS().sources(first)] == [
        f"sub-1_ses-1_task-a_split-0{part}_meg.fif" for part in (1, 2)
    ]


def test_versions_of_a_recording_are_refused_until_one_is_chosen(tmp_path):
    touch(tmp_path, *(f"sub-1/meg/sub-1_task-a_{version}_meg.fif" for version in ("acq-raw", "acq-sss", "proc-tsss")))
    with pytest.raises(InputError, match=r"two versions of sub-1_task-a: choose one by acquisition"):
        BIDS().recordings(tmp_path)
    (file,) = BIDS(acquisition="sss").recordings(tmp_path)
    assert file.path.name == "sub-1_task-a_acq-sss_meg.fif"
    (file,) = BIDS(processing="tsss").recordings(tmp_path)
    assert file.path.name == "sub-1_task-a_proc-tsss_meg.fif"


def test_two_data_sets_do_not_meet_in_the_store(tmp_path):
    file = one_recording(tmp_path)
    assert file.key == "bids/sub-1_task-a"
    corpus = corpus_named("bids", {"dataset": "ds1"})
    assert (corpus.name, corpus.recordings(tmp_path)[0].key) == ("ds1", "ds1/sub-1_task-a")
    with pytest.raises(InputError, match="dataset = 'a/b'"):
        BIDS(dataset="a/b")


def test_words_are_the_rows_that_the_rule_chooses(tmp_path):
    corpus = BIDS(
        words_column="value", words_where="trial_type:word/*,noun", sentence_column="sentence", label_columns="speaker"
    )
    table = corpus.words(one_recording(tmp_path))
    assert [word.to_row() for word in table] == [
        {"text": "Null", "onset_s": 0.5, "duration_s": 0.25, "sentence": "1", "labels": {"speaker": "a"}},
        {"text": "NA", "onset_s": 1.0, "sentence": "1"},
        {"text": "cat", "onset_s": 3.0, "duration_s": 0.5, "labels": {"speaker": "b"}},
    ]
    assert [note.partition(": ")[0] for note in table.notes] == ["1 of 4 rows of words left out, silence (sp)"]


def test_a_rule_that_fits_no_row_is_told_with_the_values_there_are(tmp_path):
    file = one_recording(tmp_path)
    (*_, note) = BIDS(words_column="value", words_where="trial_type:Word*").words(file).notes
    assert note == (
        "No row fits words_where: sub-1_task-a_events.tsv, trial_type has 'word/noun' (2), 'phoneme' (1), "
        "'word/verb' (1), 'noun' (1)."
    )
    # a rule that fits silences alone is not wrong
    notes = BIDS(words_column="value", words_where="trial_type:phoneme", silences="n").words(file).notes
    assert notes == ("1 of 1 rows of words left out, silence (n): sub-1_task-a_events.tsv.",)


def test_a_rule_as_text_and_as_a_mapping_choose_the_same():
    assert BIDS(words_column="v", words_where="t:a,b") == BIDS(words_column="v", words_where={"t": ["a", "b"]})
    assert BIDS(words_column="v", words_where={"t": "a"}).words_where == {"t": ("a",)}


@pytest.mark.parametrize(
    "options",
    [
        {"words_column": "text"},
        {"words_column": "value", "words_where": {"type": "word"}},
        {"words_column": "value", "onset_column": "start"},
        {"words_column": "value", "sentence_column": "phrase"},
        {"words_column": "value", "label_columns": ["voice"]},
    ],
)
def test_an_unknown_column_is_refused_with_those_that_are_there(tmp_path, options):
    with pytest.raises(
        InputError, match=r"has no column .*; its columns are: onset, duration, trial_type, value.*\. Tasks .* apart"
    ):
        BIDS(**options).words(one_recording(tmp_path))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"datatype": "ieeg"}, "allowed: meg, eeg"),
        ({"words_where": {"a": "b"}}, "words_column must say"),
        ({"words_column": "a", "words_where": "word"}, "NAME:VALUE"),
    ],
)
def test_impossible_options_are_refused(options, said):
    with pytest.raises(InputError, match=said):
        BIDS(**options)


def test_without_a_rule_or_a_table_there_is_a_note(tmp_path):
    file = one_recording(tmp_path, table=False)
    assert "words_column" in BIDS().words(file).notes[0]
    assert "no events.tsv" in BIDS(words_column="value").words(file).notes[0]


def test_a_sidecar_is_inherited_from_the_nearest_level_that_fits(tmp_path):
    names = {
        "sub-1/ses-1/meg/sub-1_ses-1_task-a_run-1_meg.fif": "sub-1/ses-1/meg/sub-1_ses-1_task-a_run-1_events.tsv",
        "sub-1/ses-1/meg/sub-1_ses-1_task-a_run-2_meg.fif": "sub-1/ses-1/sub-1_ses-1_task-a_events.tsv",
        "sub-1/ses-2/meg/sub-1_ses-2_task-a_run-2_meg.fif": "task-a_events.tsv",
        "sub-1/ses-2/meg/sub-1_ses-2_task-b_run-2_meg.fif": None,
    }
    touch(tmp_path, *names, *filter(None, names.values()), "sub-1/ses-1/sub-1_ses-1_task-a_acq-x_events.tsv")
    for file in BIDS().recordings(tmp_path):
        expected = names[file.path.relative_to(tmp_path).as_posix()]
        assert sidecar(file, "events.tsv") == (expected and tmp_path / expected)


def test_on_one_level_the_sidecar_with_most_entities_holds(tmp_path):
    stem = "sub-1/meg/sub-1"
    names = [f"{stem}_events.tsv", f"{stem}_task-a_run-1_events.tsv", f"{stem}_task-a_events.tsv"]
    touch(tmp_path, f"{stem}_task-a_run-1_meg.fif", f"{stem}_task-a_run-2_meg.fif", *names)
    found = [sidecar(file, "events.tsv") for file in BIDS().recordings(tmp_path)]
    assert found == [tmp_path / names[1], tmp_path / names[2]]


def write_bids(raw, path, bad=None, **options):
    """Write a recording with mne-bids; the bad channel is marked in channels.tsv alone."""
    import mne_bids

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mne_bids.write_raw_bids(raw, path, overwrite=True, verbose="ERROR", **options)
        if bad is not None:
            mne_bids.mark_channels(path, ch_names=[bad], status="bad", verbose="ERROR")


def test_meg_written_by_mne_bids_is_read_back(shared, tmp_path):
    import mne_bids

    source = mne.io.read_raw_fif(shared / "realdata" / "meg_neuromag306" / "test_raw.fif", verbose="ERROR")
    source.crop(2, 5).pick(["meg", "eog", "stim"]).save(tmp_path / "source_raw.fif", verbose="ERROR")
    source = mne.io.read_raw_fif(tmp_path / "source_raw.fif", verbose="ERROR")
    path = mne_bids.BIDSPath(subject="01", task="story", run="01", datatype="meg", root=tmp_path / "bids")
    events = np.array([[source.first_samp + 50, 0, 1], [source.first_samp + 150, 0, 2]])
    write_bids(source, path, bad="MEG 2443", events=events, event_id={"word": 1, "tone": 2})

    corpus = BIDS(words_column="trial_type", words_where={"trial_type": "word"})
    (file,) = corpus.select(tmp_path / "bids", Selection(tasks=("story",)))
    raw = corpus.read(file)
    names = corpus.channels(raw)
    assert len(names) == 306
    assert "MEG 2443" in raw.info["bads"]
    np.testing.assert_array_equal(raw.get_data(picks=names[:9]), source.get_data(picks=names[:9]))
    (word,) = corpus.words(file)
    assert word.onset_s == pytest.approx(50 / raw.info["sfreq"], abs=1e-6)
    assert raw.info["temp"]["megxl_notes"] == []


def test_eeg_written_by_mne_bids_has_its_positions_and_kinds(shared, tmp_path):
    import mne_bids

    source = mne.io.read_raw_eeglab(shared / "realdata" / "eeg" / "test_raw.set", verbose="ERROR")
    names = source.ch_names[1:]
    directions_C3 = np.random.default_rng(0).normal(size=(len(source.ch_names), 3))
    places_C3 = 0.09 * directions_C3 / np.linalg.norm(directions_C3, axis=1, keepdims=True)
    landmarks = {"nasion": [0, 0.1, 0], "lpa": [-0.08, 0, 0], "rpa": [0.08, 0, 0]}
    places = dict(zip(source.ch_names, places_C3, strict=True))
    source.set_montage(mne.channels.make_dig_montage(places, **landmarks, coord_frame="head"), verbose="ERROR")
    source.set_channel_types({source.ch_names[0]: "eog"}, verbose="ERROR")
    path = mne_bids.BIDSPath(subject="01", task="rest", datatype="eeg", root=tmp_path)
    write_bids(source, path, bad=names[4])

    (file,) = BIDS().select(tmp_path)
    raw = BIDS().read(file)
    assert BIDS().channels(raw) == names
    assert raw.info["bads"] == [names[4]]
    np.testing.assert_array_equal(raw.get_data(stop=500), source.get_data(stop=500))
    positions_C3 = SensorArray.from_info(raw.info, names).positions_C3
    np.testing.assert_allclose(positions_C3, places_C3[1:], atol=1e-6)
    endings = ["eeg.set", "eeg.fdt", "events.tsv", "channels.tsv", "electrodes.tsv", "coordsystem.json"]
    assert [source.name.rpartition("_")[2] for source in BIDS().sources(file)] == endings


PLACES_MM = {"Fz": (0.0, 80.0, 40.0), "Cz": (0.0, 0.0, 110.0), "Pz": (0.0, -80.0, 50.0)}


def eeg_with_positions(root, unit="mm", places=PLACES_MM):
    """Write an EDF file, which knows neither kinds nor positions, with tables that do."""
    folder = root / "sub-1" / "eeg"
    folder.mkdir(parents=True)
    raw = mne.io.RawArray(np.zeros((4, 300)), mne.create_info([*PLACES_MM, "E1"], 100.0, "eeg"), verbose="ERROR")
    mne.export.export_raw(folder / "sub-1_task-a_eeg.edf", raw, physical_range=(-1e-3, 1e-3), verbose="ERROR")
    rows = [(name, *place) for name, place in places.items()]
    write_table(folder / "sub-1_space-CapTrak_electrodes.tsv", ("name", "x", "y", "z"), rows)
    system = {"EEGCoordinateSystem": "CapTrak", "EEGCoordinateUnits": unit}
    (folder / "sub-1_space-CapTrak_coordsystem.json").write_text(json.dumps(system))
    rows = [("Fz", "EEG", "good"), ("Cz", "EEG", "bad"), ("Pz", "EEG", "n/a"), ("E1", "EOG", "good"), ("Oz", "EEG", "")]
    write_table(folder / "sub-1_task-a_channels.tsv", ("name", "type", "status"), rows)
    (file,) = BIDS().select(root)
    return file


@pytest.mark.parametrize(("unit", "scale"), [("mm", 1e-3), ("cm", 1e-2)])
def test_kinds_bads_and_positions_are_those_of_the_tables(tmp_path, unit, scale):
    raw = BIDS().read(eeg_with_positions(tmp_path, unit))
    assert BIDS().channels(raw) == ["Fz", "Cz", "Pz"]
    assert raw.info["bads"] == ["Cz"]
    positions_C3 = SensorArray.from_info(raw.info, ["Fz", "Cz", "Pz"]).positions_C3
    np.testing.assert_allclose(positions_C3, np.array(list(PLACES_MM.values())) * scale, atol=1e-9)
    assert "1 of 5 channels are not in the recording: sub-1_task-a_channels.tsv." in raw.info["temp"]["megxl_notes"]


def test_electrodes_without_a_position_are_told(tmp_path):
    raw = BIDS().read(eeg_with_positions(tmp_path, places={"Fz": (0, 80, 40), "Cz": ("n/a", "n/a", "n/a")}))
    assert "2 of 3 electrodes have no position" in " ".join(raw.info["temp"]["megxl_notes"])


def test_positions_in_pixels_are_refused(tmp_path):
    with pytest.raises(InputError, match="'pixels'; allowed: m, cm, mm"):
        BIDS().read(eeg_with_positions(tmp_path, "pixels"))


def without_positions(root, names=("Fz", "Cz", "Pz", "X1")):
    folder = root / "sub-1" / "eeg"
    folder.mkdir(parents=True)
    data = np.random.default_rng(0).normal(size=(len(names), 300)) * 1e-5
    raw = mne.io.RawArray(data, mne.create_info(list(names), 100.0, "eeg"), verbose="ERROR")
    mne.export.export_raw(folder / "sub-1_task-a_eeg.edf", raw, physical_range=(-1e-3, 1e-3), verbose="ERROR")
    (file,) = BIDS().select(root)
    return file


def test_a_montage_places_electrodes_that_no_table_places_and_channels_can_be_left_out(tmp_path):
    file = without_positions(tmp_path)
    corpus = corpus_named("bids", {"montage": "standard_1005", "exclude": "X1,Y9"})
    raw = corpus.read(file)
    assert corpus.channels(raw) == ["Fz", "Cz", "Pz"]
    positions_C3 = SensorArray.from_info(raw.info, corpus.channels(raw)).positions_C3
    # Fz in front of Cz in front of Pz, Cz on top
    assert np.argsort(positions_C3[:, 1]).tolist() == [2, 1, 0] and positions_C3[:, 2].argmax() == 1
    notes = raw.info["temp"]["megxl_notes"]
    assert "Positions of electrodes are those of a template, not measured: 3 from standard_1005." in notes


def test_positions_of_the_data_set_win_over_a_montage(tmp_path):
    file = eeg_with_positions(tmp_path)
    plain, corpus = BIDS(), corpus_named("bids", {"montage": "standard_1005"})
    measured, asked = (SensorArray.from_info(one.read(file).info, ["Fz", "Cz"]) for one in (plain, corpus))
    np.testing.assert_array_equal(measured.positions_C3, asked.positions_C3)
    assert any("standard_1005 was not used" in note for note in corpus.read(file).info["temp"]["megxl_notes"])


def test_sensors_of_both_kinds_can_be_asked_for(shared):
    raw = mne.io.read_raw(shared / "realdata" / "meg_neuromag306" / "test_raw.fif", verbose="ERROR")
    assert len(BIDS(sensors="meg+eeg").channels(raw)) == 366
    assert len(BIDS().channels(raw)) == 306
    assert len(BIDS(sensors="eeg", exclude=("EEG 001",)).channels(raw)) == 59
    with pytest.raises(InputError, match=r"sensors = 'opm'; allowed: auto, meg, mag, grad, eeg, meg\+eeg"):
        BIDS(sensors="opm")
