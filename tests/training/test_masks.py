"""Masks and seeds of a step are functions of the items' seeds alone."""

import pytest
import torch

from megxl.errors import InputError
from megxl.signals.normalization import scale_blocks
from megxl.training.masks import hide, shuffle_segments
from tests.training.small_batches import TOKENS, batch, item, small_sizes


def test_an_item_has_the_same_mask_in_any_company():
    together = hide(batch(item(1), item(2, 3)), small_sizes(), TOKENS)
    for row, seed in enumerate((1, 2)):
        alone = hide(batch(item(seed)), small_sizes(), TOKENS)
        assert torch.equal(together.mask_BT[row], alone.mask_BT[0])
    assert not torch.equal(together.mask_BT[0], together.mask_BT[1])
    assert together.mask_BT.sum(1).tolist() == [24, 24]  # two blocks of 12 tokens


def test_the_step_s_seed_is_that_of_its_items():
    seeds = [hide(batch(*map(item, seeds)), small_sizes(), TOKENS).seed for seeds in ((1, 2), (1, 2), (2, 1), (1, 3))]
    assert seeds[0] == seeds[1] and len(set(seeds)) == 3


def test_the_global_generator_is_not_asked():
    before = torch.get_rng_state()
    masks = [hide(batch(item(1)), small_sizes(), TOKENS).mask_BT for _ in range(2)]
    assert torch.equal(*masks) and torch.equal(torch.get_rng_state(), before)


def test_the_mask_stays_on_the_cpu_when_the_batch_moves():
    moved = hide(batch(item(1)), small_sizes(), TOKENS).to("meta")
    assert moved.batch.codes_BCTQ.device.type == "meta" and moved.mask_BT.device.type == "cpu"


def test_normalising_scales_the_signal_and_keeps_the_rest():
    masked = hide(batch(item(1, signal=True)), small_sizes(), TOKENS)
    scaled = masked.normalized()
    assert torch.equal(scaled.batch.signal_BCT, scale_blocks(masked.batch.signal_BCT, 150))
    assert scaled.mask_BT is masked.mask_BT and scaled.seed == masked.seed


def test_a_window_too_short_for_its_masks_is_refused():
    with pytest.raises(InputError, match="masked_blocks"):
        hide(batch(item(1)), small_sizes(masked_blocks=5), TOKENS)


def test_segments_are_permuted_and_the_remainder_stays():
    masked = hide(batch(item(1, signal=True), item(2, signal=True)), small_sizes(), TOKENS)
    before = masked.batch.signal_BCT
    after = shuffle_segments(masked, 2.5).batch.signal_BCT  # 4 pieces of 125 samples, 100 are left
    assert torch.equal(after[..., 500:], before[..., 500:])
    orders = []
    for row in range(2):
        pieces = list(before[row, :, :500].split(125, -1))
        found = after[row, :, :500].split(125, -1)
        orders.append([next(n for n, piece in enumerate(pieces) if torch.equal(piece, other)) for other in found])
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders) and orders[0] != orders[1]
    assert torch.equal(shuffle_segments(masked, 2.5).batch.signal_BCT, after)


def test_codes_cannot_be_shuffled():
    with pytest.raises(InputError, match=r"data.codes=online"):
        shuffle_segments(hide(batch(item(1)), small_sizes(), TOKENS), 3.0)
