"""CTF folders and KIT files with a template's header: what MNE and the corpora read of them is what was simulated."""

import tracemalloc
from dataclasses import dataclass
from pathlib import Path

import mne
import numpy as np
import pytest

from megxl.corpora.corpus import corpus_named
from megxl.corpora.simulation import native_ctf
from megxl.corpora.simulation.formats import FORMATS
from megxl.corpora.simulation.recording import SimulatedRaw
from megxl.corpora.simulation.template import template_system
from megxl.corpora.simulation.writing import recipe_for, write_corpus
from megxl.errors import InputError
from megxl.signals.reading import provenance

TEMPLATES = {
    "armeni": "meg_ctf/testdata_ctf_short_discontinuous.ds",
    "meg_masc": "meg_kit/test_old_5s_kit157.sqd",
}
LATE_SECTIONS = "meg_kit/Example_RICOH160-1_10020-export_anonymyze.con"  # its digitisation lies behind the samples


@dataclass
class Made:
    """A recording as it was simulated and as it was written."""

    corpus: str
    template: Path
    root: Path
    path: Path
    raw: SimulatedRaw


def simulate(corpus: str, template: Path, **options) -> SimulatedRaw:
    recipe = recipe_for(corpus, template=template, **{"minutes": 0.3, "snr": 2.0, **options})
    return SimulatedRaw(recipe, system=template_system(template, "CTF" if corpus == "armeni" else "KIT"))


def make(root: Path, corpus: str, template: Path, **options) -> Made:
    raw = simulate(corpus, template, **options)
    return Made(corpus, template, root, FORMATS[corpus].write(root, raw), raw)


@pytest.fixture(scope="module", params=TEMPLATES)
def made(request, shared, tmp_path_factory) -> Made:
    root = tmp_path_factory.mktemp(request.param)
    return make(root, request.param, shared / "realdata" / TEMPLATES[request.param], session=2, subject=3)


def steps_C(raw: mne.io.BaseRaw) -> np.ndarray:
    """What one more in the file means in each sensor, by MNE's own reading of the header."""
    picks = mne.pick_types(raw.info, meg=True, ref_meg=False)
    cals = np.array([raw.info["chs"][pick]["cal"] * raw.info["chs"][pick]["range"] for pick in picks])
    factors = raw._raw_extras[0].get("conv_factor")
    return np.abs(cals if factors is None else cals * factors[picks, 0])


def test_a_recording_lies_where_the_corpus_has_it(made):
    place = {
        "armeni": "sub-003/ses-002/meg/sub-003_ses-002_task-compr_meg.ds",
        "meg_masc": "sub-03/ses-1/meg/sub-03_ses-1_task-0_meg.con",
    }[made.corpus]
    assert made.path.relative_to(made.root).as_posix() == place
    (file,) = corpus_named(made.corpus).select(made.root)
    assert file.path == made.path


def test_mne_reads_back_what_was_simulated_to_half_a_step(made):
    raw = mne.io.read_raw(made.path, verbose="ERROR")
    assert raw.n_times == made.raw.n_times and raw.info["sfreq"] == made.raw.info["sfreq"]
    found, expected = raw.get_data(picks=made.raw.ch_names), made.raw.get_data()
    step_C1 = steps_C(raw)[:, None]
    assert np.abs(found - expected).max() > 0 and (np.abs(found - expected) <= 0.5001 * step_C1).all()
    assert (np.median(np.abs(expected), axis=1) > 5 * step_C1[:, 0]).all()  # so the steps do not matter


def test_channels_are_those_of_the_template_and_all_others_are_silent(made):
    raw, template = (mne.io.read_raw(path, verbose="ERROR") for path in (made.path, made.template))
    assert raw.ch_names == template.ch_names and raw.compensation_grade == template.compensation_grade
    for own, theirs in zip(raw.info["chs"], template.info["chs"], strict=True):
        assert (own["coil_type"], own["kind"]) == (theirs["coil_type"], theirs["kind"])
        np.testing.assert_array_equal(own["loc"], theirs["loc"])
    assert len(raw.info["comps"]) == len(template.info["comps"])
    picks = mne.pick_types(raw.info, meg=False, ref_meg=True, eeg=True, misc=True)
    rest = [name for name in (raw.ch_names[pick] for pick in picks) if name != "SCLK01-177"]
    assert len(rest) > 30 and not raw.get_data(picks=rest).any()


def test_the_clock_of_ctf_runs(shared, tmp_path):
    made = make(tmp_path, "armeni", shared / "realdata" / TEMPLATES["armeni"])
    raw = mne.io.read_raw(made.path, verbose="ERROR")
    np.testing.assert_allclose(np.diff(raw.get_data(picks=["SCLK01-177"])[0]), 1 / 1200, atol=1e-6)
    # where it stops, the trial is filled up: the file has whole trials of ten seconds
    whole = mne.io.read_raw_ctf(made.path, system_clock="ignore", verbose="ERROR")
    assert (raw.n_times, whole.n_times) == (21_600, 24_000) and not whole.get_data(start=21_600).any()


