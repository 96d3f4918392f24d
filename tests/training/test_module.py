"""The training step against the golden numbers, an unbroken run, one large batch, and the released readers."""

import json
import random
from contextlib import nullcontext
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from megxl.checkpoints.checkpoint import weights_warning
from megxl.checkpoints.files import read_checkpoint
from megxl.checkpoints.names import model_rows
from megxl.checkpoints.released import write_released
from megxl.data.batch import Batch
from megxl.errors import InputError
from megxl.model.megxl import MEGXL
from megxl.training.averaging import Averaging
from megxl.training.insight import Insight
from megxl.training.masks import MaskedBatch, hide
from megxl.training.module import LOSS_UNIT
from megxl.training.optimization import make_optimizer
from megxl.training.throughput import Throughput
from tests.brainstorm.test_quick_start import quick_start
from tests.training.small_batches import (
    CORPORA,
    TOKENS,
    Descending,
    Watch,
    batch,
    item,
    loader,
    noise_module,
    noise_windows,
    small_model,
    small_module,
    small_sizes,
    trainer,
    weights,
)

MIXED = [batch(item(1), item(2, 6)), batch(item(3, 3)), batch(item(4), item(5, 5, bad=True), item(6))]


@pytest.fixture(scope="module")
def windows(tmp_path_factory):
    return noise_windows(tmp_path_factory.mktemp("noise"))


def golden_batch(golden) -> MaskedBatch:
    codes, mask = golden["codes"], golden["mask"]
    assert torch.equal(mask, mask[:, :1].expand_as(mask))
    count = len(codes)
    one = Batch(
        signal_BCT=None,
        codes_BCTQ=codes.to(torch.uint8),
        sensors=golden.sensors,
        sensor_mask_BC=None,
        sfreq_hz=50.0,
        corpora=("armeni",) * count,
        corpus_B=torch.zeros(count, dtype=torch.int64),
        keys=("armeni/golden",) * count,
        start_s_B=torch.zeros(count),
        seeds_B=torch.arange(count),
    )
    return MaskedBatch(batch=one, mask_BT=mask[:, 0], seed=1)


def golden_without_dropout(golden) -> MEGXL:
    checkpoint = read_checkpoint(golden.model)
    return MEGXL.from_checkpoint(replace(checkpoint, config=checkpoint.config | {"dropout": 0.0}))


def step_of(module, masked: MaskedBatch) -> tuple[float, list[torch.Tensor]]:
    module.zero_grad()
    loss = module.train().training_step(masked, 0)
    module.backward(loss)
    return loss.item(), [p.grad.clone() for p in module.model.parameters() if p.grad is not None]


def test_loss_and_gradients_of_the_golden_model_are_golden(golden):
    module = small_module(golden_without_dropout(golden), training__gradient_clip_val=0, training__weight_decay=0)
    watch = Watch()
    run = trainer(max_steps=1, callbacks=[watch])
    run.fit(module, loader([golden_batch(golden)]))
    told = module.train_tally.read()
    assert told["loss"] == pytest.approx(golden["masked_loss"].item(), rel=1e-5)
    assert told["accuracy"] == pytest.approx(golden["masked_accuracy"].item(), rel=1e-5)
    ours = {row.released: row.ours for row in model_rows(asdict(module.model.config))}
    golden_norms = dict(zip(golden.text("grad_norm_names"), golden["grad_norms"].tolist(), strict=True))
    for name, norm in golden_norms.items():
        assert watch.gradients[0][ours[name]].double().norm().item() == pytest.approx(norm, rel=1e-3), name
    whole = sum(norm**2 for norm in golden_norms.values()) ** 0.5
    assert watch.norms[0] == pytest.approx(whole, rel=1e-4)


def test_a_model_that_was_loaded_trains_with_dropout():
    gradients = []
    for loaded in (False, True):
        module, watch = small_module(small_model(dropout=0.3).train(not loaded)), Watch()
        trainer(max_steps=1, callbacks=[watch]).fit(module, loader(MIXED), loader(MIXED))
        gradients.append(watch.gradients[0])
        assert module.model.layers.training and not module.model.tokenizer.training
    assert all(torch.equal(gradients[0][name], other) for name, other in gradients[1].items())


def test_the_loss_is_the_sum_over_hidden_tokens_in_units_of_many():
    module = small_module().eval()
    masked = hide(MIXED[2], module.model.config, TOKENS)
    value = module.training_step(masked, 0) * LOSS_UNIT
    part = masked.batch
    result = module.model.masked_prediction(part.codes_BCTQ, part.sensors, masked.mask_BT, part.sensor_mask_BC)
    assert value.item() == pytest.approx(result.loss.item() * 24 * (4 + 4 + 4), rel=1e-5)


