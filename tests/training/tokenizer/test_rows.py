"""Which sensors of a window a step sees, and how they are scaled."""

import pytest
import torch

from megxl.data.batch import Batch, collate
from megxl.data.dataset import Item
from megxl.errors import InputError
from megxl.signals.normalization import scale_blocks
from megxl.training.tokenizer.rows import draw_rows
from tests.store.made import sensors

SAMPLES = 90


def item(seed: int, n_sensors: int = 8, bad: tuple[int, ...] = (), again: bool = False) -> Item:
    """Noise whose first sample says the sensor: seed + sensor / 100."""
    signal_CT = torch.randn(n_sensors, SAMPLES, generator=torch.Generator().manual_seed(seed))
    signal_CT[:, 0] = seed + torch.arange(n_sensors) / 100
    good_C = torch.tensor([place not in bad for place in range(n_sensors)])
    return Item(
        signal_CT=signal_CT,
        codes_CTQ=None,
        sensors=sensors(n_sensors),
        sensor_mask_C=good_C if bad else None,
        sfreq_hz=50.0,
        corpus="armeni",
        key=f"armeni/{seed}",
        start_s=0.0,
        stop_s=SAMPLES / 50,
        seed=seed,
        repeated=again,
    )


def batch(*items: Item) -> Batch:
    return collate(items, {"armeni": 0})


def drawn(batch: Batch, sensors: int | None) -> list[float]:
    """Item and sensor of each row, as their first sample says."""
    return [round(float(first), 2) for first in draw_rows(batch, sensors).signal_N1T[:, 0, 0]]


def test_the_sensors_of_a_window_are_the_same_in_whichever_company():
    alone = drawn(batch(item(3)), 3)
    among = drawn(batch(item(1, 5), item(3), item(2, 20)), 3)
    assert len(alone) == 3 and among[3:6] == alone and len(among) == 9


def test_another_seed_draws_other_sensors_and_all_in_the_end():
    places = [tuple(round(row - seed, 2) for row in drawn(batch(item(seed)), 3)) for seed in range(60)]
    assert len(set(places)) > 30
    assert {place for some in places for place in some} == {round(place / 100, 2) for place in range(8)}
    assert all(len(set(some)) == 3 for some in places)


def test_bad_and_padded_sensors_are_never_drawn():
    for seed in range(40):
        rows = draw_rows(batch(item(seed, 6, bad=(0, 4)), item(seed + 100, 12)), 3)
        firsts = rows.signal_N1T[:, 0, 0]
        assert not any(torch.isclose(firsts, torch.tensor(seed + bad)).any() for bad in (0.0, 0.04))
        assert (firsts >= seed).all() and rows.signal_N1T.abs().sum(-1).min() > 0


def test_without_a_number_all_good_sensors_are_taken_and_a_window_with_fewer_gives_those():
    mixed = batch(item(1, 6, bad=(2,)), item(2, 4))
    everything = [1.0, 1.01, 1.03, 1.04, 1.05, 2.0, 2.01, 2.02, 2.03]
    assert drawn(mixed, None) == drawn(mixed, 7) == everything
    assert len(drawn(mixed, 4)) == 8 and len(drawn(mixed, 5)) == 9
    assert draw_rows(mixed, None).groups == ("armeni/1",) * 5 + ("armeni/2",) * 4


def test_rows_have_seeds_of_their_own_that_go_with_window_and_sensor():
    rows, alone = draw_rows(batch(item(1), item(2)), None), draw_rows(batch(item(2)), None)
    assert len(set(rows.seeds_N.tolist())) == 16 and torch.equal(rows.seeds_N[8:], alone.seeds_N)
    few = draw_rows(batch(item(2)), 3)
    places = [round((first - 2) * 100) for first in few.signal_N1T[:, 0, 0].tolist()]
    assert torch.equal(few.seeds_N, alone.seeds_N[places])


def test_rows_are_scaled_as_their_whole_array_would_be():
    signal_CT = item(0).signal_CT
    assert signal_CT is not None
    for block_s, block in ((0.6, 30), (None, SAMPLES)):
        rows = draw_rows(batch(item(0)), None).scaled(block_s, 1.5)
        wanted_CT = scale_blocks(signal_CT[None], block, 1.5)[0]
        torch.testing.assert_close(rows.signal_N1T[:, 0], wanted_CT, rtol=0, atol=0)


def test_windows_that_only_level_the_ranks_are_not_counted():
    rows = draw_rows(batch(item(1), item(2, again=True), item(3)), 2)
    kept = rows.counted()
    assert kept.groups == ("armeni/1",) * 2 + ("armeni/3",) * 2 and kept.counted_N is None
    assert torch.equal(kept.signal_N1T, rows.signal_N1T[[0, 1, 4, 5]])
    assert torch.equal(kept.seeds_N, rows.seeds_N[[0, 1, 4, 5]])


def test_a_window_without_a_good_sensor_is_named():
    with pytest.raises(InputError, match=r"All sensors of armeni/2 are marked bad: .*data\.bads=keep"):
        draw_rows(batch(item(1), item(2, 4, bad=(0, 1, 2, 3))), 2)
