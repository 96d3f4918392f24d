"""The rate of each step against torch's own schedulers, and which weights are trained."""

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR

from megxl.training.optimization import fitting_warmup, make_optimizer, warmup_cosine
from megxl.training.sections import TrainingConfig
from tests.training.small_batches import small_model


def test_the_curve_is_that_of_torch_s_schedulers_in_a_row():
    warmup, total, peak, least = 5, 40, 3e-4, 1e-6
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=peak)
    up = LinearLR(optimizer, start_factor=1 / warmup, end_factor=1.0, total_iters=warmup - 1)
    down = CosineAnnealingLR(optimizer, T_max=total - warmup, eta_min=least)
    torch_s = SequentialLR(optimizer, [up, down], milestones=[warmup - 1])
    for step in range(total):
        share = warmup_cosine(step, warmup=warmup, total=total, least=least / peak)
        assert peak * share == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9), step
        optimizer.step()
        torch_s.step()


@pytest.mark.parametrize(("warmup", "total"), [(0, 7), (1, 7), (3, 7), (6, 7)])
def test_it_rises_to_the_peak_and_ends_at_the_least(warmup, total):
    rates = [warmup_cosine(step, warmup=warmup, total=total, least=0.01) for step in range(total)]
    assert rates[-1] == pytest.approx(0.01) and min(rates) > 0
    if warmup:
        assert rates[0] == 1 / warmup and rates[warmup - 1] == 1
        assert rates[:warmup] == sorted(rates[:warmup])
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)
    assert warmup_cosine(total + 5, warmup=warmup, total=total, least=0.01) == pytest.approx(0.01)


def test_a_warm_up_longer_than_the_training_is_shortened_and_told():
    assert fitting_warmup(250, 251) == (250, None)
    warmup, note = fitting_warmup(250, 40)
    assert warmup == 4 and "warmup_steps = 250" in note and "40" in note and "first 4" in note
    assert fitting_warmup(250, 3)[0] == 1


def test_all_trained_weights_and_no_frozen_one_are_optimised():
    model = small_model()
    optimizer = make_optimizer(model, TrainingConfig(learning_rate=3e-4, weight_decay=0.02), fused=False)
    ours = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    codec = {id(parameter) for parameter in model.tokenizer.parameters()}
    assert codec and not ours & codec
    assert ours == {id(parameter) for parameter in model.parameters()} - codec
    assert optimizer.defaults["lr"] == 3e-4 and optimizer.defaults["weight_decay"] == 0.02
