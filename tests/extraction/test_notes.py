"""Notes on an embedding: weights and windows that a person should be warned of."""

import pytest

from megxl.checkpoints.checkpoint import weights_warning
from megxl.extraction import embed_recording
from tests.small import TRAINED, short_recording, small_model


@pytest.mark.parametrize(
    ("provenance", "beginning"),
    [
        ({"weights": "random"}, "RANDOM WEIGHTS"),
        ({"weights": "loaded", "untrained": True, "source": {"weights": "random"}}, "RANDOM WEIGHTS"),
        ({"weights": "loaded", "untrained": True}, "UNTRAINED WEIGHTS: the checkpoint was saved before any"),
        ({"weights": "loaded", "steps": 0}, "UNTRAINED WEIGHTS: the checkpoint was saved before any"),
        ({"weights": "loaded", "steps": 999}, "UNTRAINED WEIGHTS: training ended at step 999, and fewer than 1,000"),
        (
            {"source": {"weights": "loaded", "steps": 3}, "untrained": True},
            "UNTRAINED WEIGHTS: training ended at step 3,",
        ),
    ],
)
def test_weights_that_mean_nothing_are_called_so(provenance, beginning):
    assert weights_warning(provenance, TRAINED).startswith(beginning)
    assert weights_warning(TRAINED, provenance).startswith(beginning)  # the codec's count as well
    assert weights_warning(TRAINED, TRAINED) is None


def test_a_random_model_is_marked_in_what_it_makes():
    embedding = embed_recording(small_model(), short_recording())
    assert embedding.warning.startswith("RANDOM WEIGHTS")
    assert embedding.meta()["warning"] == embedding.notes[0] == embedding.warning


def test_a_trained_model_is_not():
    model = small_model()
    model.provenance = model.tokenizer.provenance = TRAINED
    embedding = embed_recording(model, short_recording())
    assert embedding.warning is None and not any("WEIGHTS" in note for note in embedding.notes)


def test_windows_of_another_length_than_in_training_are_noted():
    model, raw = small_model(), short_recording()
    assert any("trained with 150 s" in note for note in embed_recording(model, raw, window_s=4.8).notes)
    assert not any("trained with 150 s" in note for note in embed_recording(model, raw).notes)


def test_windows_that_blocks_of_scaling_do_not_fill_are_noted():
    model, raw = small_model(), short_recording(13.0)
    (note,) = [note for note in embed_recording(model, raw, window_s=12.24).notes if "Blocks" in note]
    assert note == (
        "Blocks of 3 s do not fill windows of 12.24 s: the last 0.24 s of each are scaled by themselves; "
        "windows of a multiple of 6 s avoid this."
    )
    for window_s in (6.0, 12.0, 24.24):  # the recording does not reach the end of the last of them
        assert not any("Blocks" in note for note in embed_recording(model, raw, window_s=window_s).notes)
