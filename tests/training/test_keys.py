"""What the published keys do, by their effect on loaders, model, trainer and files: none is taken and ignored."""

from itertools import pairwise

import pytest
import torch
from lightning.pytorch import Trainer

from megxl.model.masking import plan_mask
from megxl.training import engine, recordings
from megxl.training.checks import Checked, check_before_work
from megxl.training.config import PretrainConfig
from megxl.training.data import PretrainData
from megxl.training.loggers import wandb_options
from megxl.training.module import PretrainModule
from megxl.training.recordings import choose_all
from megxl.training.runs import Run
from megxl.training.saving import Saver
from megxl.training.stopping import StopRequest
from tests.data.small import EVERY_20TH, small_store
from tests.training.small_batches import batch, item, small_module
from tests.training.small_run import make_codec, make_store, small_config

HALF = [{"type": "armeni", "split": {"validation": 0.5, "seed": 0}}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    make_store(folder, subjects=3, seconds=20.0)
    make_codec(folder)
    return folder


def loaders_of(folder, **changes):
    config = small_config(folder, **changes)
    data = PretrainData(config, check_before_work(config).tokenizer)
    data.prepare_data()
    data.setup("fit")
    return data.train_dataloader(), data.val_dataloader()


def assembled(folder, **changes) -> tuple[PretrainConfig, Checked, Trainer]:
    config = small_config(folder, **changes)
    checked = check_before_work(config)
    run = Run(config.run_dir, config)
    return config, checked, engine._trainer(run, checked, StopRequest(), None, print)


def test_loaders_have_the_workers_and_the_memory_that_were_asked_for(folder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    keys = ("num_workers", "persistent_workers", "pin_memory", "batch_size")
    for values in ((2, True, True, 1), (1, False, False, 2)):
        given = {f"training__{key}": value for key, value in zip(keys, values, strict=True)}
        for loader in loaders_of(folder, **given):
            batches = loader.batch_sampler
            assert (loader.num_workers, loader.persistent_workers, loader.pin_memory, batches.batch_size) == values


def test_the_order_of_windows_follows_its_keys(folder):
    def windows(**changes):
        return [draw.index for draws in loaders_of(folder, training__batch_size=1, **changes)[0].batch_sampler
                for draw in draws]  # fmt: skip

    orders = [windows(training__sampler_seed=seed) for seed in (1, 1, 2, 3)]
    assert orders[0] == orders[1] and len({tuple(order) for order in orders}) > 1
    recordings = [index // 3 for index in windows()]  # three windows of 6 s in each recording of 20 s
    changes = sum(one != other for one, other in pairwise(recordings))
    assert changes == len(set(recordings)) - 1
    mixed = [[index // 3 for index in windows(training__use_recording_sampler=False, training__sampler_seed=seed)]
             for seed in range(4)]  # fmt: skip
    assert any(sum(a != b for a, b in pairwise(m)) > changes for m in mixed)


def test_what_is_prepared_follows_the_filter_and_rate_asked_for(folder, tmp_path):
    block = {"type": "tests.data.small_corpus:Small", "data_root": str(tmp_path), "split": {"validation": 0.5}}
    config = small_config(folder, datasets_config=[block], data__l_freq=0.5, data__h_freq=20, data__prepare_workers=3)
    request = recordings._request(config, config.datasets_config[0], "here")
    assert (request.settings.low_hz, request.settings.high_hz, request.settings.sfreq_hz) == (0.5, 20.0, 50.0)
    assert request.workers == 3 and str(request.store) == config.data.cache_dir


def test_bad_sensors_are_masked_or_kept(tmp_path):
    make_codec(tmp_path)
    small_store(tmp_path / "store", {"armeni": [1000, 1000]}, bads=EVERY_20TH[1:2])
    masks = {
        bads: next(iter(loaders_of(tmp_path, data__bads=bads, datasets_config=HALF)[1])).sensor_mask_BC
        for bads in ("mask", "keep")
    }
    assert masks["keep"] is None
    assert (~masks["mask"]).sum(1).tolist() == [1] * len(masks["mask"])


def test_pieces_that_are_shuffled_have_the_length_asked_for():
    plain = small_module(data__codes="online")
    masked = plain.on_before_batch_transfer(batch(item(1, signal=True)), 0)
    losses = {
        seconds: small_module(
            data__codes="online", data__shuffle_segments=True, data__shuffle_segment_duration=seconds
        ).training_step(masked, 0).item()
        for seconds in (0.24, 3.0, 12.0)
    }  # fmt: skip
    assert len(set(losses.values())) == 3
    assert losses[12.0] == plain.training_step(masked, 0).item()  # the window as a whole


def test_the_model_has_the_sizes_and_masks_asked_for(folder):
    sizes = {"latent_dim": 24, "num_layers": 2, "num_heads": 4, "fourier_pos_dim": 12, "dropout": 0.3}
    config = small_config(folder, **{f"model__{key}": value for key, value in sizes.items()}, model__mask_duration=1.5)
    checked = check_before_work(config)
    model = engine._model(config, checked)
    assert len(model.layers) == 2 and model.head.in_features == 24
    assert model.embedding.position.projection.in_features == 12
    for layer in model.layers:
        assert (layer.temporal.heads, layer.temporal.dropout, layer.feedforward.dropout) == (2, 0.3, 0.3)
    # 1.5 s are 75 samples, six whole tokens of 12
    assert plan_mask(checked.tokens, checked.sizes).run == 6
    two = check_before_work(small_config(folder, model__num_subsegments_to_mask=2))
    assert plan_mask(two.tokens, two.sizes).hidden == 2 * 12


def test_the_published_name_of_recomputing_recomputes(folder):
    for asked in (False, True):
        config = small_config(folder, model__use_gradient_checkpointing=asked)
        module = PretrainModule(engine._model(config, check_before_work(config)), config, {"armeni": 0})
        assert all(("forward" in vars(layer)) == asked for layer in module.model.layers)


def test_the_trainer_has_the_devices_and_rhythm_asked_for(folder):
    changes = {"devices": 2, "accumulate_grad_batches": 3, "precision": "bf16-mixed", "deterministic": True}
    before = torch.are_deterministic_algorithms_enabled()
    try:
        _, _, fit = assembled(folder, **{f"trainer__{key}": value for key, value in changes.items()})
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(before)
    assert (fit.world_size, fit.num_devices, fit.accumulate_grad_batches, fit.precision) == (2, 2, 3, "bf16-mixed")
    assert (fit.max_epochs, fit.max_steps) == (3, -1)
    _, _, fit = assembled(folder, training__num_epochs=None, training__max_steps=7)
    assert (fit.world_size, fit.max_epochs, fit.max_steps) == (1, -1, 7)


@pytest.mark.parametrize("last", [True, False])
def test_checkpoints_follow_their_keys(folder, last):
    changes = {"checkpoint__save_last": last, "checkpoint__save_top_k": 2, "checkpoint__every_n_train_steps": 9}
    _, _, fit = assembled(folder, **changes)
    saver = fit.checkpoint_callback
    assert isinstance(saver, Saver) and (saver.every, saver.keep, saver.last) == (9, 2, last)


def test_weights_and_biases_hears_of_the_team_and_the_configuration(tmp_path):
    config = small_config(tmp_path, logging__wandb_entity="lab")
    assert wandb_options(config, tmp_path)["entity"] == "lab"
    assert wandb_options(config, tmp_path)["config"] == config.to_dict()


def test_a_part_of_the_recordings_trains_and_all_validate(folder):
    def chosen(**changes):
        config = small_config(folder, **changes)
        return {part: len(some) for part, some in choose_all(config)[0].source.parts(6.0).items()}

    assert chosen() == {"train": 2, "validation": 1, "test": 0}
    assert chosen(data__recording_subsample_prop=0.5) == {"train": 1, "validation": 1, "test": 0}
    assert chosen(data__debug_mode=True) == {"train": 1, "validation": 1, "test": 0}