def test_the_corpus_reads_the_words(made):
    reader = corpus_named(made.corpus)
    (file,) = reader.select(made.root)
    table, heard = reader.words(file), made.raw.simulator.heard
    assert reader.channels(reader.read(file)) == made.raw.ch_names
    assert [word.text for word in table] == [one.word.text for one in heard]
    np.testing.assert_allclose([word.onset_s for word in table], [one.onset_s for one in heard], atol=1e-9)
    np.testing.assert_allclose([word.duration_s for word in table], [one.word.duration_s for one in heard], atol=1e-4)
    if made.corpus == "armeni":  # what is left out is silence
        assert len(table.notes) == 1 and "silence (sp)" in table.notes[0]
        assert {word.story for word in table} == {"ses-002/01"}
    else:
        assert table.notes == () and {word.labels["condition"] for word in table} == {"sentence"}
        assert {word.story for word in table} == {"0-the_bell_at_low_water"}
        sentences = [one.word.sentence for one in heard]
        numbers = [word.sentence for word in table]
        assert len(set(numbers)) == len(set(sentences)) > 1
        assert len(set(zip(numbers, sentences, strict=True))) == len(set(numbers))


def test_samples_of_the_table_are_those_of_the_file(made):
    rows = [line.split("\t") for line in (made.path.parent / _table_name(made.path)).read_text().splitlines()]
    onset, sample = rows[0].index("onset"), rows[0].index("sample")
    for row in rows[1:]:
        assert abs(int(row[sample]) - float(row[onset]) * made.raw.info["sfreq"]) <= 0.5 + 1e-6


def test_answers_follow_the_words_of_the_table(made):
    reader = corpus_named(made.corpus)
    (file,) = reader.select(made.root)
    raw, words = reader.read(file), list(reader.words(file))
    sfreq_hz = raw.info["sfreq"]
    signal_CT = raw.get_data(picks=reader.channels(raw))
    answer_CT = made.raw.simulator.response(0, raw.n_times)

    def mean_after(data_CT: np.ndarray, later_s: float) -> np.ndarray:
        begins = [round((word.onset_s + later_s) * sfreq_hz) for word in words]
        return np.mean([data_CT[:, begin : begin + round(0.4 * sfreq_hz)] for begin in begins], axis=0).ravel()

    expected = mean_after(answer_CT, 0.0)
    assert np.corrcoef(mean_after(signal_CT, 0.0), expected)[0, 1] > 0.8
    assert np.corrcoef(mean_after(signal_CT, 0.2), expected)[0, 1] < 0.5


def test_nothing_of_the_person_is_copied(made):
    raw = mne.io.read_raw(made.path, verbose="ERROR")
    assert raw.info["meas_date"].year == 1970 and not raw.info["bads"] and len(raw.annotations) == 0
    if made.corpus == "armeni":
        theirs, own = (path / f"{path.stem}.res4" for path in (made.template, made.path))
        assert b"Anonymized4977" in theirs.read_bytes() and b"Anonymized4977" not in own.read_bytes()
        assert b"29-Apr-2013" in theirs.read_bytes() and b"29-Apr-2013" not in own.read_bytes()
        assert {path.suffix for path in made.path.iterdir()} == {".res4", ".hc", ".meg4"}
    else:
        person = slice(1760, 1760 + 412)  # by the table of contents of this file
        assert any(made.template.read_bytes()[person]) and not any(made.path.read_bytes()[person])
        assert made.template.read_bytes()[60_000:61_000] not in made.path.read_bytes()  # of its samples


def test_sections_behind_the_samples_of_kit_are_kept(shared, tmp_path):
    made = make(tmp_path, "meg_masc", shared / "realdata" / LATE_SECTIONS, minutes=0.1)
    raw, template = (mne.io.read_raw_kit(path, verbose="ERROR") for path in (made.path, made.template))
    header, theirs = raw._raw_extras[0], template._raw_extras[0]
    for name in ("hsp", "elp", "mrk"):
        assert len(theirs[name]) > 0
        np.testing.assert_array_equal(header[name], theirs[name])
    found, expected = raw.get_data(picks=made.raw.ch_names), made.raw.get_data()
    assert (np.abs(found - expected) <= 0.5001 * steps_C(raw)[:, None] + 1e-6 * np.abs(expected)).all()


