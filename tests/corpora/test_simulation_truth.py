"""The ground truth as files. (That it rebuilds the responses: writing.)"""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from megxl.corpora.simulation.recipe import Recipe
from megxl.corpora.simulation.recording import Simulator
from megxl.corpora.simulation.response import hashed_meanings
from megxl.corpora.simulation.story import vocabulary
from megxl.corpora.simulation.truth import (
    FOLDER,
    is_simulation,
    read_meanings,
    write_facts,
    write_listener,
    write_session,
    write_words,
)

RECIPE = Recipe(minutes=0.4, sfreq_hz=100.0, snr=0.5, subject=7, session=3)


def test_meaning_vectors_survive(tmp_path):
    given = hashed_meanings(vocabulary())
    write_words(tmp_path, given)
    found = read_meanings(tmp_path / "words.npz")
    assert list(found) == list(vocabulary())
    for word, vector in given.items():
        np.testing.assert_array_equal(found[word], vector)


def test_a_listener_is_all_that_the_simulator_mixes(tmp_path):
    simulator = Simulator(RECIPE)
    write_listener(tmp_path, simulator)
    with np.load(tmp_path / "sub-07.npz") as stored:
        listener = dict(stored)
    kinds, counts = np.unique(listener["kind_N"], return_counts=True)
    assert dict(zip(kinds.tolist(), counts.tolist(), strict=True)) == {"alpha": 4, "background": 120, "language": 8}
    assert list(listener["sensor_C"]) == simulator.system.info["ch_names"]
    # the lead field is that of the dipoles that are written: unit moments, metres from the centre
    lead_CN = simulator.system.lead_field(listener["position_N3"], listener["moment_N3"])
    np.testing.assert_allclose(listener["lead_CN"], lead_CN, rtol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(listener["moment_N3"], axis=1), 1.0)
    np.testing.assert_array_equal(listener["strength_N"][listener["kind_N"] == "language"], 1.0)
    # another session is heard by the same one
    (tmp_path / "again").mkdir()
    write_listener(tmp_path / "again", Simulator(replace(RECIPE, session=4)))
    with np.load(tmp_path / "again" / "sub-07.npz") as again:
        assert all(np.array_equal(again[name], listener[name]) for name in listener)


def test_a_session_tells_what_is_heard_when(tmp_path):
    simulator = Simulator(RECIPE)
    write_session(tmp_path, simulator)
    with (tmp_path / "ses-03_words.tsv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) == len(simulator.heard) > 20
    for row, one in zip(rows, simulator.heard, strict=True):
        assert (row["word"], row["sentence"], row["chapter"]) == (one.word.text, one.word.sentence, one.word.chapter)
        assert float(row["onset_s"]) == one.onset_s
        assert float(row["duration_s"]) == pytest.approx(one.word.duration_s, abs=1e-6)


def test_the_facts_name_the_files_of_each_recording_and_what_made_it(tmp_path):
    folder = tmp_path / FOLDER
    folder.mkdir()
    write_facts(folder, "bids", {tmp_path / "a.fif": RECIPE})
    facts = json.loads((folder / "simulation.json").read_text())
    assert facts["corpus"] == "bids" and facts["entries"] == [FOLDER]
    (recording,) = facts["recordings"]
    assert (recording["listener"], recording["words"]) == ("sub-07.npz", "ses-03_words.tsv")
    assert Recipe.from_json({name: recording[name] for name in RECIPE.to_json()}) == RECIPE


def test_a_simulation_is_known_and_anything_else_is_left_alone(tmp_path):
    assert not is_simulation(tmp_path)
    folder = tmp_path / FOLDER
    folder.mkdir()
    (tmp_path / "sub-01").mkdir()
    write_facts(folder, "bids", {})
    assert is_simulation(tmp_path)
    (tmp_path / "sub-01").rmdir()
    assert is_simulation(tmp_path)  # less than was written is still nothing else
    (tmp_path / "thesis.txt").touch()
    assert not is_simulation(tmp_path)
    (tmp_path / "thesis.txt").unlink()
    for damaged in ("{", "[]", "{}"):
        (folder / "simulation.json").write_text(damaged)
        assert not is_simulation(tmp_path)
