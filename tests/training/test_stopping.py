"""Signals: the first is remembered, a second ends at once, workers are deaf, and all are given back."""

import multiprocessing
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch.utils.data import Dataset

pytest.importorskip("lightning.pytorch")

from megxl.data.loading import RecordingLoader
from megxl.training.stopping import SIGNALS, Stopped, StopRequest, held_back, ignore_signals


def of_ranks(world_size: int) -> Any:
    """Trainer as `StopRequest` sees it."""
    return SimpleNamespace(world_size=world_size, train_dataloader=None, val_dataloaders=None)


def asked_on_a_rank(rank: int, folder: Path) -> None:
    """Ask twice: before any signal, and when one came to the second rank."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=2)
    stop = StopRequest()
    with stop.listening():
        stop.on_train_start(of_ranks(2), cast(Any, None))
        before = stop.agreed(of_ranks(2))
        if rank == 1:
            os.kill(os.getpid(), signal.SIGUSR1)
        (folder / f"{rank}").write_text(f"{before} {stop.agreed(of_ranks(2))}")
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_is_remembered_and_the_second_ends_at_once(number):
    stop = StopRequest()
    with stop.listening():
        assert stop.agreed(of_ranks(1)) == 0
        os.kill(os.getpid(), number)
        assert stop.agreed(of_ranks(1)) == number
        with pytest.raises(Stopped) as stopped:
            os.kill(os.getpid(), number)
        assert stopped.value.code == 128 + number and "resume" in stopped.value.sentence
        os.kill(os.getpid(), number)  # a third one disturbs nobody


def test_signals_are_given_back():
    before = [signal.getsignal(number) for number in SIGNALS]
    with StopRequest().listening():
        assert signal.getsignal(signal.SIGTERM) not in before
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.slow
def test_a_signal_to_one_rank_stops_all(tmp_path):
    torch.multiprocessing.spawn(asked_on_a_rank, (tmp_path,), nprocs=2)
    assert [(tmp_path / f"{rank}").read_text() for rank in (0, 1)] == [f"0 {int(signal.SIGUSR1)}"] * 2


class Killing(Dataset):
    """Its items signal the process that makes them."""

    def __len__(self) -> int:
        return len(SIGNALS)

    def __getitem__(self, index: int) -> torch.Tensor:
        os.kill(os.getpid(), SIGNALS[index])
        return torch.tensor(index)


@pytest.fixture(params=["plain", "with threads"])
def deaf(request) -> Iterator[Callable[[Dataset], Any]]:
    """Makes a loader as a training has it, in a process whose workers have threads before they run anything, or not."""
    threads = torch.get_num_threads()
    if request.param == "with threads":
        torch.set_num_threads(3)

    def loader_of(dataset: Dataset) -> Any:
        loader: Any = RecordingLoader(dataset, num_workers=1, batch_size=None)
        StopRequest().on_train_start(
            cast(Any, SimpleNamespace(world_size=1, train_dataloader=loader, val_dataloaders=None)), cast(Any, None)
        )
        return loader

    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield loader_of
    for number, handler in before.items():
        signal.signal(number, handler)
    torch.set_num_threads(threads)


def test_workers_are_deaf(deaf):
    assert [int(item) for item in deaf(Killing())] == list(range(len(SIGNALS)))
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, set())


class Waiting(Dataset):
    """Its first item comes, the second never."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> torch.Tensor:
        time.sleep(600 * index)
        return torch.tensor(index)


def test_workers_end_when_the_training_ends_them(deaf):
    items = iter(deaf(Waiting()))
    next(items)
    (worker,) = multiprocessing.active_children()
    subprocess.run(["kill", str(worker.pid)], check=True)  # by another process, as of a batch system
    worker.join(0.3)
    assert worker.is_alive()
    worker.terminate()
    worker.join(10)
    assert not worker.is_alive()


def test_the_loaders_of_a_training_get_deaf_workers():
    stop = StopRequest()
    train, validation = (RecordingLoader(cast(Dataset, [1, 2])) for _ in range(2))
    with stop.listening():
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # as the Trainer claims it
        stop.on_train_start(
            cast(Any, SimpleNamespace(world_size=1, train_dataloader=train, val_dataloaders=[validation])),
            cast(Any, None),
        )
        os.kill(os.getpid(), signal.SIGTERM)
    assert train.worker_init_fn is validation.worker_init_fn is ignore_signals
    assert train.starting is validation.starting is held_back
    assert stop.number == signal.SIGTERM
