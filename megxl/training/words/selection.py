"""After every validation: measure it, keep the best weights, halve the rates, end the training."""

from collections.abc import Callable, Mapping
from typing import Any

from megxl.errors import InputError
from megxl.training.insight import log_row
from megxl.training.progress import Row
from megxl.training.tables import PREFIX
from megxl.training.words.chosen_metrics import metric_named
from megxl.training.words.config import WordsConfig
from megxl.training.words.judging import Judge, epoch_metrics
from megxl.training.words.module import WordsModule, rates
from megxl.training.words.plateau import Plateau

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ModuleNotFoundError as error:
    raise InputError("Training needs Lightning: pip install 'megxl[train]'.") from error


class Selection(Callback):
    """Chooses the best epoch by a metric of validation alone, and writes a row of every validation.

    Its state is part of the checkpoint, which has to be saved after it.

    Parameters
    ----------
    config : WordsConfig
    judge : callable
        Gives the judge of the validation part, once the data are there.
    keep : callable
        Called on the first rank when an epoch is the best; puts the weights in their place.
    kept : callable
        Says what was chosen of the weights in that place, as it was given to `keep`; None: there are none.
    tell : callable
        Is told notes for a person.
    """

    def __init__(
        self,
        config: WordsConfig,
        judge: Callable[[], Judge],
        keep: Callable[[WordsModule, dict[str, Any]], None],
        kept: Callable[[], Mapping[str, Any] | None],
        tell: Callable[[str], None],
    ) -> None:
        self.config, self.judge, self.keep, self.kept, self.tell = config, judge, keep, kept, tell
        self.name = ""
        """Of the metric, once the vocabulary is known."""
        self.row: Row = {}
        """Of the latest validation, with its prefix."""
        self._plateau: Plateau | None = None
        self._state: dict[str, Any] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin, or go on; a training that had ended by itself stays as it is."""
        training = self.config.training
        self._judge = self.judge()
        self.name = metric_named(self.config.evaluation, "selection", len(self._judge.vocabulary)).name
        self._plateau = Plateau(trainer.optimizers[0], patience=training.patience, min_delta=training.min_delta)
        if self._state is None:
            return
        self._plateau.load_state_dict(self._state)
        if not trainer.strategy.broadcast(self._plateau.is_best(self.kept())):
            self._plateau.forget_best()
            self.tell("The best weights of the earlier training are not in this run: those of the next epoch are kept.")
        elif self._plateau.exhausted:
            trainer.should_stop = True

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure, choose, and write a row."""
        assert isinstance(pl_module, WordsModule)
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        assert self._plateau is not None
        validated, epoch = pl_module.validated, trainer.current_epoch
        metrics = epoch_metrics(self._judge.predictions(validated.estimates_NE), self.config.evaluation)
        rate = rates(trainer.optimizers[0])["head"]
        # machines may differ in a last bit, ranks must not differ in what follows
        better = self._plateau.judge(trainer.strategy.broadcast(metrics[self.name]), epoch)
        if better and trainer.is_global_zero:
            chosen = {"epoch": epoch, "step": trainer.global_step, "metric": self.name, "value": metrics[self.name]}
            self.keep(pl_module, chosen)
        row = {"epoch": epoch, "loss": validated.loss, **metrics, "selected": int(better), "lr": rate}
        self.row = {f"{PREFIX}{name}": value for name, value in row.items()}
        log_row(trainer.loggers, self.row, trainer.global_step)
        if self._plateau.exhausted:
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {} if self._plateau is None else self._plateau.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with these, once the optimiser is there."""
        self._state = state_dict or None
