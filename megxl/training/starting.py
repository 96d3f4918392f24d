"""What is known once the data of a training over windows are there: who trains, and how often is validated."""

from typing import Any

from megxl.errors import InputError
from megxl.training.recordings_data import RecordingsData
from megxl.training.running import Tell
from megxl.training.runs import SPLIT, Run, write_json
from megxl.training.scheduled import Scheduled
from megxl.training.trained_on import told_of

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ModuleNotFoundError as error:
    raise InputError("Training needs Lightning: pip install 'megxl[train]'.") from error


class Start(Callback):
    """Fits the rhythm of validation to the epoch, writes who trains and validates, and passes notes on."""

    def __init__(self, run: "Run[Any]", tell: Tell) -> None:
        self.run = run
        self.tell = tell

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Know the data, once they are prepared."""
        data = trainer.datamodule  # pyright: ignore[reportAttributeAccessIssue] (Lightning adds it)
        batches, asked = len(data.train_dataloader()), self.run.config.trainer.val_check_interval
        accumulated = self.run.config.trainer.accumulate_grad_batches
        # between accumulated batches there is nothing new to validate
        every = trainer.val_check_interval = min(-(-asked // accumulated) * accumulated, batches)
        assert isinstance(pl_module, Scheduled)
        pl_module.told["recordings"] = split = _split(data)  # so that nobody need evaluate on them unknowingly
        pl_module.told["data"] = told_of({part: windows.recordings for part, windows in data.windows.items()})
        if not trainer.is_global_zero:
            return
        write_json(self.run.path / SPLIT, split)
        for note in data.notes:
            self.tell(note)
        if every != asked:
            why = f"an epoch has {batches} batches" if every == batches else f"a step takes {accumulated} batches"
            self.tell(f"trainer.val_check_interval = {asked}, but {why}: validation comes every {every} batches.")

    def on_train_start(self, trainer: Trainer, pl_module: Scheduled) -> None:
        """Pass on what the module noticed."""
        for note in pl_module.notes:
            self.tell(note)


def _split(data: RecordingsData) -> dict[str, Any]:
    return {
        corpus: {"train": list(split.train), "validation": list(split.validation)}
        for corpus, split in data.split().items()
    }