def generators() -> tuple:
    """What torch, NumPy and Python draw next."""
    return torch.rand(3).tolist(), np.random.rand(), random.random()  # noqa: NPY002


def test_dropout_comes_from_the_items_seeds_alone():
    module = small_module(small_model(dropout=0.3))
    masked = hide(MIXED[0], module.model.config, TOKENS)
    first = step_of(module, masked)
    for disturbed in (torch.rand, np.random.rand, lambda n: [random.random() for _ in range(n)]):
        disturbed(3)
    second = step_of(module, masked)
    assert first[0] == second[0] and all(map(torch.equal, first[1], second[1]))
    drawn = generators()
    step_of(module, masked)
    assert drawn == generators()
    assert step_of(module, replace(masked, seed=masked.seed + 1))[0] != first[0]


@pytest.mark.parametrize("mode", ["selective", "full"])
def test_recomputing_changes_no_gradient_with_dropout_on(mode):
    plain, recomputed = (
        small_module(small_model(dropout=0.3), model__recompute=recompute) for recompute in ("off", mode)
    )
    masked = hide(MIXED[2], plain.model.config, TOKENS)
    (loss, expected), (again, found) = step_of(plain, masked), step_of(recomputed, masked)
    assert loss == again and len(expected) == len(found) > 0
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)


def test_the_chosen_kernel_is_used_forward_and_back():
    module = small_module(model__attention="math", model__recompute="full")
    plain = small_module()
    masked = hide(MIXED[0], plain.model.config, TOKENS)
    (loss, expected), (other, found) = step_of(plain, masked), step_of(module, masked)
    assert loss == pytest.approx(other, rel=1e-5)
    for one, two in zip(expected, found, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-7)
    with pytest.raises(InputError, match="cudnn"):
        step_of(small_module(model__attention="cudnn"), masked)


def test_accumulated_batches_of_unequal_size_are_one_batch():
    """Steps of 2, 2 and, where the epoch ends, 1 batch; against the same items in one batch a step."""
    batches = [batch(item(1), item(2, 6)), batch(item(3, 3)), batch(item(4, bad=True)), batch(item(5), item(6, 2))]
    last = batch(item(7, 3))
    wholes = [batch(item(1), item(2, 6), item(3, 3)), batch(item(4, bad=True), item(5), item(6, 2)), last]
    runs = {}
    for name, some, accumulated in (("parts", [*batches, last], 2), ("whole", wholes, 1)):
        module, watch = small_module(kind=Descending, training__learning_rate=0.3), Watch()
        run = trainer(max_epochs=2, accumulate_grad_batches=accumulated, callbacks=[watch])
        run.fit(module, loader(some))
        runs[name] = (weights(module), watch)
        assert run.global_step == 6
    np.testing.assert_allclose(runs["parts"][1].norms, runs["whole"][1].norms, rtol=1e-4)
    assert runs["parts"][1].rates == runs["whole"][1].rates
    for name, expected in runs["whole"][0].items():
        torch.testing.assert_close(runs["parts"][0][name], expected, rtol=0, atol=1e-6)
    before = weights(small_module())
    assert min((before[name] - expected).norm() for name, expected in runs["whole"][0].items()) > 1e-4


def test_gradients_are_clipped_after_scaling_and_the_norm_is_that_before():
    free, clipped = Watch(), Watch()
    for watch, limit in ((free, 0), (clipped, 0.01)):
        trainer(max_steps=1, callbacks=[watch]).fit(small_module(training__gradient_clip_val=limit), loader(MIXED))
    assert clipped.norms == free.norms and free.norms[0] > 0.05
    norm = torch.stack([gradient.norm() for gradient in clipped.gradients[0].values()]).norm()
    assert norm.item() == pytest.approx(0.01, rel=1e-3)


def test_a_step_of_one_epoch_counts_accumulated_batches_for_its_rates():
    module, watch = small_module(training__warmup_steps=1, training__min_learning_rate=1e-5), Watch()
    trainer(max_epochs=2, accumulate_grad_batches=2, callbacks=[watch]).fit(module, loader(MIXED))
    assert watch.rates == [module.learning_rate(step) for step in range(4)]
    assert watch.rates[0] == 1e-2 and watch.rates[-1] == pytest.approx(1e-5) and not module.notes


def test_a_clamped_warm_up_is_told():
    module = small_module(training__warmup_steps=250)
    trainer(max_epochs=1).fit(module, loader(MIXED))
    assert len(module.notes) == 1 and "250" in module.notes[0]


def test_a_long_warm_up_rises():
    watch = Watch()
    trainer(max_steps=9, callbacks=[watch]).fit(small_module(training__warmup_steps=4), loader(MIXED))
    np.testing.assert_allclose(watch.rates[:4], [0.0025, 0.005, 0.0075, 0.01])


