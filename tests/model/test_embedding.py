"""Token embedding: codes, Fourier features, sensor kinds, padding of arrays."""

import numpy as np
import pytest
import torch

from megxl.errors import InputError
from megxl.model.embedding import FourierProjection, SensorTensors, TokenEmbedding
from megxl.model.inputs import batch_sensors, prepare_sensors
from megxl.signals.sensors import ELECTRODE, SensorArray
from megxl.sizes import MEGXLConfig

CONFIG = MEGXLConfig(width=32, layers=1, heads=4, fourier_width=10, codes=16, code_width=4, levels=3)


def array(count: int, seed: int = 0, kind: int = 1) -> SensorArray:
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(count, 3))
    return SensorArray(
        names=tuple(f"S{i}" for i in range(count)),
        positions_C3=rng.normal(size=(count, 3)) * 0.1,
        orientations_C3=directions / np.linalg.norm(directions, axis=1, keepdims=True),
        kinds_C=np.full(count, kind),
    )


def test_fourier_features_are_all_sines_then_all_cosines():
    module = FourierProjection(10, 6, 1.8).double()
    v = torch.randn(2, 4, 3, dtype=torch.float64)
    phase = 2 * np.pi * v.numpy() @ module.frequencies.numpy()
    features = np.concatenate([np.sin(phase), np.cos(phase)], axis=-1)
    linear = module.projection
    expected = features @ linear.weight.detach().numpy().T + linear.bias.detach().numpy()
    np.testing.assert_allclose(module(v).detach().numpy(), expected, rtol=0, atol=1e-12)


def test_fourier_frequencies_have_the_published_spread():
    embedding = TokenEmbedding(MEGXLConfig(fourier_width=20_000))
    assert embedding.position.frequencies.std().item() == pytest.approx(1.8, rel=0.03)
    assert embedding.orientation.frequencies.std().item() == pytest.approx(1.0, rel=0.03)


def test_a_token_is_its_codes_plus_its_sensor_and_a_hidden_one_the_mask_vector_plus_its_sensor():
    embedding = TokenEmbedding(CONFIG)
    codes = torch.randint(16, (2, 5, 4, 3))
    sensors, _ = batch_sensors([array(5), array(5, 1)])
    mask = torch.rand(2, 5, 4) < 0.5
    out = embedding(codes, sensors, mask)
    terms = embedding.sensor_vectors(sensors)
    for b in range(2):
        for c in range(5):
            for t in range(4):
                vectors = torch.cat([embedding.code_books[q, codes[b, c, t, q]] for q in range(3)])
                content = embedding.mask_vector if mask[b, c, t] else embedding.code_projection(vectors)
                torch.testing.assert_close(out[b, c, t], content + terms[b, c], rtol=0, atol=1e-5)


def test_codes_of_one_byte_and_of_eight_are_the_same():
    embedding = TokenEmbedding(MEGXLConfig(width=32, layers=1, heads=4))
    codes = torch.randint(256, (1, 2, 3, 6))
    assert torch.equal(embedding.code_vectors(codes.to(torch.uint8)), embedding.code_vectors(codes))


def test_electrodes_get_the_mean_of_the_two_coil_rows_or_their_own_third():
    positions, orientations = torch.randn(1, 1, 3), torch.zeros(1, 1, 3)

    def kind_vector(embedding, kind):
        sensors = SensorTensors(positions, orientations, torch.tensor([[kind]]))
        return embedding.sensor_vectors(sensors)

    two = TokenEmbedding(CONFIG)
    mean = (kind_vector(two, 0) + kind_vector(two, 1)) / 2
    torch.testing.assert_close(kind_vector(two, ELECTRODE), mean, rtol=0, atol=1e-6)
    three = TokenEmbedding(MEGXLConfig(width=32, layers=1, heads=4, fourier_width=10, sensor_kinds=3))
    difference = kind_vector(three, ELECTRODE) - kind_vector(three, 0)
    row_difference = three.kind.weight[2] - three.kind.weight[0]
    torch.testing.assert_close(difference[0, 0], row_difference, rtol=0, atol=1e-5)


def test_arrays_of_one_size_need_no_mask_and_others_are_padded_at_the_end():
    same, no_mask = batch_sensors([array(4), array(4, 1)])
    assert no_mask is None and same.kinds_BC.shape == (2, 4)
    mixed, mask = batch_sensors([array(4), array(2, 1)])
    assert mask.tolist() == [[True] * 4, [True, True, False, False]]
    assert not mixed.positions_BC3[1, 2:].any() and not mixed.kinds_BC[1, 2:].any()
    np.testing.assert_allclose(mixed.positions_BC3[1, :2].numpy(), array(2, 1).normalized_positions(), atol=1e-6)


def test_as_many_arrays_as_items_are_wanted():
    with pytest.raises(InputError, match="2 sensor arrays were given for a batch of 3"):
        prepare_sensors([array(4), array(4)], None, torch.Size([3, 4, 5, 3]), torch.device("cpu"))


def test_autocast_does_not_move_sensors():
    embedding = TokenEmbedding(CONFIG)
    sensors, _ = batch_sensors([array(5)])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(embedding.sensor_vectors(sensors), embedding.sensor_vectors(sensors).float())
        low = embedding.sensor_vectors(sensors)
    assert torch.equal(low, embedding.sensor_vectors(sensors))
