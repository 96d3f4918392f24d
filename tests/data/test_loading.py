"""Loaders: the sampler's batches, whatever process reads them, and the order of the epoch that was told last."""

import subprocess
import sys

import pytest
import torch

from megxl.data.batch import collate
from megxl.data.dataset import WindowDataset
from megxl.data.loading import RecordingLoader, make_loader
from megxl.data.sampling import RecordingBatchSampler
from megxl.data.windows import fixed_windows
from megxl.store import Store
from tests.data.small import sensors, small_store

IDS = {"a": 0}


@pytest.fixture
def store(tmp_path) -> Store:
    return small_store(tmp_path / "store", {"a": [470, 365, 275, 320]}, array=sensors(3))


def loader(store: Store, **options) -> RecordingLoader:
    items = WindowDataset(fixed_windows(store.recordings(), 1.0), seed=1, jitter=True)
    return make_loader(items, RecordingBatchSampler(items.layout, batch_size=3, seed=1), IDS, **options)


@pytest.mark.parametrize(
    "method",
    ["fork", pytest.param("spawn", marks=pytest.mark.slow), pytest.param("forkserver", marks=pytest.mark.slow)],
)
def test_workers_of_any_kind_give_the_sampler_s_batches_in_every_epoch(store, method):
    loading = loader(store, num_workers=4, start_method=method)
    items, sampler = loading.dataset, loading.batch_sampler
    items[0]  # the parent has read before it forks
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        wanted = [collate([items[draw] for draw in draws], IDS) for draws in sampler]
        for batch, expected in zip(loading, wanted, strict=True):
            assert batch.keys == expected.keys and batch.start_s_B.tolist() == expected.start_s_B.tolist()
            torch.testing.assert_close(batch.signal_BCT, expected.signal_BCT, rtol=0, atol=0)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_epoch_may_be_told_after_the_iterator_is_made(store, workers):
    loading = loader(store, num_workers=workers)
    iterator = iter(loading)
    loading.batch_sampler.set_epoch(5)
    wanted = [[loading.dataset[draw].seed for draw in draws] for draws in loading.batch_sampler]
    assert [batch.seeds_B.tolist() for batch in iterator] == wanted


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loop_without_lightning_resumes_after_the_batch_it_was_trained_on(store, workers):
    whole = [batch.seeds_B.tolist() for batch in loader(store)]
    first = loader(store, num_workers=workers)
    for done, _ in enumerate(first, 1):
        first.batch_sampler.advance()
        if done == 4:
            break
    second = loader(store, num_workers=workers)
    second.load_state_dict(first.state_dict())
    assert [batch.seeds_B.tolist() for batch in second] == whole[4:]


def test_the_room_can_be_used_without_lightning_and_mne():
    code = (
        "import sys, megxl.data.loading, megxl.data.sources\n"
        "heavy = {'mne', 'lightning', 'pandas', 'h5py', 'matplotlib', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
