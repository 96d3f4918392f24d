"""Batches: items side by side, padding zero and masked, the same numbers after any move."""

import numpy as np
import pytest
import torch

from megxl.data.batch import Batch, collate, corpus_ids
from megxl.data.dataset import Item
from megxl.errors import InputError
from tests.data.small import sensors


def item(n_sensors: int = 5, samples: int = 300, corpus: str = "a", **fields) -> Item:
    known = {
        "signal_CT": torch.randn(n_sensors, samples) * 1e-12,
        "sensors": sensors(n_sensors),
        "sensor_mask_C": None,
        "sfreq_hz": 50.0,
        "corpus": corpus,
        "key": f"{corpus}/sub-1",
        "start_s": 3.0,
        "stop_s": 3.0 + samples / 50,
        "seed": 2**62 + 1,
    }
    return Item(**(known | fields))


IDS = {"a": 0, "b": 7}


def test_like_items_need_no_mask():
    items = [item(), item(corpus="b")]
    batch = collate(items, IDS)
    assert batch.sensor_mask_BC is None and batch.words is None and batch.codes_BCTQ is None
    for row, one in enumerate(items):
        torch.testing.assert_close(batch.signal_BCT[row], one.signal_CT, rtol=0, atol=0)
    assert batch.corpora == ("a", "b") and batch.corpus_B.tolist() == [0, 7] and len(batch) == 2
    assert batch.seeds_B.tolist() == [2**62 + 1] * 2 and batch.start_s_B.tolist() == [3.0, 3.0]


def test_mixed_arrays_are_padded_with_zeros_and_masked():
    good_C = torch.tensor([True, False, True])
    items = [item(3, sensor_mask_C=good_C), item(5), item(4)]
    batch = collate(items, IDS)
    assert batch.sensor_mask_BC.tolist() == [
        [True, False, True, False, False],
        [True] * 5,
        [True, True, True, True, False],
    ]
    assert batch.signal_BCT.shape == (3, 5, 300)
    assert not batch.signal_BCT[0, 3:].any() and not batch.sensors.positions_BC3[0, 3:].any()
    torch.testing.assert_close(batch.signal_BCT[0, :3], items[0].signal_CT, rtol=0, atol=0)


def test_a_bad_sensor_alone_makes_a_mask():
    batch = collate([item(), item(sensor_mask_C=torch.tensor([True] * 4 + [False]))], IDS)
    assert batch.sensor_mask_BC.tolist() == [[True] * 5, [True] * 4 + [False]]


def test_positions_are_centred_over_all_sensors_bad_ones_too():
    batch = collate([item(4, sensor_mask_C=torch.tensor([False, True, True, True])), item(5)], IDS)
    places = sensors(4).positions_C3 - sensors(4).positions_C3.mean(0)  # in float64, by hand
    places /= np.sqrt(3 * (places**2).sum(1).mean())
    np.testing.assert_allclose(batch.sensors.positions_BC3[0, :4], places, rtol=0, atol=1e-6)


def test_normalising_is_the_published_formula_and_leaves_padding_zero():
    items = [item(3, samples=320), item(5, samples=320)]
    scaled = collate(items, IDS).normalized(3.0).signal_BCT.numpy()
    for row, one in enumerate(items):
        signal = one.signal_CT.double().numpy()
        for start in range(0, 320, 150):
            block = signal[:, start : start + 150]
            low, middle, high = np.percentile(block, [25, 50, 75], axis=1)[..., None]
            expected = np.clip((block - middle) / (high - low), -5, 5)
            np.testing.assert_allclose(scaled[row, : len(block), start : start + 150], expected, atol=1e-5)
    assert not scaled[0, 3:].any()


def test_codes_are_padded_as_they_are():
    codes = [torch.randint(256, (n, 25, 6), dtype=torch.uint8) for n in (3, 5)]
    items = [item(len(some), signal_CT=None, codes_CTQ=some) for some in codes]
    batch = collate(items, IDS)
    assert batch.signal_BCT is None and batch.codes_BCTQ.dtype == torch.uint8
    assert torch.equal(batch.codes_BCTQ[0, :3], codes[0]) and not batch.codes_BCTQ[0, 3:].any()
    assert batch.normalized() is batch


def test_words_come_along():
    items = [item(words=("one", "two"), word_starts_W=torch.tensor([0, 150 + n])) for n in range(2)]
    batch = collate(items, IDS)
    assert batch.words == (("one", "two"), ("one", "two"))
    assert batch.word_starts_BW.tolist() == [[0, 150], [0, 151]]


def test_items_of_different_numbers_of_words_are_padded_with_minus_one():
    items = [item(words=("one", "two")[: n + 1], word_starts_W=torch.tensor([0, 150][: n + 1])) for n in range(2)]
    batch = collate(items, IDS)
    assert batch.words == (("one",), ("one", "two"))
    assert batch.word_starts_BW.tolist() == [[0, -1], [0, 150]]


def test_items_that_come_twice_are_marked():
    assert collate([item(), item()], IDS).repeated_B is None
    assert collate([item(), item(repeated=True)], IDS).repeated_B.tolist() == [False, True]


def test_moving_a_batch_moves_every_tensor():
    batch = collate([item(3), item(5, sensor_mask_C=torch.tensor([False] + [True] * 4))], IDS)
    moved = batch.to("meta")
    tensors = [part for part in vars(moved).values() if isinstance(part, torch.Tensor)]
    assert len(tensors) == 5 and all(part.is_meta for part in [*tensors, *moved.sensors])
    assert moved.keys == batch.keys and isinstance(moved, Batch)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"samples": 299}, "different samples: 299 and 300"),
        ({"sfreq_hz": 60.0}, r"different rates \(Hz\): 60.0 and 50.0"),
        ({"signal_CT": None, "codes_CTQ": torch.zeros(5, 25, 6)}, "different samples: None and 300"),
        ({"words": ("one",)}, "different knowledge of words: words and none"),
        ({"corpus": "c"}, "'c' has no number; there are: a, b"),
    ],
)
def test_items_that_are_not_alike_are_refused(other, words):
    with pytest.raises(InputError, match=words):
        collate([item(), item(**other)], IDS)


def test_no_items_make_no_batch():
    with pytest.raises(InputError, match="No item"):
        collate([], IDS)


def test_corpora_are_numbered_by_name_however_they_are_listed():
    assert corpus_ids(["smn4lang", "camcan", "mous"]) == corpus_ids(["mous", "smn4lang", "camcan", "mous"])
    assert corpus_ids(["b", "a"]) == {"a": 0, "b": 1}
