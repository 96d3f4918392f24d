"""Stored rotary tables: the formula in double precision, the published bits, no other code of positions."""

import numpy as np
import pytest
import torch

from megxl.checkpoints.rope import check_rope, rope_tables
from megxl.errors import InputError
from tests.checkpoints.making import MODEL, model_state


def test_tables_are_the_formula_in_double_precision():
    frequencies, rotations = rope_tables(64, 240)
    exact = 10000.0 ** (-2 * np.arange(16) / 32)
    np.testing.assert_allclose(frequencies.numpy(), exact, rtol=1e-6)
    np.testing.assert_allclose(rotations.numpy(), np.exp(1j * np.outer(np.arange(240), exact)), atol=3e-5)


def test_tables_are_the_published_ones_bit_by_bit(shared):
    state = torch.load(shared / "golden" / "megxl_small.ckpt")["state_dict"]
    frequencies, rotations = rope_tables(64, 240)
    for n in range(3):
        name = f"criss_cross_transformer.layers.{n}.time_attn.rope_embedding_layer"
        assert torch.equal(state[f"{name}.freqs"], frequencies)
        assert torch.equal(state[f"{name}.rotate"], rotations)


def test_the_length_is_that_of_the_stored_table():
    assert check_rope(model_state(rope_length=77), MODEL, "f") == 77


def test_absent_tables_are_no_error():
    state = {name: tensor for name, tensor in model_state().items() if "rope" not in name}
    assert check_rope(state, MODEL, "f") == 240


@pytest.mark.parametrize("change", [lambda t: t * 1.001, lambda t: t[..., :-1], lambda t: t.flip(-1)])
@pytest.mark.parametrize("table", ["freqs", "rotate"])
def test_another_position_code_is_refused(table, change):
    state, name = model_state(), f"criss_cross_transformer.layers.1.time_attn.rope_embedding_layer.{table}"
    state[name] = change(state[name])
    with pytest.raises(InputError, match=rf"file\.ckpt: criss_cross.*layers\.1\..*{table}.*another position code"):
        check_rope(state, MODEL, "file.ckpt")
