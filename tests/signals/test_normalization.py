"""Block scaling, against the published formula in float64 for any length, block and limit."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from megxl.errors import InputError
from megxl.signals.normalization import scale_blocks


def published(x_T: np.ndarray, block: int, limit: float) -> np.ndarray:
    """The formula for one sensor, block after block, in float64."""
    pieces = []
    for start in range(0, len(x_T), block):
        piece = x_T[start : start + block].astype(np.float64)
        scale = np.percentile(piece, 75) - np.percentile(piece, 25)
        scale = 1.0 if scale < 10 * np.finfo(float).eps else scale
        pieces.append(np.clip((piece - np.median(piece)) / scale, -limit, limit))
    return np.concatenate(pieces)


def published_all(x_BCT: np.ndarray, block: int = 150, limit: float = 5.0) -> np.ndarray:
    return np.apply_along_axis(published, -1, x_BCT, block, limit)


@pytest.mark.parametrize("samples", [1, 2, 3, 149, 150, 151, 299, 300, 470])
def test_equals_the_published_formula_for_any_length(samples):
    x_BCT = np.random.default_rng(samples).standard_t(2, size=(2, 5, samples)) * 1e-12
    scaled = scale_blocks(torch.from_numpy(x_BCT)).numpy()
    np.testing.assert_allclose(scaled, published_all(x_BCT), rtol=0, atol=1e-12)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 60), st.integers(1, 25), st.floats(0.1, 20), st.integers(0, 2**32 - 1))
def test_equals_the_published_formula_for_any_block_and_limit(samples, block, limit, seed):
    x_BCT = np.random.default_rng(seed).integers(-4, 5, size=(1, 3, samples)) * 0.25  # many ties, many flat blocks
    scaled = scale_blocks(torch.from_numpy(x_BCT), block=block, limit=limit).numpy()
    np.testing.assert_allclose(scaled, published_all(x_BCT, block, limit), rtol=0, atol=1e-12)


def test_equals_the_published_code(shared):
    golden = np.load(shared / "golden" / "data_reference.npz")
    x_CT, out_CT = golden["stageB/in"], golden["stageB/out_50hz"]
    finite_C = np.isfinite(x_CT).all(axis=1)  # the published code lets one NaN spoil a whole block, see below
    assert (~finite_C).sum() == 2
    scaled_CT = scale_blocks(torch.from_numpy(x_CT)[None])[0].numpy()
    np.testing.assert_allclose(scaled_CT[finite_C], out_CT[finite_C], rtol=0, atol=1e-12)
    short_CT = scale_blocks(torch.from_numpy(x_CT[finite_C, :120])[None])[0].numpy()
    np.testing.assert_allclose(short_CT, golden["stageB/out_50hz_short"][finite_C], rtol=0, atol=1e-12)
    clip3_CT = scale_blocks(torch.from_numpy(x_CT[finite_C])[None], block=200, limit=3.0)[0].numpy()
    np.testing.assert_allclose(clip3_CT, golden["stageB/out_100hz_2s_clip3"][finite_C], rtol=0, atol=1e-12)


def test_flat_sensors_become_exactly_zero_even_far_from_zero():
    x_BCT = torch.tensor([0.0, 3.7e-9, -1e5]).repeat_interleave(333).reshape(1, 3, 333).double()
    assert (scale_blocks(x_BCT) == 0).all()


def test_rounding_noise_is_not_blown_up():
    x_BCT = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 1, 150)) * 1e-16)
    assert scale_blocks(x_BCT).abs().max() < 1e-14


def test_a_large_offset_costs_no_digits():
    quiet = np.random.default_rng(1).normal(size=(1, 4, 450)) * 5e-13
    x_BCT = quiet + 1e-9  # as in CTF recordings
    scaled = scale_blocks(torch.from_numpy(x_BCT)).numpy()
    np.testing.assert_allclose(scaled, published_all(quiet), rtol=0, atol=1e-6)


def test_float32_input_is_worked_on_in_float64():
    x_BCT = (np.random.default_rng(2).normal(size=(1, 4, 450)) * 1e-12 + 3e-12).astype(np.float32)
    scaled = scale_blocks(torch.from_numpy(x_BCT))
    assert scaled.dtype == torch.float32
    np.testing.assert_allclose(scaled.numpy(), published_all(x_BCT), rtol=0, atol=3e-7)


@pytest.mark.parametrize(
    ("given_type", "returned"),
    [(torch.float64, torch.float64), (torch.float32, torch.float32), (torch.bfloat16, torch.float32)],
)
def test_the_type_that_comes_back(given_type, returned):
    assert scale_blocks(torch.randn(1, 2, 10).to(given_type)).dtype == returned


def test_nan_stays_where_it_is_and_out_of_the_statistics():
    x_BCT = np.random.default_rng(3).normal(size=(1, 1, 300))
    x_BCT[0, 0, 7] = np.nan
    scaled = scale_blocks(torch.from_numpy(x_BCT)).numpy()[0, 0]
    others = np.delete(x_BCT[0, 0, :150], 7)
    np.testing.assert_allclose(np.delete(scaled[:150], 7), published(others, 150, 5.0), rtol=0, atol=1e-12)
    assert np.flatnonzero(np.isnan(scaled)).tolist() == [7]


def test_blocks_and_sensors_do_not_see_each_other():
    x_BCT = torch.randn(2, 3, 450, dtype=torch.float64)
    scaled = scale_blocks(x_BCT)
    changed = x_BCT.clone()
    changed[1, 2, 150:300] *= torch.randn(150, dtype=torch.float64)
    different = (scale_blocks(changed) != scaled).nonzero()
    assert (different[:, :2] == torch.tensor([1, 2])).all()
    assert different[:, 2].min() >= 150
    assert different[:, 2].max() < 300


def test_more_samples_than_torch_quantile_takes():
    x_BCT = torch.zeros(1, 1, 17_000_000)
    x_BCT[0, 0, -1] = 1.0
    assert scale_blocks(x_BCT, block=17_000_000)[0, 0, -1] == 1.0  # IQR 0: not divided


def test_the_input_is_left_alone():
    x_BCT = torch.randn(1, 2, 160, dtype=torch.float64)
    before = x_BCT.clone()
    scale_blocks(x_BCT)
    assert torch.equal(x_BCT, before)


@pytest.mark.parametrize(
    ("signal", "options"),
    [
        (torch.zeros(3, 10), {}),
        (torch.zeros(1, 3, 0), {}),
        (torch.zeros(1, 3, 10, dtype=torch.int64), {}),
        (torch.zeros(1, 3, 10), {"block": 0}),
        (torch.zeros(1, 3, 10), {"limit": 0.0}),
        (torch.zeros(1, 3, 10), {"limit": float("nan")}),
    ],
)
def test_bad_input_is_refused(signal, options):
    with pytest.raises(InputError, match=r"allowed|at least|above"):
        scale_blocks(signal, **options)


def test_the_module_imports_with_torch_alone():
    code = (
        "import sys, json, megxl.signals.normalization; "
        "print(json.dumps([m for m in ('mne', 'scipy', 'sklearn') if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