def test_validation_has_the_same_masks_each_time_and_leaves_repeated_items_out():
    module = small_module()
    seen = []
    module.on_validation_epoch_end = lambda: seen.append(module.validation_tally.read())
    one = batch(item(11), item(12, 2, again=True))
    run = trainer(max_steps=2, max_epochs=2, limit_train_batches=1)
    with torch.no_grad():
        for parameter in module.model.parameters():
            parameter.requires_grad_(parameter is module.model.head.bias)
        # a rate so low that no weight moves
        module.config = replace(
            module.config, training=replace(module.config.training, learning_rate=1e-30, min_learning_rate=0)
        )
    run.fit(module, loader(MIXED), loader([one]))
    assert len(seen) == 2 and seen[0] == seen[1] and seen[0]["tokens"] == 24 * 4
    masked = hide(batch(item(11)), module.model.config, TOKENS)
    part = masked.batch
    with torch.no_grad():
        alone = module.model.eval().masked_prediction(part.codes_BCTQ, part.sensors, masked.mask_BT)
    assert seen[0]["loss"] == pytest.approx(alone.loss.item(), rel=1e-5)


def test_a_signal_is_trained_on_as_its_codes_are():
    signal = batch(item(1, signal=True), item(2, 3, signal=True))
    module = small_module()
    codes = replace(signal, signal_BCT=None, codes_BCTQ=module.model.codes(signal.signal_BCT))
    losses = [step_of(module, module.on_before_batch_transfer(part, 0)) for part in (signal, codes)]
    assert losses[0][0] == losses[1][0]


def test_segments_are_shuffled_in_training_and_not_in_validation():
    plain = small_module(data__codes="online")
    shuffled = small_module(data__codes="online", data__shuffle_segments=True)
    masked = plain.on_before_batch_transfer(batch(item(1, signal=True)), 0)
    assert step_of(plain, masked)[0] != step_of(shuffled, masked)[0]
    for module in (plain, shuffled):
        with torch.no_grad():
            module.eval().validation_step(masked, 0)
    assert plain.validation_tally.read() == shuffled.validation_tally.read()


@pytest.mark.parametrize("stop", [1, 11])
def test_a_resumed_training_equals_an_unbroken_one_bit_for_bit(tmp_path, windows, stop):
    path = tmp_path / "stop.ckpt"
    whole, watch = noise_module(0), Watch()
    trainer(max_epochs=3, callbacks=[watch]).fit(whole, windows())
    trainer(max_epochs=3, callbacks=[Watch(stop, path)]).fit(noise_module(0), windows())
    rest, after = noise_module(1), Watch()
    after.rates, after.norms = [0.0] * stop, [0.0] * stop
    trainer(max_epochs=3, callbacks=[after]).fit(rest, windows(), ckpt_path=path, weights_only=True)
    assert len(watch.rates) == 24 and after.rates[stop:] == watch.rates[stop:]
    assert after.norms[stop:] == watch.norms[stop:]
    for name, expected in weights(whole).items():
        assert torch.equal(weights(rest)[name], expected), name


