"""Signals during training: the first one ends it after the optimiser step that is under way, a second one at once."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

import torch

from megxl.errors import InputError

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ModuleNotFoundError as error:
    raise InputError("Training needs Lightning: pip install 'megxl[train]'.") from error

if TYPE_CHECKING:
    from megxl.data.loading import RecordingLoader

SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1") if hasattr(signal, name))
"""Of people, containers and batch systems; SIGUSR1 is what SLURM is asked to send before the time is over."""


class Stopped(SystemExit):
    """A training that a signal has ended, and that goes on with ``resume=true``; the exit code is 128 and the signal.

    Parameters
    ----------
    number : int
        Of the signal.
    sentence : str
        What was saved and how to go on, for a person.
    """

    def __init__(self, number: int, sentence: str) -> None:
        super().__init__(128 + number)
        self.number = number
        self.sentence = sentence


class StopRequest(Callback):
    """Remembers the first signal; whoever saves asks for it when nothing is half done.

    Use `listening` around a training. As a callback it takes the signals back that the Trainer claims when it starts,
    and makes the workers of the loaders deaf to them: a batch system signals all processes of a job, and the training
    needs its workers until the step is done.
    """

    def __init__(self) -> None:
        self.number = 0
        """Of the signal; 0: none came."""
        self._between_hosts: Any = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals over, and give them back."""
        if threading.current_thread() is not threading.main_thread():  # only there can signals be handled
            yield
            return
        before = {number: signal.getsignal(number) for number in SIGNALS}
        self._claim()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def agreed(self, trainer: Trainer) -> int:
        """Number of a signal that came to any rank; 0: none. All ranks ask after the same step."""
        if trainer.world_size == 1:
            return self.number
        number = torch.tensor(self.number)
        torch.distributed.all_reduce(number, torch.distributed.ReduceOp.MAX, self._between_hosts)
        return int(number)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take over from the Trainer, which would stop between accumulated batches and save nothing."""
        if threading.current_thread() is threading.main_thread():
            self._claim()
        if trainer.world_size > 1:
            # the question goes from processor to processor: no step waits for a GPU
            self._between_hosts = torch.distributed.new_group(backend="gloo")
        for loader in _loaders(trainer.train_dataloader) + _loaders(trainer.val_dataloaders):
            loader.worker_init_fn, loader.starting = ignore_signals, held_back

    def _claim(self) -> None:
        for number in SIGNALS:
            signal.signal(number, self._take)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self.number:
            signal.signal(number, signal.SIG_IGN)  # a third one must not disturb the clearing up
            raise Stopped(number, "Stopped at once: what came after the newest checkpoint is trained again on resume.")
        self.number = number


@contextmanager
def held_back() -> Iterator[None]:
    """Hold SIGTERM back for the time; processes that are started, and all their threads, go on with that.

    A worker has threads before anything of ours runs in it, if its parent had set their number, and one of them would
    take the signal.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_signals(worker: int) -> None:
    """Make a worker of a loader deaf to signals, but for the SIGTERM by which the training ends its workers.

    It has to be started while SIGTERM is `held_back`.
    """
    for number in SIGNALS:
        if number != signal.SIGTERM:
            signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):
        # a handler would not know who sends a signal; a thread that waits for it does
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_for_the_training_alone, daemon=True).start()


def _end_for_the_training_alone() -> None:
    training = multiprocessing.parent_process()
    while True:
        told = signal.sigwaitinfo({signal.SIGTERM})
        if training is not None and told.si_pid == training.pid:
            os._exit(0)


def _loaders(loaders: Any) -> "list[RecordingLoader]":
    return list(loaders) if isinstance(loaders, list | tuple) else [loaders] if loaders is not None else []
