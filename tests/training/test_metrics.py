"""Tallies against sums over single tokens in float64."""

import pytest
import torch

from megxl.training.masks import hide
from megxl.training.metrics import Tally
from tests.training.small_batches import CORPORA, TOKENS, batch, item, small_model

ITEMS = [item(1), item(2, 3, corpus="camcan"), item(3, 6, bad=True), item(4, 2, corpus="camcan")]


def predict(model, *items):
    masked = hide(batch(*items), model.config, TOKENS)
    part = masked.batch
    return part, model.masked_prediction(part.codes_BCTQ, part.sensors, masked.mask_BT, part.sensor_mask_BC)


@pytest.fixture
def model():
    return small_model().eval()


@pytest.fixture
def tally(model) -> Tally:
    return Tally(list(CORPORA), model.config.levels)


def by_hand(model, items) -> tuple[torch.Tensor, torch.Tensor]:
    """Losses and hits of all hidden tokens of the items' real sensors, (tokens, levels), in float64."""
    losses, hits = [], []
    for one in items:
        masked = hide(batch(one), model.config, TOKENS)
        part = masked.batch
        logits = model.logits(model(part.codes_BCTQ, part.sensors, part.sensor_mask_BC, mask=masked.mask_BT)).double()
        real = slice(None) if part.sensor_mask_BC is None else part.sensor_mask_BC[0]
        scores, codes = logits[0, real][:, masked.mask_BT[0]], part.codes_BCTQ[0, real][:, masked.mask_BT[0]].long()
        losses.append(-scores.log_softmax(-1).gather(-1, codes[..., None])[..., 0].flatten(0, 1))
        hits.append((scores.argmax(-1) == codes).double().flatten(0, 1))
    return torch.cat(losses), torch.cat(hits)


def test_means_are_over_tokens_whatever_the_batches(model, tally):
    with torch.no_grad():
        for items in (ITEMS[:3], ITEMS[3:]):
            part, prediction = predict(model, *items)
            tally.update(prediction, part.corpus_B)
        told = tally.read()
        losses, hits = by_hand(model, ITEMS)
        assert told["tokens"] == len(losses) == 24 * (4 + 3 + 5 + 2)
        assert told["loss"] == pytest.approx(losses.mean().item(), rel=1e-6)
        assert told["accuracy"] == pytest.approx(hits.mean().item(), rel=1e-9)
        for level in range(3):
            assert told[f"loss_level_{level + 1}"] == pytest.approx(losses[:, level].mean().item(), rel=1e-6)
            assert told[f"accuracy_level_{level + 1}"] == pytest.approx(hits[:, level].mean().item(), rel=1e-9)
        for corpus in CORPORA:
            losses, hits = by_hand(model, [one for one in ITEMS if one.corpus == corpus])
            assert told[f"{corpus}_loss"] == pytest.approx(losses.mean().item(), rel=1e-6)
            assert told[f"{corpus}_accuracy"] == pytest.approx(hits.mean().item(), rel=1e-9)


def test_items_that_do_not_count_are_left_out(model, tally):
    with torch.no_grad():
        part, prediction = predict(model, *ITEMS[:2])
        tally.update(prediction, part.corpus_B, torch.tensor([True, False]))
        told = tally.read()
        assert told["loss"] == pytest.approx(by_hand(model, ITEMS[:1])[0].mean().item(), rel=1e-6)
    assert "camcan_loss" not in told and told["tokens"] == 96


def test_ranks_are_summed_and_reset_begins_anew(model, tally):
    with torch.no_grad():
        part, prediction = predict(model, *ITEMS)
    tally.update(prediction, part.corpus_B)
    once = tally.read()
    assert tally.reduce(lambda sums: 3 * sums).read() == once | {"tokens": 3 * once["tokens"]}
    tally.reset()
    assert tally.read() == {"tokens": 0.0}


def test_a_million_small_windows_lose_nothing(model, tally):
    with torch.no_grad():
        part, prediction = predict(model, ITEMS[0])
    tally.update(prediction, part.corpus_B)
    tally.sums_KS *= 2**24
    before = tally.read()["tokens"]
    tally.update(prediction, part.corpus_B)
    assert tally.read()["tokens"] == before + 96
