"""What follows from a validation: which epoch is the best, when learning rates halve, when training ends."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

FACTOR, HALVING_PATIENCE = 0.5, 5
"""As published: rates halve at the end of the sixth epoch in a row that is not better."""


class Plateau:
    """The published rules, of one number that is to grow.

    An epoch is the best if it exceeds the best before it by more than `min_delta`; the first one always is. Rates halve
    by torch's own rule, to which an epoch is better by one part in ten thousand: the two may differ of one epoch.

    Parameters
    ----------
    optimizer : Optimizer
        Whose rates halve, of all groups together.
    patience : int
        Epochs in a row without a best one after which training ends.
    min_delta : float
    """

    def __init__(self, optimizer: torch.optim.Optimizer, *, patience: int, min_delta: float) -> None:
        self.patience, self.min_delta = patience, min_delta
        self.best, self.best_epoch, self.since = -math.inf, -1, 0
        self._rates = ReduceLROnPlateau(optimizer, mode="max", factor=FACTOR, patience=HALVING_PATIENCE)

    def judge(self, value: float, epoch: int) -> bool:
        """Take the value of an epoch in; says whether it is the best."""
        better = value > self.best + self.min_delta
        if better:
            self.best, self.best_epoch, self.since = value, epoch, 0
        else:
            self.since += 1
        self._rates.step(value)
        return better

    @property
    def exhausted(self) -> bool:
        """Whether training ends."""
        return self.since >= self.patience

    def is_best(self, chosen: Mapping[str, Any] | None) -> bool:
        """Whether weights are those of the best epoch, by what is said of them; before there is one, none are missed.

        Parameters
        ----------
        chosen : mapping, optional
            Their epoch and value; None: there are no weights.
        """
        if self.best_epoch < 0:
            return True
        return chosen is not None and (chosen["epoch"], chosen["value"]) == (self.best_epoch, self.best)

    def forget_best(self) -> None:
        """Have the next epoch be the best: the weights of the best one are not at hand."""
        self.best, self.best_epoch = -math.inf, -1

    def state_dict(self) -> dict[str, Any]:
        """Plain values, from which `load_state_dict` goes on; the rates themselves are the optimizer's."""
        rates = {name: getattr(self._rates, name) for name in ("best", "num_bad_epochs", "last_epoch")}
        return {"best": self.best, "best_epoch": self.best_epoch, "since": self.since, "rates": rates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where a state was taken."""
        self.best, self.best_epoch, self.since = state["best"], state["best_epoch"], state["since"]
        vars(self._rates).update(state["rates"])
