"""The signal that a decoder is given ends some time after the onset of each word: samples counted one by one."""

from dataclasses import replace

import pytest
import torch

from megxl.data.groups import Grouping
from megxl.decoding.building import DecoderSpec, build_decoder
from megxl.decoding.truncation import decode_until, silence_after
from megxl.errors import InputError
from tests.decoding.word_batches import WINDOW, tape_starts, word_batch

GROUPING = Grouping(words=4)


def small_decoder():
    torch.manual_seed(0)
    return build_decoder(DecoderSpec(backbone="convolution", head="linear", width=16, target_width=7)).eval()


@pytest.mark.parametrize("after_s, heard", [(0.0, 25), (0.3, 40), (-0.5, 0), (2.5, 150), (1.004, 75)])
def test_each_word_keeps_the_samples_up_to_its_time(after_s, heard):
    starts_BW = tape_starts(2, 4)
    starts_BW[1, 2:] = -1
    batch = replace(word_batch(starts_BW=starts_BW), codes_BCTQ=torch.zeros(2, 5, 50, 2, dtype=torch.uint8))
    cut = silence_after(batch, after_s, GROUPING)
    expected = batch.signal_BCT.clone()
    for item, starts in enumerate(starts_BW.tolist()):
        for start in starts:
            if start >= 0:
                for sample in range(start + heard, start + WINDOW):
                    expected[item, :, sample] = 0
    assert torch.equal(cut.signal_BCT, expected) and cut.codes_BCTQ is None
    assert batch.codes_BCTQ is not None  # the batch itself stays as it was


def test_what_comes_after_the_time_changes_nothing_and_what_comes_before_does():
    one, batch = small_decoder(), word_batch()
    late, early = batch.signal_BCT.clone(), batch.signal_BCT.clone()
    late.unflatten(2, (4, WINDOW))[..., 45:] += 3.0  # from 0.4 s after the onsets
    early.unflatten(2, (4, WINDOW))[..., 30:40] += 3.0
    (cut, whole), (cut_late, whole_late), (cut_early, _) = (
        decode_until(one, replace(batch, signal_BCT=signal), (0.4, 2.5), GROUPING)
        for signal in (batch.signal_BCT, late, early)
    )
    assert torch.equal(cut, cut_late) and not torch.allclose(whole, whole_late)
    assert not torch.allclose(cut, cut_early)


def test_the_whole_window_is_what_the_decoder_says_of_the_batch():
    starts_BW = tape_starts(2, 4)
    starts_BW[1, 2:] = -1
    one, batch = small_decoder(), word_batch(starts_BW=starts_BW)
    (whole_NE,) = decode_until(one, batch, (2.5,), GROUPING)
    with torch.no_grad():
        expected = one(batch)
    assert torch.equal(whole_NE, torch.cat([expected[0], expected[1, :2]]))


def test_a_stretch_that_words_share_cannot_be_cut_word_by_word():
    with pytest.raises(InputError, match=r"contiguous.*allowed: tape"):
        silence_after(word_batch(), 0.5, Grouping(words=4, layout="contiguous"))


def test_codes_alone_cannot_be_cut():
    with pytest.raises(InputError, match="with the signal and with words"):
        silence_after(replace(word_batch(), signal_BCT=None), 0.5, GROUPING)
