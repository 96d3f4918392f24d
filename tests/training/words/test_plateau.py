"""The published rules of a plateau, by hand-counted epochs."""

import pytest
import torch

pytest.importorskip("lightning.pytorch")

from megxl.training.words.plateau import Plateau


def plateau(patience: int = 10, min_delta: float = 0.001) -> tuple[Plateau, torch.optim.Optimizer]:
    weights = [torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)]
    optimizer = torch.optim.SGD([{"params": weights[:1], "lr": 1e-5}, {"params": weights[1:], "lr": 1e-3}])
    return Plateau(optimizer, patience=patience, min_delta=min_delta), optimizer


def test_rates_halve_after_the_sixth_epoch_that_is_not_better_and_training_ends_after_the_tenth():
    rules, optimizer = plateau()
    rules.judge(0.2, 0)
    rates, ends = [], []
    for epoch in range(1, 11):
        rules.judge(0.2, epoch)
        rates.append(tuple(group["lr"] for group in optimizer.param_groups))
        ends.append(rules.exhausted)
    assert rates[:5] == [(1e-5, 1e-3)] * 5 and rates[5:] == [(5e-6, 5e-4)] * 5
    assert ends == [False] * 9 + [True]


def test_an_epoch_is_the_best_only_by_more_than_min_delta():
    rules, _ = plateau(min_delta=0.25)
    values = [0.0, 0.25, 0.2500001, 0.3, 0.51]
    assert [rules.judge(value, epoch) for epoch, value in enumerate(values)] == [True, False, True, False, True]
    assert rules.best == 0.51 and rules.best_epoch == 4 and rules.since == 0


def test_rates_stay_where_the_best_of_selection_and_of_rates_differ():
    rules, optimizer = plateau(patience=3)
    for epoch in range(9):  # by more than torch's 1e-4 relative, by less than min_delta
        rules.judge(0.2 + epoch * 1e-4, epoch)
    assert rules.since == 8 and rules.exhausted and optimizer.param_groups[0]["lr"] == 1e-5


def test_weights_are_the_best_if_they_are_of_its_epoch_and_value():
    rules, _ = plateau()
    assert rules.is_best(None) and rules.is_best({"epoch": 3, "value": 0.1}), "there is no best epoch that could lack"
    rules.judge(0.2, 0)
    rules.judge(0.1, 1)
    assert rules.is_best({"epoch": 0, "value": 0.2, "step": 9})
    assert not any(map(rules.is_best, (None, {"epoch": 1, "value": 0.2}, {"epoch": 0, "value": 0.1})))
    rules.forget_best()
    assert rules.judge(0.0, 2) and rules.best_epoch == 2


@pytest.mark.parametrize("stop", range(1, 13))
def test_a_state_goes_on_as_if_it_had_never_stopped(stop):
    values = torch.rand(14, generator=torch.Generator().manual_seed(stop)).tolist()
    whole, whole_optimizer = plateau()
    told = [(whole.judge(v, n), whole.exhausted, whole_optimizer.param_groups[1]["lr"]) for n, v in enumerate(values)]
    first, first_optimizer = plateau()
    for number, value in enumerate(values[:stop]):
        first.judge(value, number)
    second, optimizer = plateau()
    optimizer.load_state_dict(first_optimizer.state_dict())
    second.load_state_dict(first.state_dict())
    for number, value in enumerate(values[stop:], stop):
        assert (second.judge(value, number), second.exhausted, optimizer.param_groups[1]["lr"]) == told[number]
