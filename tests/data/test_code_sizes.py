"""Codes of tokenizers of any size: kept in the fewest bytes that hold them, and read as they were."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from megxl.data.batch import collate
from megxl.data.cached_codes import DamagedCodes, open_codes
from megxl.data.code_grid import WindowGrid
from megxl.data.codes import write_codes
from megxl.data.dataset import WindowDataset
from megxl.data.group_dataset import WordGroupDataset
from megxl.data.groups import Grouping, word_groups
from megxl.data.windows import fixed_windows
from megxl.signals.normalization import scale_blocks
from megxl.sizes import BioCodecConfig
from megxl.store.store import Store
from tests.data.told import STORY, told
from tests.training.small_run import small_codec

SIZES = {
    "one stride, many codes": BioCodecConfig(filters=4, width=16, code_width=4, strides=(5,), levels=1, codes=1024),
    "two strides": BioCodecConfig(filters=4, width=16, code_width=4, strides=(2, 5), levels=8, codes=300),
    "windows of no whole token": BioCodecConfig(filters=4, width=16, code_width=4, strides=(2, 2, 2), codes=16),
    "long tokens": BioCodecConfig(filters=4, width=16, code_width=4, strides=(5, 5), levels=3, codes=256),
}
GRIDS = [WindowGrid(window_s=9.0), Grouping(words=5), Grouping(words=4, layout="contiguous")]


@pytest.fixture
def store(tmp_path) -> Store:
    for number, sensors in enumerate((4, 5)):
        told(tmp_path / "s", STORY[:60], subject=f"sub-{number}", n_sensors=sensors, seed=number)
    return Store(tmp_path / "s")


def items_of(recordings, grid, **options):
    if isinstance(grid, WindowGrid):
        return WindowDataset(fixed_windows(recordings, grid.window_s), seed=0, **options)
    return WordGroupDataset(word_groups(recordings, grid), seed=0, **options)


@pytest.mark.parametrize("config", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("grid", GRIDS, ids=["windows", "tape", "contiguous"])
def test_items_hold_the_codes_of_their_signal_in_the_fewest_bytes(store, config, grid):
    codec, recordings = small_codec(0, config), store.recordings()
    write_codes(store, None, codec, grid)
    items = items_of(recordings, grid, codes=open_codes(recordings, grid, codec))
    item = items[1]
    wanted_CTQ = codec.tokenize(scale_blocks(item.signal_CT[None], 150))[0]
    assert item.codes_CTQ.shape == (4, -(-item.signal_CT.shape[1] // config.samples_per_token), config.levels)
    assert (item.codes_CTQ == wanted_CTQ).float().mean() >= 0.999
    assert len(wanted_CTQ.unique()) > 10, "codes that hardly vary prove nothing"
    assert (int(wanted_CTQ.max()) > 255) is (config.codes > 256)
    assert item.codes_CTQ.dtype == wanted_CTQ.dtype == (torch.uint8 if config.codes <= 256 else torch.int32)
    for path in store.path.rglob("codes.npy"):
        kept = np.load(path)
        assert kept.dtype == (np.uint8 if config.codes <= 256 else np.uint16)
        assert list(kept.shape) == json.loads((path.parent / "codes.json").read_text())["shape"]
    batch = collate([items[0], items[len(items) - 1]], {"armeni": 0})  # of 4 and 5 sensors
    assert batch.codes_BCTQ.shape[1] == 5 and torch.equal(batch.codes_BCTQ[0, :4], items[0].codes_CTQ)
    assert not batch.codes_BCTQ[0, 4].any()


def test_large_codes_in_a_canonical_order_stay_with_their_sensors(store):
    codec, recordings = small_codec(0, SIZES["two strides"]), store.recordings()
    write_codes(store, None, codec, GRIDS[0])
    codes = open_codes(recordings, GRIDS[0], codec)
    item = items_of(recordings, GRIDS[0], codes=codes, channels="canonical")[0]
    there = item.sensor_mask_C
    assert there.tolist().count(True) == 4 and not item.codes_CTQ[~there].any()
    wanted_CTQ = codec.tokenize(scale_blocks(item.signal_CT[there][None], 150))[0]
    assert (item.codes_CTQ[there] == wanted_CTQ).float().mean() >= 0.999


@pytest.mark.parametrize("how", ["a flipped bit", "another type of numbers", "cut short"])
def test_damaged_large_codes_are_refused(store, how):
    codec, recordings = small_codec(0, SIZES["two strides"]), store.recordings()[:1]
    write_codes(store, recordings, codec, GRIDS[0])
    path = next(recordings[0].folder.rglob("codes.npy"))
    content = bytearray(path.read_bytes())
    if how == "a flipped bit":
        content[len(content) // 2] ^= 1
    elif how == "cut short":
        content = content[:-2]
    else:
        content = content.replace(b"<u2", b">u2", 1)
    path.write_bytes(bytes(content))
    with pytest.raises(DamagedCodes):
        items = items_of(recordings, GRIDS[0], codes=open_codes(recordings, GRIDS[0], codec))
        _ = [items[number] for number in range(len(items))]


def test_codes_of_a_tokenizer_of_equal_sizes_and_other_weights_are_not_taken(store):
    config, recordings = SIZES["long tokens"], store.recordings()
    write_codes(store, None, small_codec(0, config), GRIDS[0])
    with pytest.raises(ValueError, match="codes of another tokenizer"):
        open_codes(recordings, GRIDS[0], small_codec(1, config))
    # one number of the encoder is enough: sizes and code books are equal
    changed = small_codec(0, config)
    with torch.no_grad():
        changed.encoder.exit.bias[0] += 1e-3
    assert dataclasses.asdict(changed.config) == dataclasses.asdict(config)
    with pytest.raises(ValueError, match="codes of another tokenizer"):
        open_codes(recordings, GRIDS[0], changed)