def test_a_resumed_training_follows_the_configuration_s_new_end(tmp_path):
    path = tmp_path / "stop.ckpt"
    trainer(max_epochs=2, callbacks=[Watch(3, path)]).fit(small_module(), loader(MIXED))
    module, watch = small_module(training__learning_rate=5e-3), Watch()
    watch.rates = [0.0] * 3
    trainer(max_epochs=4, callbacks=[watch]).fit(module, loader(MIXED), ckpt_path=path, weights_only=True)
    expected = small_module(training__learning_rate=5e-3)
    trainer(max_epochs=4).fit(expected, loader(MIXED))
    assert watch.rates[3:] == [expected.learning_rate(step) for step in range(3, 12)]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Checkpoint as the trainer writes it, and the model that it holds."""
    module = small_module(data__codes="cached")
    module.told = {"recordings": {"armeni": {"train": ["armeni/1"], "validation": ["armeni/2"]}}}
    run = trainer(max_steps=2)
    run.fit(module, loader(MIXED))
    path = tmp_path_factory.mktemp("saved") / "last.ckpt"
    run.save_checkpoint(path)
    return path, module


def features(model, one: Batch = MIXED[0]):
    with torch.no_grad():
        return model.eval()(one.codes_BCTQ, one.sensors, one.sensor_mask_BC)


def test_the_trainer_s_checkpoint_is_a_model_for_the_strict_reader(saved):
    path, module = saved
    sections = torch.load(path, weights_only=True)
    assert {"loops", "optimizer_states", "callbacks"} <= set(sections)
    model = MEGXL.from_pretrained(path)
    assert torch.equal(features(model), features(module.model))
    assert model.config == module.model.config and model.tokenizer.config == module.model.tokenizer.config
    assert read_checkpoint(path).report.unmatched == ()


def test_the_published_quick_start_reads_the_trainer_s_checkpoint(tmp_path, golden):
    module = small_module(golden_without_dropout(golden))
    run = trainer(max_steps=1)
    run.fit(module, loader([golden_batch(golden)]))
    run.save_checkpoint(tmp_path / "last.ckpt")
    write_released(tmp_path / "exported.ckpt", module.model.to_checkpoint())
    write_released(tmp_path / "codec.pt", module.model.tokenizer.to_checkpoint())
    with torch.no_grad():
        expected = module.model.eval()(golden["codes"], golden.sensors)
        for name in ("last.ckpt", "exported.ckpt"):
            published = quick_start(tmp_path / "codec.pt", tmp_path / name)
            published.module.codes = lambda inputs: golden["codes"]
            output = published(golden["meg"], *golden.sensors, torch.ones(2, 20), apply_mask=False)
            assert torch.equal(output["features"], expected)


def test_a_checkpoint_says_how_it_was_trained(saved):
    path, _ = saved
    model = MEGXL.from_pretrained(path)
    source = model.provenance["source"]
    assert model.provenance["weights"] == "loaded" and source["weights"] == "loaded"
    assert source["steps"] == 2 and source["seed"] == 1 and source["sampler_seed"] == 42
    assert source["recordings"]["armeni"] == {"train": ["armeni/1"], "validation": ["armeni/2"]}
    assert "UNTRAINED" in weights_warning(model.provenance)
    assert model.recipe["training_steps"] == 2 and model.recipe["learning_rate"] == 1e-2
    json.dumps(model.provenance)


def test_weights_that_training_began_with_count_and_are_named():
    earlier = {"weights": "loaded", "file": "earlier.ckpt", "steps": 5000, "untrained": False}
    model = small_model()
    model.provenance = earlier
    model.tokenizer.provenance = {"weights": "loaded", "untrained": False}
    module = small_module(model)
    trainer(max_steps=1).fit(module, loader(MIXED))
    assert model.provenance["started_from"] == earlier and model.provenance["steps"] == 5001
    assert weights_warning(model.provenance) is None


def test_codes_of_a_random_codec_count_as_untrained():
    model = small_model()
    model.provenance = {"weights": "loaded", "steps": 5000, "untrained": False}
    module = small_module(model)
    trainer(max_steps=1).fit(module, loader(MIXED))
    assert "UNTRAINED" in weights_warning(model.provenance)


def test_a_checkpoint_of_another_size_is_refused_by_name(saved):
    path, _ = saved
    with pytest.raises(InputError, match="checkpoint to go on from"):
        trainer(max_steps=3).fit(small_module(small_model(width=64)), loader(MIXED), ckpt_path=path, weights_only=True)


def test_bfloat16_trains_on_the_same_loss_nearly():
    losses = []
    for precision in ("32-true", "bf16-mixed"):
        module = small_module()
        trainer(max_steps=1, precision=precision).fit(module, loader(MIXED))
        losses.append(module.train_tally.read()["loss"])
    assert losses[1] == pytest.approx(losses[0], rel=1e-2) and losses[1] != losses[0]


def test_tallies_know_the_corpora_by_their_numbers():
    assert small_module().train_tally.corpora == tuple(CORPORA) == ("armeni", "camcan")
    assert small_sizes().levels == small_module().train_tally.levels


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_asks_the_device_for_no_number(monkeypatch, tmp_path, accumulate):
    # tensors of the device "meta" have no numbers, so that whatever would wait for one fails; it has no autocast
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    module = small_module(small_model(dropout=0.3), training__ema_decay=0.9, model__attention=None).to("meta").train()
    module.trainer = fit = trainer(accumulate_grad_batches=accumulate)
    fit.strategy._lightning_module = module
    module._warmup, module._total = 2, 10
    optimizer = make_optimizer(module.model, module.config.training, fused=False)
    averaging, speed = Averaging(0.9), Throughput(module.model.config)
    insight = Insight(100, tmp_path / "baselines.json", speed)
    averaging.on_train_start(fit, module)
    averaging._averaged_steps = -1
    for number, cpu_batch in enumerate(MIXED[:accumulate] + MIXED[2:]):
        masked = module.on_before_batch_transfer(cpu_batch, 0).to("meta")
        assert masked.mask_BT.device.type == "cpu"
        module.backward(module.training_step(masked, number))
        for callback in (averaging, speed, insight):
            callback.on_train_batch_end(fit, module, None, masked, number)
    module.on_before_optimizer_step(optimizer)
    module.configure_gradient_clipping(optimizer, 1.0, "norm")
    optimizer.step()
    assert module.train_tally.sums_KS.device.type == "meta" and module.gradient_norm.device.type == "meta"
    with pytest.raises(NotImplementedError):  # as what does ask would be told
        module.train_tally.read()
