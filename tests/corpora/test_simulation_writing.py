"""Simulated corpora on disk: the corpora's own classes read back what was made, and the truth beside it explains it."""

import csv
import hashlib
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import mne
import numpy as np
import pytest

from megxl.corpora.corpus import corpus_named
from megxl.corpora.simulation import writing
from megxl.corpora.simulation.recording import simulated_raw
from megxl.corpora.simulation.truth import read_meanings
from megxl.corpora.simulation.writing import recipe_for, write_corpus
from megxl.errors import InputError
from megxl.signals.reading import provenance
from megxl.signals.sensors import SensorArray

SHORT = {"minutes": 0.3, "snr": 2.0}
BIDS_WORDS = {
    "words_column": "word",
    "words_where": "trial_type:word",
    "sentence_column": "sentence",
    "story_column": "chapter",
}
# format: who reads it, with which options, tolerance of a time of a word
READERS = {
    "libribrain": ("libribrain", {}, 1e-5),
    "smn4lang": ("smn4lang", {}, 1e-9),
    "bids": ("bids", BIDS_WORDS, 1e-9),
    "recipe": ("simulated", {}, 1e-9),
}


def hashes(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("corpus", READERS)
def test_a_corpus_reads_what_was_made(tmp_path, corpus):
    name, options, tolerance_s = READERS[corpus]
    recipe = recipe_for(corpus, **SHORT)
    steps = []
    written = write_corpus(tmp_path / "made", corpus, recipe, sessions=2, advance=lambda *step: steps.append(step))
    assert steps == [(1, 2), (2, 2)]
    reader = corpus_named(name, options)
    files = reader.select(tmp_path / "made")
    assert [file.path for file in files] == written.recordings
    for file, session in zip(files, (1, 2), strict=True):
        raw, made = reader.read(file), simulated_raw(replace(recipe, session=session))
        names = reader.channels(raw)
        assert reader.licence_of(file) == "MIT"
        assert name == "simulated" or "nobody was measured" in provenance(raw)["notes"][-1]
        assert len(names) == 306 and raw.info["sfreq"] == recipe.sfreq_hz and raw.n_times == recipe.n_samples
        expected = made.get_data()
        np.testing.assert_allclose(raw.get_data(picks=names), expected, rtol=1e-6, atol=1e-20)
        array, own = SensorArray.from_info(raw.info, names), SensorArray.from_info(made.info)
        np.testing.assert_allclose(array.positions_C3, own.positions_C3, atol=1e-6)
        np.testing.assert_array_equal(array.kinds_C, own.kinds_C)
        table = reader.words(file)
        assert table.notes == ()
        heard = made.simulator.heard
        assert [word.text for word in table] == [one.word.text for one in heard]
        np.testing.assert_allclose([w.onset_s for w in table], [one.onset_s for one in heard], atol=tolerance_s)
        np.testing.assert_allclose([w.duration_s for w in table], [one.word.duration_s for one in heard], atol=1e-3)


@pytest.mark.parametrize("corpus", ["smn4lang", "bids"])
def test_long_recordings_come_in_parts(tmp_path, monkeypatch, corpus):
    save = mne.io.BaseRaw.save
    monkeypatch.setattr(
        mne.io.BaseRaw, "save", lambda *args, **options: save(*args, **{**options, "split_size": "5MB"})
    )
    name, options, _ = READERS[corpus]
    written = write_corpus(tmp_path / "made", corpus, recipe_for(corpus, **SHORT))
    reader = corpus_named(name, options)
    (file,) = reader.select(tmp_path / "made")
    assert [file.path] == written.recordings and len(reader.read(file).filenames) > 2
    assert len(reader.words(file)) == written.words


def test_bids_and_libribrain_know_sentences(tmp_path):
    heard = simulated_raw(recipe_for("recipe", **SHORT)).simulator.heard
    for corpus in ("bids", "libribrain"):
        name, options, _ = READERS[corpus]
        write_corpus(tmp_path / corpus, corpus, recipe_for(corpus, **SHORT))
        reader = corpus_named(name, options)
        words = reader.words(reader.select(tmp_path / corpus)[0]).words
        changes = [a.sentence != b.sentence for a, b in pairwise(words)]
        expected = [a.word.sentence != b.word.sentence for a, b in pairwise(heard)]
        assert changes == expected and any(changes)


def test_electrodes_are_written_as_bids(tmp_path):
    recipe = recipe_for("bids", **SHORT, system="biosemi32")
    write_corpus(tmp_path / "made", "bids", recipe)
    reader = corpus_named("bids", {"datatype": "eeg", **BIDS_WORDS})
    (file,) = reader.select(tmp_path / "made")
    raw, made = reader.read(file), simulated_raw(recipe)
    found, expected = raw.get_data(picks=reader.channels(raw))[:, : recipe.n_samples], made.get_data()
    # EDF has 16 bits
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_allclose(
        SensorArray.from_info(raw.info).normalized_positions(),
        SensorArray.from_info(made.info).normalized_positions(),
        atol=1e-3,
    )
    assert len(reader.words(file)) == len(made.simulator.heard)


@pytest.mark.parametrize("corpus", READERS)
def test_the_same_recipe_gives_the_same_files(tmp_path, corpus):
    for name in ("one", "other"):
        write_corpus(tmp_path / name, corpus, recipe_for(corpus, **SHORT), subjects=2)
    assert hashes(tmp_path / "one") == hashes(tmp_path / "other")
    write_corpus(tmp_path / "third", corpus, recipe_for(corpus, **SHORT, seed=1), subjects=2)
    assert hashes(tmp_path / "one") != hashes(tmp_path / "third")


def test_the_ground_truth_explains_the_signal(tmp_path):
    """Rebuild the responses from the files alone, by the formula in them."""
    recipe = recipe_for("recipe", minutes=0.3, sfreq_hz=100.0, snr=1.0, subject=3)
    write_corpus(tmp_path / "made", "recipe", recipe)
    truth = tmp_path / "made" / "ground_truth"
    (facts,) = json.loads((truth / "simulation.json").read_text())["recordings"]
    vectors = read_meanings(truth / "words.npz")
    listener = np.load(truth / facts["listener"])
    language = listener["kind_N"] == "language"
    courses = np.zeros((language.sum(), recipe.n_samples))
    times = np.arange(recipe.n_samples) / facts["sfreq_hz"]
    with (truth / facts["words"]).open(newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            delay = times - float(row["onset_s"])
            for j, (latency, width) in enumerate(zip(listener["latency_J"], listener["width_J"], strict=True)):
                u = (delay - latency) / width
                wave = np.where(delay >= 0, (1 - u**2) * np.exp(-(u**2) / 2), 0.0)
                size = listener["common_JM"][j] + listener["weight_JMD"][j] @ vectors[row["word"]]
                courses += listener["gain"] * size[:, None] * wave
    rebuilt = listener["lead_CN"][:, language] @ courses
    response = simulated_raw(recipe).get_data() - simulated_raw(replace(recipe, snr=0.0)).get_data()
    assert np.abs(rebuilt - response).max() < 1e-3 * np.abs(response).max()
    assert list(listener["sensor_C"][:2]) == ["MEG 0113", "MEG 0112"] and facts["subject"] == 3


def test_nothing_that_stands_there_is_replaced_without_leave(tmp_path):
    recipe = recipe_for("recipe", **SHORT)
    out = tmp_path / "made"
    write_corpus(out, "recipe", recipe)
    with pytest.raises(InputError, match="exists already"):
        write_corpus(out, "recipe", recipe)
    write_corpus(out, "recipe", replace(recipe, seed=5), overwrite=True)
    assert '"seed": 5' in (out / "sub-01_ses-01_task-story_recipe.json").read_text()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="something else in it and is never replaced"):
        write_corpus(out, "recipe", recipe, overwrite=True)
    assert (out / "mine.txt").read_text() == "mine"


def test_a_run_that_fails_leaves_nothing(tmp_path):
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_corpus(tmp_path / "made", "libribrain", recipe_for("libribrain", **SHORT), sessions=2, advance=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("corpus", "options", "more", "said"),
    [
        (
            "camcan",
            {},
            {},
            "Nothing can be simulated as 'camcan'; allowed: libribrain, smn4lang, bids, armeni, meg_masc",
        ),
        ("recipe", {"minutes": 0.05}, {}, "too short for a single word"),
        ("recipe", {}, {"subjects": 0}, "at least one of each"),
        ("smn4lang", {"system": "biosemi64"}, {}, "have the sensors of neuromag306, not of biosemi64"),
        ("bids", {"system": "biosem"}, {}, "There is no sensor system 'biosem'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(tmp_path, corpus, options, more, said):
    with pytest.raises(InputError, match=said):
        write_corpus(tmp_path / "made", corpus, recipe_for(corpus, **options), **more)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_too_small_is_told_before(tmp_path, monkeypatch):
    usage = writing.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(writing.shutil, "disk_usage", lambda path: usage._replace(free=10**6))
    with pytest.raises(InputError, match="about 22 MB are needed and 1 MB are free"):
        write_corpus(tmp_path / "made", "libribrain", recipe_for("libribrain", minutes=1.2))
    write_corpus(tmp_path / "made", "recipe", recipe_for("recipe", minutes=60.0))


def test_vectors_that_are_none_are_refused(tmp_path):
    (tmp_path / "v.npz").write_text("no")
    np.savez(tmp_path / "w.npz", words=np.array(["a"]))
    np.save(tmp_path / "x.npy", np.zeros(3))
    for name in ("v.npz", "w.npz", "x.npy", "none.npz"):
        with pytest.raises(InputError, match="cannot be read as meaning vectors"):
            read_meanings(tmp_path / name)