def test_a_long_ctf_recording_goes_on_in_more_files(shared, tmp_path, monkeypatch):
    monkeypatch.setattr(native_ctf, "PART_BYTES", 20_000_000)  # a trial has 17 MB
    made = make(tmp_path, "armeni", shared / "realdata" / TEMPLATES["armeni"], minutes=0.4)
    names = sorted(path.name for path in made.path.glob("*meg4"))
    assert names == [f"{made.path.stem}.{part}meg4" for part in ("1_", "2_", "")]
    reader = corpus_named("armeni")
    raw = reader.read(reader.select(tmp_path)[0])
    assert raw.n_times == made.raw.n_times
    found, expected = raw.get_data(picks=made.raw.ch_names), made.raw.get_data()
    assert (np.abs(found - expected) <= 0.5001 * steps_C(raw)[:, None]).all()


@pytest.mark.parametrize("corpus", TEMPLATES)
def test_memory_does_not_grow_with_the_recording(shared, tmp_path, monkeypatch, corpus):
    monkeypatch.setattr("megxl.corpora.simulation.recording.BLOCK_S", 2.0)

    def peak(minutes: float) -> int:
        raw = simulate(corpus, shared / "realdata" / TEMPLATES[corpus], minutes=minutes)
        tracemalloc.start()
        FORMATS[corpus].write(tmp_path / str(minutes), raw)
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak_bytes

    long = peak(0.3)  # first, so that what is kept between calls counts against it
    assert long < 1.1 * peak(0.1)


@pytest.mark.parametrize("corpus", TEMPLATES)
def test_a_corpus_is_written_whole_and_never_over_another(shared, tmp_path, corpus):
    template = shared / "realdata" / TEMPLATES[corpus]
    recipe = recipe_for(corpus, template=template, minutes=0.1)
    written = write_corpus(tmp_path / "made", corpus, recipe, template=template, sessions=3)
    files = corpus_named(corpus).select(tmp_path / "made")
    assert sorted(file.path for file in files) == sorted(written.recordings) and len(files) == 3
    sessions = {"armeni": ["ses-001", "ses-002", "ses-003"], "meg_masc": ["ses-0", "ses-1", "ses-0"]}[corpus]
    tasks = {"armeni": ["compr"] * 3, "meg_masc": ["0", "0", "1"]}[corpus]
    by_path = {file.path: file for file in files}
    reader = corpus_named(corpus)
    assert {reader.licence_of(file) for file in files} == {"MIT"}
    assert all("nobody was measured" in provenance(reader.read(file))["notes"][-1] for file in files)
    assert [by_path[path].session for path in written.recordings] == sessions
    assert [by_path[path].task for path in written.recordings] == tasks
    announced = FORMATS[corpus].bytes_for(written.sensors, 3 * recipe.n_samples)
    if corpus == "meg_masc":  # in CTF the last trial of so short a recording is filled up
        assert announced == pytest.approx(written.bytes, rel=0.1)
    with pytest.raises(InputError, match="exists already"):
        write_corpus(tmp_path / "made", corpus, recipe, template=template)


@pytest.mark.parametrize(
    ("corpus", "options", "more", "said"),
    [
        ("armeni", {"system": "biosemi64"}, {}, "have the sensors of testdata_ctf_.*.ds, not of biosemi64"),
        ("armeni", {"sfreq_hz": 300.0}, {}, "Recordings of armeni are at 1200 Hz, not at 300"),
        ("meg_masc", {}, {"sessions": 9}, "9 sessions: meg_masc has place for 8 recordings of a listener"),
        ("meg_masc", {"snr": 1e6}, {}, "snr = 1e[+]06 makes a signal .* larger than the 16-bit numbers"),
        ("meg_masc", {"minutes": 200.0}, {}, "200 minutes are too long for a KIT file of 192 channels"),
    ],
)
def test_what_cannot_be_leaves_nothing(shared, tmp_path, corpus, options, more, said):
    template = shared / "realdata" / TEMPLATES[corpus]
    recipe = recipe_for(corpus, template=template, **{"minutes": 0.2, **options})
    with pytest.raises(InputError, match=said):
        write_corpus(tmp_path / "made", corpus, recipe, template=template, **more)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("corpus", "needed"), [("armeni", r"a CTF recording \(a folder"), ("meg_masc", "a KIT recording")]
)
def test_without_a_template_a_sentence_says_what_is_needed(corpus, needed):
    with pytest.raises(InputError, match=f"of {corpus} cannot be written from nothing: give {needed}.* --template"):
        recipe_for(corpus)


def test_a_template_is_no_use_elsewhere():
    with pytest.raises(InputError, match=r"libribrain are written without a template; leave a.ds out"):
        recipe_for("libribrain", template=Path("some/a.ds"))


def _table_name(path: Path) -> str:
    return f"{path.stem.removesuffix('_meg')}_events.tsv"
