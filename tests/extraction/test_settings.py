"""Settings of an extraction: whole tokens, layers and choices that exist, refusals that help."""

import pytest

from megxl.errors import InputError
from megxl.extraction import ExtractionSettings


@pytest.mark.parametrize(("window_s", "samples"), [(0.24, 12), (2.4, 120), (150, 7500), (0.72, 36)])
def test_a_window_is_a_whole_number_of_tokens(window_s, samples):
    assert ExtractionSettings(window_s=window_s).window_samples(50.0, 12) == samples


@pytest.mark.parametrize("window_s", [0, -150, 0.1, 0.23, 0.25, 150.1])
def test_any_other_window_is_refused(window_s):
    with pytest.raises(InputError, match="multiple of one token"):
        ExtractionSettings(window_s=window_s).window_samples(50.0, 12)


@pytest.mark.parametrize("window_s", [float("nan"), float("inf"), -float("inf")])
def test_a_window_that_is_no_number_is_refused_as_such(window_s):
    with pytest.raises(InputError, match=f"window of {window_s} s has no length"):
        ExtractionSettings(window_s=window_s).window_samples(50.0, 12)


@pytest.mark.parametrize(("window_s", "nearest_s"), [(-5.0, 6), (2.0, 6), (10.0, 12), (14.0, 12), (100.0, 102)])
def test_the_refusal_names_the_nearest_window_of_whole_tokens_and_blocks(window_s, nearest_s):
    with pytest.raises(InputError, match=f"blocks of 3 s: {nearest_s} s;"):
        ExtractionSettings(window_s=window_s).window_samples(50.0, 12)
    assert (nearest_s * 50) % 12 == 0 == (nearest_s * 50) % 150


@pytest.mark.parametrize(("layer", "index"), [(-1, 8), (0, 0), (8, 8)])
def test_layers_are_counted_from_the_embedding(layer, index):
    assert ExtractionSettings(layer=layer).layer_index(8) == index


@pytest.mark.parametrize("layer", [-2, 9])
def test_a_layer_that_is_not_there_is_refused(layer):
    with pytest.raises(InputError, match=f"no layer {layer}.*8 layers"):
        ExtractionSettings(layer=layer).layer_index(8)


@pytest.mark.parametrize("name", ["channels", "bads", "pooling", "dtype"])
def test_unknown_choices_are_refused_by_name(name):
    with pytest.raises(InputError, match=f"{name}='none of these'"):
        ExtractionSettings(**{name: "none of these"})


@pytest.mark.parametrize(
    ("sfreq_hz", "samples_per_token", "samples"), [(50.0, 8, 7500), (64.0, 10, 9600), (50.0, 25, 7500)]
)
def test_windows_of_the_training_s_length_are_good_for_any_tokenizer(sfreq_hz, samples_per_token, samples):
    assert ExtractionSettings().window_samples(sfreq_hz, samples_per_token) == samples
    with pytest.raises(InputError, match="multiple of one token"):
        ExtractionSettings(window_s=149.99).window_samples(sfreq_hz, samples_per_token)
