"""What a page needs besides predictions, and how long it may look."""

import pytest
import torch

pytest.importorskip("lightning.pytorch")

from megxl.errors import InputError
from megxl.reporting.words.opening import open_decoder, stored_recordings, usual_groups
from megxl.store.store import Store
from tests.reporting.words.small_run import add_decoder, make_run


def test_recordings_that_left_the_store_are_counted(tmp_path):
    run, store = make_run(tmp_path), Store(tmp_path / "store")
    keys = store.keys()
    found, told = stored_recordings(run, keys)
    assert set(found) == set(keys) and told == ""
    store.remove(keys[0])
    found, told = stored_recordings(run, keys)
    assert set(found) == set(keys[1:]) and "1 of 6 test recordings" in told


def test_a_decoder_is_ready_to_be_asked(tmp_path):
    run = make_run(tmp_path)
    with pytest.raises(InputError, match="no decoder"):
        open_decoder(run, "cpu")
    saved = open_decoder(add_decoder(run), "cpu")
    assert not saved.decoder.training
    recordings, _ = stored_recordings(run, Store(tmp_path / "store").keys())
    assert usual_groups(saved, recordings, "cpu", 8) == 8
    saved.decoder.register_parameter("large", torch.nn.Parameter(torch.zeros(6_000_000)))
    assert usual_groups(saved, recordings, "cpu", 8) == 1 and usual_groups(saved, recordings, "cuda", 8) == 8
