"""What a run is said to take is what tensors take: parameters exactly, memory at full size, operations, disk."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parents[3]))

from benchmarks.training_cost import _Watch
from megxl.decoding.building import DecoderSpec, build_decoder
from megxl.decoding.pooling import pool_words
from megxl.errors import InputError
from megxl.model.attention import RotaryTable, SelfAttention
from megxl.model.embedding import SensorTensors
from megxl.model.execution import recompute_activations
from megxl.model.megxl import MEGXL
from megxl.sizes import PRESETS
from megxl.training.configuring import compose
from megxl.training.words.config import WordsConfig
from megxl.training.words.plan import (
    ASSUMED_MFU,
    Amount,
    Load,
    disk_bytes,
    hours,
    memory_bytes,
    peak_of,
    run_flops,
    trained_parameters,
)

TUNED = Load(spec=DecoderSpec(head="mlp", sensors=306), trains=True)
PROBED = Load(spec=DecoderSpec(head="linear", sensors=306), trains=False)


def small(load: Load) -> Load:
    spec = replace(load.spec, width=64, sensors=20, target_width=32, hidden=48)
    return replace(load, spec=spec, model=PRESETS["tiny"], words=5)


def built(load: Load):
    """The decoder of a run; attention without dropout is fused, as on a GPU."""
    model = recompute_activations(MEGXL(load.model), load.mode)
    decoder = build_decoder(load.spec, model=model, trains=load.trains).train()
    for attention in decoder.modules():
        if isinstance(attention, SelfAttention):
            attention.dropout = 0.0
    return decoder


def loss_of(decoder, load: Load):
    """As a batch goes through the model; the checks of its codes look at numbers, which tensors without memory lack."""
    sensors, tokens = load.work.sensors, -(-load.work.samples // 12)
    codes = torch.zeros(1, sensors, tokens, load.model.levels, dtype=torch.uint8)
    place = SensorTensors(torch.zeros(1, sensors, 3), torch.zeros(1, sensors, 3), torch.zeros(1, sensors).long())
    weights = torch.zeros(1, load.words, tokens)
    model, rotary = decoder.backbone.model, RotaryTable(tokens, load.model.width // 2)
    with torch.autocast("cpu", torch.bfloat16, enabled=load.mixed):
        with torch.set_grad_enabled(load.trains):
            features = model.embedding(codes, place, None)
            for layer in model.layers:
                features = layer(features, rotary, None)
            words = pool_words(features, weights.to(features.dtype))
        return decoder.head(words, place, None, None).float().square().mean()


def peak_bytes(load: Load) -> int:
    """Most bytes alive in the second step, counted on tensors without memory."""
    with FakeTensorMode(), _Watch() as watch:
        decoder = built(load)
        optimizer = torch.optim.AdamW([one for one in decoder.parameters() if one.requires_grad], lr=1e-4)
        for _ in range(2):
            optimizer.zero_grad(set_to_none=True)
            watch.start()
            loss_of(decoder, load).backward()
            optimizer.step()
    return watch.peak


def test_parameters_are_the_published_ones():
    # word-decoding.md 1.4 and 6: counted on the published code
    assert trained_parameters(TUNED) == {"backbone": 21_324_288, "head": 322_968_576}
    assert trained_parameters(PROBED) == {"backbone": 0, "head": 160_433_152}
    masc = replace(TUNED, spec=replace(TUNED.spec, sensors=208))
    assert trained_parameters(masc)["head"] == 220_208_128


@pytest.mark.parametrize("head", ["mlp", "linear", "sensors", "sequence"])
@pytest.mark.parametrize("trains", [True, False])
def test_parameters_are_those_of_a_real_decoder(head, trains):
    load = small(Load(spec=DecoderSpec(head=head, sensors=306), trains=trains))
    real = sum(one.numel() for one in built(load).parameters() if one.requires_grad)
    assert sum(trained_parameters(load).values()) == real


@pytest.mark.parametrize("recompute", [True, False])
@pytest.mark.parametrize("mixed", [True, False])
def test_memory_of_fine_tuning_at_full_size_is_that_of_a_counted_step(recompute, mixed):
    load = replace(TUNED, recompute=recompute, mixed=mixed)
    assert sum(memory_bytes(load).values()) == pytest.approx(peak_bytes(load), rel=0.05)


def test_memory_of_a_head_over_sensors_is_that_of_a_counted_step():
    load = replace(TUNED, spec=replace(TUNED.spec, head="sensors"))
    assert sum(memory_bytes(load).values()) == pytest.approx(peak_bytes(load), rel=0.05)


def test_memory_of_probing_is_that_of_a_counted_step():
    # both parts of it grow with the sensors
    load = replace(PROBED, spec=replace(PROBED.spec, sensors=16))
    assert sum(memory_bytes(load).values()) == pytest.approx(peak_bytes(load), rel=0.1)


def test_the_goals_are_kept():
    assert sum(memory_bytes(TUNED).values()) < 24e9 and sum(memory_bytes(PROBED).values()) < 12e9
    # the head of 323 million numbers: weights, gradients, two moments
    assert sum(memory_bytes(TUNED)[part] for part in ("weights", "gradients", "AdamW's moments")) > 4 * 1.29e9


def test_kept_activations_are_what_autograd_saves_of_a_real_step():
    load = small(replace(TUNED, recompute=False))
    decoder, saved = built(load), {}
    weights = {weight.untyped_storage().data_ptr() for weight in decoder.parameters()}

    def pack(tensor):
        storage = tensor.untyped_storage()
        # rounded copies of the weights are no activations
        if storage.data_ptr() not in weights and tensor.grad_fn.__class__.__name__ != "TBackward0":
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss_of(decoder, load)
    assert memory_bytes(load)["kept activations"] == pytest.approx(sum(saved.values()), rel=0.05)


@pytest.mark.parametrize("load", [TUNED, PROBED])
def test_operations_of_a_head_are_those_that_run(load):
    load = small(load)
    words = torch.zeros(1, load.words, 20, 64)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        built(load).head(words, None, None, None)
    one = Amount(train=0, validation=0, test=1, epochs=1)
    assert run_flops(load, one)["head"] == pytest.approx(counter.get_total_flops(), rel=0.01)


def test_training_costs_three_passes_and_a_probe_one_pass_of_the_backbone():
    base = Amount(train=0, validation=0, test=1, epochs=10)
    more = replace(base, train=7)
    forward = run_flops(TUNED, base)["backbone"]
    assert run_flops(TUNED, more)["backbone"] == forward + 10 * 7 * 3 * forward
    assert run_flops(PROBED, more)["backbone"] == 8 * forward
    assert 9e12 < forward < 10e12  # field.md D1: 9.48 TFLOP


def test_hours_are_operations_over_the_rate_of_the_gpu():
    amount = Amount(train=1000, validation=100, test=100, epochs=10)
    seconds = sum(run_flops(TUNED, amount).values()) / (989e12 * ASSUMED_MFU)
    assert hours(TUNED, amount, "h100") == pytest.approx(seconds / 3600)
    assert hours(TUNED, amount, "rtx4090") == pytest.approx(seconds / 3600 * 989 / 165)
    assert hours(TUNED, amount, "H100", mfu=2 * ASSUMED_MFU) == pytest.approx(seconds / 7200)
    with pytest.raises(InputError, match="gpu = 'abacus'; allowed: H200, H100"):
        peak_of("abacus")


def test_disk_is_that_of_codes_features_and_weights():
    amount = Amount(train=80, validation=10, test=10, epochs=50)
    disk = disk_bytes(PROBED, amount)
    assert disk["codes"] == 100 * 306 * 625 * 6 and disk["features"] == 100 * 50 * 306 * 512 * 2
    assert disk["predictions"] == 20 * 50 * 1024 * 4
    assert disk_bytes(TUNED, amount)["features"] == 0
    assert disk_bytes(TUNED, amount)["checkpoints"] == 2 * 12 * (21_324_288 + 322_968_576)


def test_a_configuration_becomes_a_load():
    overrides = ["corpus=libribrain", "data.words_per_segment=20", "training.batch_size=2"]
    made = compose("probe", overrides, schema=WordsConfig)
    load = Load.of(made, sensors=306)
    assert (load.trains, load.words, load.batch, load.spec.head) == (False, 20, 2, "linear")
    assert load.work.samples == 20 * 150 and load.one.batch == 1
    with pytest.raises(InputError, match="its memory and time are not reckoned"):
        Load.of(compose("finetune", ["corpus=armeni", "model.backbone=convolution"], schema=WordsConfig), sensors=275)
