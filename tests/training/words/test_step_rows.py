"""Rows of steps: where they lie, what they are the mean of, and that a training that diverged ends."""

import math

import pytest

pytest.importorskip("lightning.pytorch")

from lightning.pytorch import Callback

from megxl.errors import InputError
from megxl.training.words.step_rows import StepRows, refuse_divergence
from tests.training.words.small_parts import batch, item, loader, small_module
from tests.training.words.test_module import Watch, trainer

BATCHES = [batch(item(number, "the", "of", "door")) for number in range(5)]


class Seen(Callback):
    """Keeps every row with the step and the number of batches that it was written after."""

    def __init__(self, rows: StepRows) -> None:
        self.rows, self.found, self.batches, self.last = rows, [], 0, rows.row

    def on_train_batch_end(self, trainer, *_) -> None:
        self.batches += 1
        if self.rows.row is not self.last:
            self.last = self.rows.row
            self.found.append((trainer.global_step, self.batches, self.last))


@pytest.mark.parametrize(("accumulate", "steps"), [(1, [2, 4, 5, 6, 8, 10]), (2, [2, 3, 4, 6])])
def test_rows_lie_at_multiples_and_ends_of_epochs_and_are_means_of_what_came_since(accumulate, steps):
    rows, watch = StepRows(2), Watch()
    seen = Seen(rows)
    trainer(rows, seen, watch, accumulate_grad_batches=accumulate).fit(small_module(), loader(BATCHES))
    assert [step for step, _, _ in seen.found] == steps
    before = 0
    for _, batches, row in seen.found:
        assert row["loss"] == pytest.approx(math.fsum(watch.losses[before:batches]) / (batches - before))
        assert row["epoch"] == (batches - 1) // 5 and row["lr_backbone"] == row["lr_head"] == 1e-2
        before = batches
    assert seen.last["gradient_norm"] == pytest.approx(watch.norms[-1])


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_loss_or_gradient_that_is_not_finite_ends_the_training(what):
    module = small_module()
    if what == "loss":
        whole = module.loss.forward
        module.loss.forward = lambda *a: whole(*a) * math.nan
    else:
        module.on_after_backward = lambda: [p.grad.fill_(math.inf) for p in module.parameters() if p.grad is not None]
    with pytest.raises(InputError, match="not finite at step 1"):
        trainer(StepRows(1), epochs=1).fit(module, loader(BATCHES))
    refuse_divergence(None, 1)
