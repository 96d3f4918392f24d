"""Configurations of `megxl tokenizer`: files, sizes, and what is refused by its key."""

import pytest

pytest.importorskip("hydra")

from megxl.errors import InputError
from megxl.sizes import BioCodecConfig
from megxl.training.configuring import compose, config_names
from megxl.training.runs import Run
from megxl.training.tokenizer.config import TokenizerConfig


def made(*overrides: str, name: str = "tokenizer") -> TokenizerConfig:
    return compose(name, ["corpora=simulated", *overrides], schema=TokenizerConfig)


def test_a_written_configuration_is_read_as_it_was():
    config = made("codec=small", "training.max_steps=7", "data.block_s=null", "loss.n_ffts=[32,64]")
    assert TokenizerConfig.from_dict(config.to_dict()) == config


def test_there_are_configurations_of_tokenizers():
    assert config_names(TokenizerConfig) == ["tokenizer", "tokenizer_biocodec_meg", "tokenizer_laptop"]
    assert "tokenizer" not in config_names()


def test_the_published_recipe_has_the_published_numbers():
    config = compose("tokenizer_biocodec_meg", schema=TokenizerConfig)
    data, loss, books = config.data, config.loss, config.codebooks
    assert (data.segment_length, data.l_freq, data.h_freq, data.target_sfreq, data.clip) == (1, 0.1, 128, 256, 10)
    assert (loss.time, loss.time_beta, loss.n_ffts, loss.phase, loss.commitment) == (
        0.2, 0.7, (32, 64, 128, 256), 0.2, 0.25,
    )  # fmt: skip
    assert (books.decay, books.smoothing, books.kmeans_iterations, books.dead_below) == (0.99, 1e-5, 50, 2)
    training = config.training
    assert (training.learning_rate, training.betas, training.num_epochs, training.batch_size) == (
        1e-4,
        (0.5, 0.9),
        20,
        2,
    )
    assert config.datasets_config[0].type == "armeni"
    assert config.model.sizes() == BioCodecConfig()


def test_sizes_are_published_or_given_or_those_of_the_start():
    start = BioCodecConfig(levels=3, codes=32)
    assert made().model.sizes() == BioCodecConfig()
    assert made("model.levels=3", "model.strides=[5]").model.sizes() == BioCodecConfig(levels=3, strides=(5,))
    assert made("model.levels=3", "model.init_from=x").model.sizes(start) == start


def test_a_size_against_the_start_is_refused_by_its_key():
    with pytest.raises(InputError, match=r"model\.levels = 4, but the codec at model\.init_from = x has 3"):
        made("model.levels=4", "model.init_from=x").model.sizes(BioCodecConfig(levels=3))


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("model.level=3", "did you mean model.levels"),
        ("model.codes=1", "model.codes = 1"),
        ("loss.n_ffts=[30]", "multiples of 8"),
        ("loss.n_ffts=[]", "loss.n_ffts is empty"),
        ("training.betas=[0.5]", "training.betas"),
        ("training.betas=[0.5,1]", "training.betas"),
        ("training.ema_decay=0.9", "training.ema_decay"),
        ("trainer.strategy=fsdp", "trainer.strategy"),
        ("codebooks.decay=1.5", "codebooks.decay"),
        ("codec=huge", "codec=huge: no such alternative"),
        ("machine=laptop", "There is no key machine"),
    ],
)
def test_bad_values_are_refused(override: str, told: str):
    with pytest.raises(InputError, match=told):
        made(override)


def test_no_loss_at_all_is_refused():
    with pytest.raises(InputError, match=r"loss\.time and loss\.spectral"):
        made("loss.time=0", "loss.spectral=0")


def test_a_run_knows_its_kind(tmp_path):
    config = made(f"run={tmp_path / 'codec'}")
    Run.create(config, environment={})
    assert Run.open(tmp_path / "codec", TokenizerConfig).config == config
