"""The corpus of recipes, and the recording that the demo makes."""

import json

import numpy as np
import pytest

from megxl.corpora.corpus import Selection, corpus_named
from megxl.corpora.simulated import make_recording
from megxl.corpora.simulation.recording import simulated_raw
from megxl.corpora.simulation.story import vocabulary
from megxl.corpora.simulation.writing import recipe_for, write_corpus
from megxl.errors import InputError


@pytest.fixture
def root(tmp_path):
    recipe = recipe_for("recipe", minutes=0.5, sfreq_hz=100.0, snr=1.0)
    write_corpus(tmp_path / "made", "recipe", recipe, subjects=2, sessions=2)
    return tmp_path / "made"


def test_recipes_are_recordings(root):
    corpus = corpus_named("simulated")
    files = corpus.select(root)
    assert [file.id for file in files] == [f"sub-0{k}_ses-0{n}_task-story" for k in (1, 2) for n in (1, 2)]
    assert len(corpus.select(root, Selection(subjects=("sub-02",)))) == 2
    raw = corpus.read(files[1])
    assert raw.filenames[0].name == "sub-01_ses-02_task-story_recipe.json" and len(corpus.channels(raw)) == 306
    expected = simulated_raw(recipe_for("recipe", minutes=0.5, sfreq_hz=100.0, snr=1.0, session=2))
    np.testing.assert_array_equal(raw.get_data(stop=500), expected.get_data(stop=500))
    words = corpus.words(files[1]).words
    assert [word.text for word in words] == [one.word.text for one in expected.simulator.heard]
    assert [word.onset_s for word in words] == [one.onset_s for one in expected.simulator.heard]
    assert words[0].story == "The Bell at Low Water"


def test_recipes_use_the_vectors_beside_them(tmp_path):
    given = {word: np.eye(3)[len(word) % 3] for word in vocabulary()}
    recipe = recipe_for("recipe", minutes=0.5, sfreq_hz=100.0, snr=5.0)
    write_corpus(tmp_path / "made", "recipe", recipe, meanings=given)
    corpus = corpus_named("simulated")
    (file,) = corpus.select(tmp_path / "made")
    assert [path.name for path in corpus.sources(file)] == ["sub-01_ses-01_task-story_recipe.json", "words.npz"]
    np.testing.assert_array_equal(corpus.read(file).get_data(), simulated_raw(recipe, given).get_data())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nothing", "cannot be read as a recipe"),
        ("[1]", "is no recipe"),
        ('{"simulated": 99}', r"sub-01_ses-01_task-story_recipe.json: this is no recipe .*it says 99"),
        ('{"simulated": 1, "sunject": 1}', "wrong here"),
    ],
)
def test_a_damaged_recipe_is_named(root, text, said):
    file = corpus_named("simulated").select(root)[0]
    file.path.write_text(text)
    with pytest.raises(InputError, match=said):
        corpus_named("simulated").read(file)


def test_a_recipe_may_not_lack_anything(root):
    file = corpus_named("simulated").select(root)[0]
    values = json.loads(file.path.read_text())
    del values["snr"]
    file.path.write_text(json.dumps(values))
    with pytest.raises(InputError, match=r"wrong here: \['snr'\]"):
        corpus_named("simulated").words(file)


def test_the_demo_gets_a_short_recording_in_memory():
    raw = make_recording(12.0)
    assert raw.preload and raw.n_times == 3000 and raw.info["sfreq"] == 250.0 and len(raw.ch_names) == 306
    assert list(raw.annotations.description[:4]) == ["on", "the", "far", "side"] and raw.annotations.onset[0] == 2.0
    np.testing.assert_array_equal(make_recording(12.0).get_data(), raw.get_data())
    assert not np.array_equal(make_recording(12.0, seed=1).get_data(), raw.get_data())
    assert len(make_recording(3.0).annotations) == 0  # too short for a word
