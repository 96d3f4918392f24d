"""How far a training is, for the person who waits: a bar on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from megxl.errors import InputError
from megxl.training.tables import PREFIX

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ModuleNotFoundError as error:
    raise InputError("Training needs Lightning: pip install 'megxl[train]'.") from error

if TYPE_CHECKING:
    from megxl.training.insight import Insight
    from megxl.training.tokenizer.step_rows import TokenizerRows
    from megxl.training.words.step_rows import StepRows

Row = Mapping[str, float | None]
"""Numbers by their names; None: not known."""
_SECONDS_BETWEEN_LINES = 10.0


class Progress(Callback):
    """Shows steps, loss, speed and the time to go, and each validation beside what guessers score.

    On a terminal a bar moves with every step, and validations stand above it. Elsewhere, in a log file, there are lines
    alone: of training when a row is written, at most one in ten seconds; of every validation; and a last one.

    Parameters
    ----------
    insight : Insight, StepRows or TokenizerRows
        Knows the numbers; comes before this callback.
    console : Console, optional
        Where to show; stderr by default.
    """

    def __init__(self, insight: "Insight | StepRows | TokenizerRows", console: Console | None = None) -> None:
        self._insight = insight
        self._console = console or Console(stderr=True)
        self._bar: Bar | None = None
        self._row: Row = insight.row
        self._first_step = 0
        self._total = 0
        self._started = self._last_line = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say what guessers score, and show the bar."""
        if not trainer.is_global_zero:
            return
        self._first_step, self._total = trainer.global_step, int(trainer.estimated_stepping_batches)
        self._started = self._last_line = time.perf_counter()
        self._say_beginning()
        if self._console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), TextColumn("{task.fields[told]}"))
            self._bar = Bar(*columns, console=self._console)
            self._bar.add_task("training", total=self._total, completed=self._first_step, told="")
            self._bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar, or print a line if one is due."""
        if not trainer.is_global_zero:
            return
        step, now = trainer.global_step, time.perf_counter()
        if self._bar is not None:
            told = told_row(self._insight.row, self._to_go(step, now))
            self._bar.update(self._bar.task_ids[0], completed=step, description=self._place(step), told=told)
        elif self._insight.row is not self._row and (
            step == self._total or now - self._last_line >= _SECONDS_BETWEEN_LINES
        ):
            self._last_line = now
            self._say(f"{self._place(step)}: {told_row(self._insight.row, self._to_go(step, now))}")
        self._row = self._insight.row

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print a line."""
        if trainer.is_global_zero and trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._say(f"{self._place(trainer.global_step)}: {self._validated()}")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the bar as it is."""
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the terminal back."""
        self._close()

    def _say_beginning(self) -> None:
        self._say(f"guessers' loss at the hidden places of validation: {told_guessers(self._insight.baselines)}")

    def _validated(self) -> str:
        return told_validation(self._insight.validation_row, self._insight.baselines)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _place(self, step: int) -> str:
        return f"step {step:,}/{self._total:,}"

    def _to_go(self, step: int, now: float) -> float | None:
        """Seconds to the end, validations included, by the pace of this process; None before its first step."""
        done = step - self._first_step
        return (now - self._started) / done * (self._total - step) if done else None

    def _say(self, text: str) -> None:
        # a line of a log file stays one, however long
        self._console.print(text, markup=False, highlight=False, soft_wrap=not self._console.is_terminal)


def told_row(row: Row, seconds_to_go: float | None) -> str:
    """Say what a row of training holds, leaving out what is not known."""
    return ", ".join([*_parts(row), *([] if seconds_to_go is None else [f"{told_time(seconds_to_go)} to go"])])


def told_validation(row: Row, baselines: Mapping[str, Any]) -> str:
    """Say what a row of validation holds, beside the guessers' scores."""
    loss, accuracy = row.get(f"{PREFIX}loss"), row.get(f"{PREFIX}accuracy")
    if loss is None or accuracy is None:
        return "validation saw no hidden token"
    beside = f" ({told_guessers(baselines)})" if baselines else ""
    return f"validation loss {loss:.4f}{beside}, accuracy {accuracy:.2%}"


def told_guessers(baselines: Mapping[str, Any]) -> str:
    """Say the losses of the guessers."""
    names = {"last_token": "last token", "unigram": "unigram"}
    losses = {name: baselines[guesser]["loss"] for guesser, name in names.items() if guesser in baselines}
    return ", ".join(f"{name} {loss:.4f}" for name, loss in (losses | {"chance": baselines["chance"]}).items())


def told_time(seconds: float) -> str:
    """Say a duration, with as many digits as a person wants."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _parts(row: Row) -> Iterator[str]:
    loss, accuracy = row.get("loss"), row.get("accuracy")
    if loss is not None:
        yield f"loss {loss:.4f}"
    if accuracy is not None:
        yield f"accuracy {accuracy:.2%}"
    for what in ("words", "samples", "tokens"):
        if (speed := row.get(f"{what}_per_s")) is not None:
            yield f"{_short(speed)} {what}/s"
    mfu, wait = row.get("mfu"), row.get("data_wait")
    if mfu is not None:
        yield f"MFU {mfu:.1%}"
    if wait is not None:
        yield f"waiting for data {wait:.1%}"


def _short(number: float) -> str:
    """A number with its thousands or millions by a letter."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}"
