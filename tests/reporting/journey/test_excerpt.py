"""The seconds that are shown: the right ones, with their words, coded as the tokenizer codes them."""

import numpy as np
import pytest
import torch

pytest.importorskip("lightning.pytorch")

from megxl.reporting.journey.excerpt import take_excerpt
from megxl.signals.normalization import scale_blocks
from megxl.store.store import Store
from tests.training.small_run import small_codec
from tests.training.words.small_words import EVERY_S, make_word_store


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    store = make_word_store(tmp_path_factory.mktemp("store"), subjects=1, sessions=1, words=60)
    (recording,) = Store(store).recordings()
    return recording


def test_it_begins_at_the_full_second_before_the_moment(recording):
    excerpt = take_excerpt(recording, small_codec(), 7.8)
    assert excerpt.start_s == 7.0 and excerpt.times_s[0] == 7.0 and excerpt.signal_CS.shape[1] == 450
    np.testing.assert_array_equal(excerpt.signal_CS, recording.read(350, 800))
    onsets_s = [1.0 + EVERY_S * n for n in range(60)]
    assert [word["onset_s"] for word in excerpt.words] == pytest.approx([at for at in onsets_s if 7.0 <= at < 16.0])


def test_at_the_end_and_in_a_short_recording_all_of_it_is_there(recording):
    excerpt = take_excerpt(recording, small_codec(), recording.duration_s - 0.5)
    assert excerpt.times_s[-1] == pytest.approx(recording.duration_s - 1 / 50)


def test_codes_and_decoded_signal_are_those_of_the_scaled_signal(recording):
    codec = small_codec()
    excerpt = take_excerpt(recording, codec, 0.0)
    scaled_1CS = scale_blocks(torch.from_numpy(recording.read(0, 450).copy())[None], 150)
    np.testing.assert_allclose(excerpt.scaled_CS, scaled_1CS[0].numpy())
    with torch.no_grad():
        codes_CQT, scale_C1 = codec.encode(scaled_1CS[0][:, None])
        decoded_CS = codec.decode(codes_CQT, scale_C1, 450)[:, 0]
    np.testing.assert_allclose(excerpt.decoded_CS, decoded_CS.numpy(), atol=1e-5)
    # colours are another numbering of the codes of level 1: one for one
    pairs = set(zip(codes_CQT[:, 0].flatten().tolist(), excerpt.ranks_CT.flatten().tolist(), strict=True))
    assert len(pairs) == len({code for code, _ in pairs}) == len({rank for _, rank in pairs}) > 3
    r_C = [np.corrcoef(a, b)[0, 1] for a, b in zip(excerpt.decoded_CS, excerpt.scaled_CS, strict=True)]
    np.testing.assert_allclose(excerpt.r_C, r_C, atol=1e-6)
