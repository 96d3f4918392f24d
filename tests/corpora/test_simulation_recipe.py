"""Recipes: written down and read back, lengths, random numbers for one purpose apart from those for another."""

import json
from itertools import combinations

import numpy as np
import pytest

from megxl.corpora.simulation.recipe import FORMAT, Recipe
from megxl.errors import InputError

OTHER = Recipe(subject=3, session=2, minutes=1.5, sfreq_hz=100.0, system="biosemi64", snr=0.5, highpass_hz=0.1, seed=9)


def test_a_recipe_survives_json():
    text = json.dumps(OTHER.to_json())
    assert json.loads(text)["simulated"] == FORMAT
    assert Recipe.from_json(json.loads(text)) == OTHER != Recipe()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"simulated": FORMAT + 1}, f"of version {FORMAT} .it says {FORMAT + 1}"),
        ({"simulated": None}, "it says None"),
        ({"pace": 3}, r"wrong here: \['pace'\]"),
        ({"snr": "loud"}, "snr = 'loud'; allowed: a number"),
        ({"subject": True}, "subject = True; allowed: a whole number"),
        ({"minutes": 1e9}, "minutes = 1000000000.0"),
    ],
)
def test_what_is_no_recipe_is_refused(change, said):
    with pytest.raises(InputError, match=said):
        Recipe.from_json(OTHER.to_json() | change)


def test_a_recipe_with_a_field_left_out_is_refused():
    values = OTHER.to_json()
    del values["seed"]
    with pytest.raises(InputError, match=r"wrong here: \['seed'\]"):
        Recipe.from_json(values)


def test_lengths_are_whole_samples():
    recipe = Recipe(minutes=0.1234, sfreq_hz=100.0)  # 740.4 samples
    assert recipe.n_samples == 740 and recipe.duration_s == 7.4


def test_random_numbers_are_apart_by_seed_purpose_and_person_alone():
    def draw(recipe: Recipe, *purpose) -> np.ndarray:
        return recipe.generator(*purpose).standard_normal(2000)

    # the recipe gives the seed, and nothing else of it matters here
    np.testing.assert_array_equal(draw(Recipe(seed=9), "brain", 1), draw(OTHER, "brain", 1))
    drawn = [
        draw(Recipe(seed=seed), *purpose) for seed in (0, 1) for purpose in (("brain", 1), ("brain", 2), ("noise", 1))
    ]
    for one, other in combinations(drawn, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.12
