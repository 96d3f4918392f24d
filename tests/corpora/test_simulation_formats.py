"""Details of the files that are written as a corpus has them. (That the corpora's own classes read them: writing.)"""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from megxl.corpora.simulation.formats import FORMATS
from megxl.corpora.simulation.recipe import Recipe
from megxl.corpora.simulation.recording import SimulatedRaw, simulated_raw
from megxl.corpora.simulation.story import LEAD_S
from megxl.corpora.simulation.writing import recipe_for


def told(corpus: str, **options) -> SimulatedRaw:
    return simulated_raw(recipe_for(corpus, minutes=0.4, **options))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_libribrain_has_the_layout_and_facts_of_the_release(tmp_path):
    h5py = pytest.importorskip("h5py")
    raw = told("libribrain", subject=1, session=2)
    path = FORMATS["libribrain"].write(tmp_path, raw)
    assert path.relative_to(tmp_path).as_posix() == (
        "serialized/Sherlock1/derivatives/serialised/"
        "sub-0_ses-2_task-Sherlock1_run-1_proc-bads+headpos+sss+notch+bp+ds_meg.h5"
    )
    with h5py.File(path) as file:
        assert file["data"].shape == (306, 6000) and file["data"].dtype == np.float32
        np.testing.assert_allclose(file["times"][:], np.arange(6000) / 250, rtol=1e-6)
        assert file.attrs["sample_frequency"] == 250 and file.attrs["highpass_cutoff"] == 0.1
        names, types = (file.attrs[name].split(", ") for name in ("channel_names", "channel_types"))
        assert names[:3] == ["MEG0113", "MEG0112", "MEG0111"] and types[:3] == ["grad", "grad", "mag"]


def test_libribrain_tells_silences_and_sentences_between_words(tmp_path):
    pytest.importorskip("h5py")
    raw = told("libribrain")
    path = FORMATS["libribrain"].write(tmp_path, raw)
    (table,) = path.parents[1].glob("events/*_events.tsv")
    rows = rows_of(table)
    words = [row for row in rows if row["kind"] == "word"]
    assert [row["segment"] for row in words] == [one.word.text for one in raw.simulator.heard]
    assert {row["kind"] for row in rows} == {"word", "silence"}
    onset, length = (np.array([float(row[name]) for row in rows]) for name in ("timemeg", "duration"))
    gaps = onset[1:] - (onset + length)[:-1]
    assert np.abs(gaps).max() <= 0.05 + 1e-5 and (np.diff(onset) > 0).all()
    # seconds since the sentence began are those since its first word
    first = {}
    for row in words:
        begin = first.setdefault(row["sentenceidx"], float(row["timemeg"]))
        assert float(row["timesentence"]) == pytest.approx(float(row["timemeg"]) - begin, abs=1e-5)
        assert float(row["timeds"]) == pytest.approx(float(row["timemeg"]) - LEAD_S, abs=1e-5)
    assert len(first) > 1


def test_smn4lang_counts_time_from_a_scan_that_began_before(tmp_path):
    scipy = pytest.importorskip("scipy.io")
    raw = told("smn4lang", session=2)
    path = FORMATS["smn4lang"].write(tmp_path, raw)
    assert path.relative_to(tmp_path).as_posix() == "sub-01/meg/sub-01_task-RDR_run-2_meg.fif"
    beg, end = rows_of(path.with_name("sub-01_task-RDR_run-2_events.tsv"))
    assert (beg["trial_type"], float(beg["onset"]), int(beg["sample"])) == ("Beg", LEAD_S, 1000 * LEAD_S)
    last = raw.simulator.heard[-1]
    assert float(end["onset"]) == pytest.approx(last.onset_s + last.word.duration_s, abs=1e-3)
    (mat,) = (tmp_path / "derivatives/annotations/time_align/word-level").iterdir()
    table = scipy.loadmat(mat)
    assert mat.name == "story_2_word_time.mat" and b"made by megxl simulate" in mat.read_bytes()[:116]
    starts = table["start"].ravel()
    expected = [one.onset_s - LEAD_S + 10.65 for one in raw.simulator.heard]  # 10.65 s: as in the release
    np.testing.assert_allclose(starts, expected, rtol=1e-12)
    np.testing.assert_allclose(table["end"].ravel() - starts, [one.word.duration_s for one in raw.simulator.heard])


def test_bids_tells_what_its_columns_mean_and_whose_it_is(tmp_path):
    pytest.importorskip("mne_bids")
    path = FORMATS["bids"].write(tmp_path, told("bids", sfreq_hz=250.0, subject=2))
    assert path.name == "sub-02_ses-01_task-story_meg.fif"
    table, meaning = (path.with_name(path.name.replace("_meg.fif", f"_events.{kind}")) for kind in ("tsv", "json"))
    assert set(json.loads(meaning.read_text())) == set(rows_of(table)[0]) - {"onset", "duration"}
    description = json.loads((tmp_path / "dataset_description.json").read_text())
    assert description["License"] == "MIT" and (tmp_path / ".bidsignore").read_text() == "ground_truth/\n"
    assert sorted(entry.name for entry in tmp_path.iterdir() if entry.name.startswith("tmp")) == []


def test_the_size_that_is_announced_is_about_that_on_disk(tmp_path):
    raw = told("smn4lang")
    path = FORMATS["smn4lang"].write(tmp_path, raw)
    announced = FORMATS["smn4lang"].bytes_for(306, raw.n_times)
    assert announced == pytest.approx(path.stat().st_size, rel=0.05)
    assert FORMATS["recipe"].bytes_for(306, raw.n_times) == 0


def test_a_recipe_is_written_in_words_a_person_reads(tmp_path):
    raw = told("recipe", seed=4)
    path = FORMATS["recipe"].write(tmp_path, raw)
    assert Recipe.from_json(json.loads(path.read_text())) == raw.simulator.recipe and '\n "seed": 4' in path.read_text()
