"""Items: what the store holds at the window's place, masked and described; safe in any process."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

from megxl.data.channels import canonical_order
from megxl.data.dataset import Draw, WindowDataset
from megxl.data.windows import fixed_windows
from megxl.errors import InputError
from megxl.store import Store
from tests.data.small import sensors, small_store
from tests.store.made import prepared
from tests.store.made import put as put_made


def dataset(store: Store, window_s: float = 4.0, **options) -> WindowDataset:
    return WindowDataset(fixed_windows(store.recordings(), window_s), **({"seed": 0} | options))


@pytest.fixture
def store(tmp_path) -> Store:
    return small_store(tmp_path / "store", {"a": [450, 399], "b": [650]})


def test_an_item_is_the_stretch_of_the_store_that_its_window_names(store):
    items = dataset(store)
    assert len(items) == 2 + 1 + 3
    places = [
        ("a/sub-00", 0),
        ("a/sub-00", 200),
        ("a/sub-01", 0),
        ("b/sub-00", 0),
        ("b/sub-00", 200),
        ("b/sub-00", 400),
    ]
    for n, (key, start) in enumerate(places):
        item = items[n]
        assert (item.key, item.corpus, item.start_s, item.stop_s) == (key, key[0], start / 50, start / 50 + 4)
        assert item.signal_CT is not None and item.signal_CT.dtype == torch.float32
        np.testing.assert_array_equal(item.signal_CT, store.recording(key).read()[:, start : start + 200])
        assert item.sensors == store.recording(key).sensors


def test_shifted_items_are_the_stretch_that_they_say(store):
    items = dataset(store, jitter=True)
    starts = set()
    for epoch in range(30):
        item = items[Draw(1, epoch)]
        start = round(item.start_s * 50)
        starts.add(start)
        np.testing.assert_array_equal(item.signal_CT, store.recording("a/sub-00").read()[:, start : start + 200])
    assert len(starts) > 15 and min(starts) >= 200 and max(starts) <= 250


def test_seeds_depend_on_epoch_and_item_alone(store):
    items, again = dataset(store), dataset(store)
    seeds = [items[Draw(n, epoch)].seed for n in range(6) for epoch in range(3)]
    assert seeds == [again[Draw(n, epoch)].seed for n in range(6) for epoch in range(3)]
    assert len(set(seeds)) == len(seeds) and all(0 <= seed < 2**63 for seed in seeds)
    assert items[2].seed == items[Draw(2, 0)].seed != dataset(store, seed=1)[2].seed


class Codes:
    """Codes that tell where they are from."""

    def read(self, recording, start, stop):
        tokens = np.arange(start // 10, stop // 10) % 256
        return np.broadcast_to(tokens[:, None], (len(recording.sensors), len(tokens), 2)).astype(np.uint8)


def test_codes_stand_beside_or_in_the_place_of_the_signal(store):
    both, codes = dataset(store, codes=Codes())[4], dataset(store, codes=Codes(), signal=False)[4]
    assert both.signal_CT is not None and codes.signal_CT is None
    for item in (both, codes):
        assert item.codes_CTQ.dtype == torch.uint8
        assert item.codes_CTQ[3, :, 1].tolist() == list(range(20, 40))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"signal": False}, "needs codes"),
        ({"codes": Codes(), "jitter": True}, "stay in place"),
    ],
)
def test_options_that_cannot_be_are_refused(store, options, words):
    with pytest.raises(InputError, match=words):
        dataset(store, **options)


def test_an_index_outside_is_refused(store):
    for index in (6, -1):
        with pytest.raises(IndexError):
            dataset(store)[index]


def test_the_fingerprint_tells_other_windows_and_other_recordings(store, tmp_path):
    prints = {
        dataset(store).layout.fingerprint,
        dataset(store, window_s=2.0).layout.fingerprint,
        WindowDataset(fixed_windows(store.recordings(corpus="a"), 4.0), seed=0).layout.fingerprint,
        WindowDataset(fixed_windows(store.recordings()[::-1], 4.0), seed=0).layout.fingerprint,
    }
    assert len(prints) == 4
    assert dataset(Store(store.path), seed=5).layout.fingerprint in prints


def test_the_fingerprint_tells_other_rows_masks_and_shifts(store):
    options = [{}, {"jitter": True}, {"bads": "keep"}, {"channels": "canonical"}]
    fewer = {name: canonical_order(store.recordings(corpus=name), sensors(4).names) for name in ("a", "b")}
    options.append({"channels": fewer})
    assert len({dataset(store, **some).layout.fingerprint for some in options}) == 5


def test_a_pickled_dataset_is_small(tmp_path):
    words = [{"text": f"word{number}", "onset_s": 0.3 * number} for number in range(800)]
    store = Store.create(tmp_path / "many")
    for number in range(20):
        put_made(store, f"a/sub-{number:02d}", prepared(20.0, 100), words=words)
    items = WindowDataset(fixed_windows(store.recordings(), 10.0), seed=0, channels="canonical")
    for number in range(len(items)):
        items[number]
    assert len(pickle.dumps(items)) < 60_000  # 20 recordings whose words alone would take 700 kB


def test_the_layout_says_whose_items_they_are(store):
    layout = dataset(store).layout
    assert layout.recording_N.tolist() == [0, 0, 1, 2, 2, 2]
    assert layout.sensors_N.tolist() == [5] * 6


def test_a_dataset_survives_pickling_after_it_was_read(store):
    items = dataset(store)
    items[3]
    torch.testing.assert_close(pickle.loads(pickle.dumps(items))[3].signal_CT, items[3].signal_CT, rtol=0, atol=0)


MANY = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
from torch.utils.data import DataLoader
from megxl.data.dataset import WindowDataset
from megxl.data.windows import fixed_windows
from megxl.store import Store
items = WindowDataset(fixed_windows(Store(sys.argv[1]).recordings(), 1.0), seed=0)
for workers in (0, 2):
    keys = {item.key for item in DataLoader(items, batch_size=None, num_workers=workers)}
    assert len(keys) == 500, len(keys)
"""


@pytest.mark.slow
def test_500_recordings_need_no_500_open_files(tmp_path):
    store = small_store(tmp_path / "store", {"a": [50] * 500}, array=sensors(2))
    run = subprocess.run([sys.executable, "-c", MANY, store.path], capture_output=True, text=True, timeout=240)
    assert run.returncode == 0, run.stderr
