"""Temporal block masking: the published layout, every edge case, and seeds an item."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from megxl.errors import InputError
from megxl.model.masking import draw_mask, plan_mask
from megxl.sizes import MEGXLConfig


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_the_published_window_hides_20_of_50_blocks_of_12_tokens():
    plan = plan_mask(625, MEGXLConfig())
    assert (plan.blocks, plan.block, plan.run, plan.chosen, plan.hidden) == (50, 12, 12, 20, 240)
    mask = draw_mask(plan, generators(0, 1))
    assert mask.shape == (2, 625) and mask.sum(1).tolist() == [240, 240]
    blocks = mask[:, :600].view(2, 50, 12)
    assert torch.equal(blocks.any(-1), blocks.all(-1))
    assert not mask[:, 600:].any()
    assert pytest.approx(0.384) == 240 / 625


@given(st.integers(13, 700), st.floats(0.5, 6.0), st.integers(0, 12), st.integers(0, 2**31))
def test_every_run_lies_in_its_block(tokens, duration, chosen, seed):
    config = MEGXLConfig(mask_duration_s=duration, masked_blocks=chosen)
    blocks = int(tokens * 12 / 50 / 3)
    if chosen > blocks:
        with pytest.raises(InputError, match="masked_blocks"):
            plan_mask(tokens, config)
        return
    plan = plan_mask(tokens, config)
    mask = draw_mask(plan, generators(seed))[0]
    length = min(round(duration * 50) // 12, tokens // blocks)
    assert mask.sum() == chosen * length
    hit = mask[: blocks * plan.block].view(blocks, plan.block)
    for row in hit[hit.any(1)]:
        places = row.nonzero().squeeze(1)
        assert len(places) == length and places[-1] - places[0] == length - 1
    assert not mask[blocks * plan.block :].any()


def test_short_runs_start_anywhere_in_their_block():
    plan = plan_mask(625, MEGXLConfig(mask_duration_s=1.0))
    masks = draw_mask(plan, generators(*range(300)))[:, :600].view(300, 50, 12)
    starts = masks.int().argmax(-1)[masks.any(-1)]
    share = torch.bincount(starts, minlength=12) / len(starts)
    assert plan.run == 4 and share[9:].sum() == 0
    assert (share[:9] - 1 / 9).abs().max() < 0.02


def test_every_block_is_chosen_equally_often():
    masks = draw_mask(plan_mask(625, MEGXLConfig()), generators(*range(500)))[:, :600:12]
    assert (masks.float().mean(0) - 0.4).abs().max() < 0.1


def test_a_mask_depends_on_its_own_seed_alone():
    plan = plan_mask(625, MEGXLConfig())
    together, alone = draw_mask(plan, generators(3, 7)), draw_mask(plan, generators(7))
    assert torch.equal(together[1], alone[0]) and not torch.equal(together[0], together[1])


def test_a_run_longer_than_a_block_is_clamped_to_it():
    plan = plan_mask(625, MEGXLConfig(mask_duration_s=10.0))
    assert plan.run == plan.block == 12


@pytest.mark.parametrize(
    ("tokens", "config", "message"),
    [
        (12, MEGXLConfig(), "no whole block of 3 s"),
        (625, MEGXLConfig(masked_blocks=51), "at most 50"),
        (625, MEGXLConfig(mask_duration_s=0.1), "shorter than one token"),
    ],
)
def test_what_cannot_be_masked_is_said(tokens, config, message):
    with pytest.raises(InputError, match=message):
        plan_mask(tokens, config)


@pytest.mark.parametrize(
    ("samples", "samples_per_token", "expected"),
    [
        # tokens of a block of 3 s (150 samples) and of a run of 3 s: 30, 15, 18.75 and 6, of which whole ones count
        (7500, 5, (1500, 50, 30, 30)),
        (7500, 10, (750, 50, 15, 15)),
        (7500, 8, (938, 50, 18, 18)),
        (7500, 25, (300, 50, 6, 6)),
        # windows of no whole number of tokens: 6 s are 37.5 tokens of 8 samples, 12.5 of 24
        (300, 8, (38, 2, 19, 18)),
        (300, 24, (13, 2, 6, 6)),
    ],
)
def test_blocks_and_runs_follow_the_samples_in_a_token(samples, samples_per_token, expected):
    tokens = -(-samples // samples_per_token)
    config = MEGXLConfig(samples_per_token=samples_per_token, masked_blocks=2)
    plan = plan_mask(tokens, config)
    assert (plan.tokens, plan.blocks, plan.block, plan.run) == expected
    mask_BT = draw_mask(plan, generators(*range(20)))
    assert mask_BT.shape == (20, tokens) and (mask_BT.sum(1) == 2 * plan.run).all()
