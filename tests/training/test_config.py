"""The configuration: published keys and values, types and ranges, and that it is the same after a round trip."""

import dataclasses
import json
import subprocess
import sys

import pytest
import yaml

from megxl.errors import InputError
from megxl.sizes import PRESETS, BioCodecConfig, MEGXLConfig
from megxl.training.config import PretrainConfig
from megxl.training.run_config import refuse_placeholders
from megxl.training.sections import SECTIONS, DataConfig, ModelConfig, TrainerConfig, TrainingConfig

CORPORA = [{"type": "camcan", "data_root": "/data"}]


def config(**changes) -> PretrainConfig:
    return PretrainConfig.from_dict({"datasets_config": CORPORA} | changes)


def refused(**changes) -> str:
    with pytest.raises(InputError) as error:
        config(**changes)
    return str(error.value)


def test_json_and_yaml_bring_the_same_configuration_back():
    made = config(
        datasets_config=[*CORPORA, {"type": "gwilliams", "validation_only": True, "tasks": ["0", "1"]}],
        training={"max_steps": 7, "learning_rate": 3e-4, "ema_decay": 0.999},
        trainer={"devices": [0, 2]},
        resume="auto",
    )
    assert PretrainConfig.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    assert PretrainConfig.from_dict(yaml.safe_load(yaml.safe_dump(made.to_dict()))) == made
    assert made.trainer.devices == (0, 2) and made.to_dict()["trainer"]["devices"] == [0, 2]


def test_numbers_have_the_type_of_their_field_however_they_are_written():
    made = config(
        data={"target_sfreq": 50, "segment_length": "30"},
        model={"sampling_rate": 50, "num_layers": 4.0},
        training={"learning_rate": "1e-4"},
    )
    assert made == config(
        data={"target_sfreq": 50.0, "segment_length": 30.0},
        model={"sampling_rate": 50.0, "num_layers": 4},
        training={"learning_rate": 1e-4},
    )
    for value, kind in (
        (made.data.target_sfreq, float), (made.data.segment_length, float), (made.model.num_layers, int),
        (made.training.learning_rate, float),
    ):  # fmt: skip
        assert type(value) is kind


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data": {"segment_lenght": 30}}, "data.segment_lenght; did you mean data.segment_length?"),
        ({"dat": {}}, "There is no key dat; did you mean data?"),
        ({"data": {"segment_length": "long"}}, "data.segment_length = 'long'; allowed: a number."),
        ({"data": {"segment_length": float("nan")}}, "data.segment_length = nan; allowed: a number."),
        ({"data": {"segment_length": 0}}, "data.segment_length = 0.0; allowed: above 0."),
        ({"data": {"segment_length": None}}, "data.segment_length = null; allowed: a number."),
        ({"data": {"debug_mode": "yes"}}, "data.debug_mode = 'yes'; allowed: true, false."),
        ({"data": {"debug_mode": 1}}, "data.debug_mode = 1; allowed: true, false."),
        ({"data": {"l_freq": 50}}, "data.l_freq = 50.0 and data.h_freq = 40.0"),
        ({"data": {"l_freq": 40}}, "data.l_freq = 40.0 and data.h_freq = 40.0"),
        ({"trainer": {"accelerator": False}}, "trainer.accelerator = false; allowed: auto, cpu, gpu, cuda, mps."),
        ({"logging": {"experiment_name": True}}, "logging.experiment_name = true; allowed: text."),
        ({"data": {"target_sfreq": 0.2}}, "data.target_sfreq = 0.2; allowed: above twice"),
        ({"data": {"recording_subsample_prop": 1.5}}, "recording_subsample_prop = 1.5; allowed: above 0, at most 1."),
        ({"data": 3}, "data = 3; allowed: a mapping"),
        ({"model": {"num_layers": True}}, "model.num_layers = true; allowed: a whole number."),
        ({"model": {"num_layers": 2.5}}, "model.num_layers = 2.5; allowed: a whole number."),
        ({"model": {"recompute": "some"}}, "model.recompute = 'some'; allowed: off, selective, full."),
        ({"model": {"use_gradient_checkpointing": True, "recompute": "selective"}}, "model.use_gradient_checkpointing"),
        ({"training": {"max_steps": 5, "num_epochs": 5}}, "training.num_epochs and training.max_steps: 5 and 5;"),
        ({"training": {"num_epochs": None}}, "neither is given"),
        ({"training": {"batch_size": 2, "batch_seconds": 300}}, "batch_size = 2 and training.batch_seconds = 300"),
        ({"training": {"batch_seconds": 200}}, "training.batch_seconds = 200 is no multiple of data.segment_length"),
        ({"training": {"batch_seconds": float("inf")}}, "training.batch_seconds = inf; allowed: a number, or null."),
        ({"training": {"learning_rate": 1e-7}}, "training.min_learning_rate = 1e-06; allowed: at most"),
        ({"training": {"ema_decay": 1}}, "training.ema_decay = 1.0; allowed: above 0, below 1"),
        ({"trainer": {"precision": 16}}, "trainer.precision = 16; allowed: bf16-mixed, 16-mixed, 32-true."),
        ({"trainer": {"devices": 0}}, "trainer.devices = 0; allowed: 1 and more"),
        ({"trainer": {"devices": [0, -1]}}, "trainer.devices"),
        ({"trainer": {"val_check_interval": 0.25}}, "trainer.val_check_interval = 0.25; allowed: a whole number."),
        ({"checkpoint": {"resume": True}}, "checkpoint.resume_path is null"),
        ({"checkpoint": {"resume_path": "a.ckpt"}}, "not used while checkpoint.resume is false"),
        ({"resume": "maybe"}, "resume = 'maybe'; allowed: true, false, or auto."),
        ({"resume": True, "overwrite": True}, "exclude each other"),
        ({"seed": -1}, "seed = -1; allowed: 0 and more"),
        ({"datasets_config": []}, "names no corpus to train on"),
        ({"datasets_config": [{"type": "camcan", "validation_only": True}]}, "names no corpus to train on"),
        ({"datasets_config": {"type": "camcan"}}, "datasets_config = {'type': 'camcan'}; allowed: a list"),
        ({"datasets_config": [{"type": "gwilliams"}, {"type": "meg_masc"}]}, "datasets_config.1.type = 'meg_masc'"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_its_dotted_key(changes, said):
    assert said in refused(**changes)


def test_every_published_key_is_known_and_the_sound_published_values_are_the_defaults():
    published = {
        "data": {"segment_length": 150.0, "debug_mode": False, "l_freq": 0.1, "h_freq": 40.0, "target_sfreq": 50.0,
                 "recording_subsample_prop": None, "shuffle_segments": False, "shuffle_segment_duration": 3.0,
                 "cache_dir": "./data/cache"},
        "model": {"tokenizer_ckpt": "./brainstorm/neuro_tokenizers/biocodec_ckpt.pt", "latent_dim": 512,
                  "num_layers": 8, "num_heads": 8, "vocab_size": 256, "mask_duration": 3.0, "sampling_rate": 50,
                  "fourier_pos_dim": 250, "use_gradient_checkpointing": False},
        "training": {"batch_size": 1, "num_epochs": 50, "max_steps": None, "learning_rate": 1e-4, "warmup_steps": 250,
                     "gradient_clip_val": 1.0, "num_workers": 6, "pin_memory": True, "persistent_workers": True,
                     "use_recording_sampler": True, "sampler_seed": 42},
        "checkpoint": {"save_dir": "./checkpoints", "every_n_train_steps": 5000, "save_top_k": -1, "save_last": True,
                       "resume": False, "resume_path": None},
        "trainer": {"devices": 1, "precision": "bf16-mixed", "accumulate_grad_batches": 1, "val_check_interval": 500},
    }  # fmt: skip
    # ours takes the size of the code books from the tokenizer
    assert config(**published, seed=42) == config(model={"vocab_size": 256})
    config(
        model={"num_subsegments_to_mask": 20},
        logging={"wandb_project": "brainstorm", "wandb_entity": None, "experiment_name": "x", "log_every_n_steps": 10},
        trainer={"accelerator": "gpu"},
    )


def test_sizes_are_those_of_the_presets_and_the_masked_blocks_follow_the_window():
    codec = BioCodecConfig()
    assert ModelConfig().sizes(625, codec) == PRESETS["med"]
    # windows of 5, 11.76, 12, 30, 100 and 150 s in tokens of 0.24 s have 1, 3, 4, 10, 33 and 50 whole blocks of 3 s
    blocks = [ModelConfig().sizes(tokens, codec).masked_blocks for tokens in (21, 49, 50, 125, 417, 625)]
    assert blocks == [1, 1, 2, 4, 13, 20]
    assert ModelConfig(num_subsegments_to_mask=7).sizes(125, codec).masked_blocks == 7
    small = dataclasses.replace(codec, codes=16)
    assert ModelConfig().sizes(625, small).codes == ModelConfig(vocab_size=16).sizes(625, small).codes == 16
    with pytest.raises(InputError, match=r"model\.vocab_size = 256, but the tokenizer has 16 codes .*to null"):
        ModelConfig(vocab_size=256).sizes(625, small)


def test_all_that_the_model_section_says_of_the_model_is_in_its_sizes():
    given = {"latent_dim": 24, "num_layers": 3, "num_heads": 6, "fourier_pos_dim": 10, "sensor_kinds": 3,
             "sampling_rate": 100.0, "mask_duration": 1.5, "dropout": 0.3, "num_subsegments_to_mask": 2}  # fmt: skip
    codec = BioCodecConfig(levels=4, codes=8, code_width=5)
    assert ModelConfig(**given, vocab_size=8).sizes(625, codec) == MEGXLConfig(
        width=24, layers=3, heads=6, levels=4, codes=8, code_width=5, fourier_width=10, sensor_kinds=3, sfreq_hz=100.0,
        samples_per_token=codec.samples_per_token, mask_duration_s=1.5, masked_blocks=2, dropout=0.3,
    )  # fmt: skip


def test_corpora_are_told_by_their_names_and_datasets_by_those_they_give_themselves():
    several = [{"type": "bids", "options": {"dataset": name}} for name in ("one", "two")]
    assert len(config(datasets_config=several).datasets_config) == 2
    assert "each corpus once (one is datasets_config.0" in refused(datasets_config=[several[0], several[0]])
    other = [{"type": "omega", "options": {"dataset": name}} for name in ("one", "two")]
    assert "each corpus once (omega is" in refused(datasets_config=other)


def test_the_published_name_of_recomputing_means_all_of_it():
    assert ModelConfig(use_gradient_checkpointing=True).recompute == "full"


def test_bounds_that_may_be_reached_are_reached():
    assert config(training={"learning_rate": 1e-6, "min_learning_rate": 1e-6, "warmup_steps": 0}).training.weight_decay
    assert config(data={"recording_subsample_prop": 1}, checkpoint={"save_top_k": 0}).data.recording_subsample_prop == 1


def test_a_bare_off_in_yaml_is_off():
    assert ModelConfig.of(yaml.safe_load("recompute: off")).recompute == "off"


def test_batches_of_equal_seconds_have_fewer_windows_the_longer_they_are():
    sizes = [
        config(data={"segment_length": length_s}, training={"batch_seconds": 300}).batch_size
        for length_s in (5, 30, 100, 150, 300, 0.1)
    ]
    assert sizes == [60, 10, 3, 2, 1, 3000]


def test_the_run_lies_below_the_folder_of_runs_unless_it_is_named():
    names = {"checkpoint": {"save_dir": "/runs"}, "logging": {"experiment_name": "first"}}
    assert str(config(**names).run_dir) == "/runs/first"
    assert str(config(**names, run="/other/place").run_dir) == "/other/place"


def test_whoever_gives_steps_in_a_mapping_need_not_take_epochs_back():
    assert TrainingConfig.of({"max_steps": 5}).num_epochs is None
    with pytest.raises(InputError, match="50 and 5"):
        TrainingConfig(max_steps=5)


def test_a_placeholder_is_refused_by_its_key():
    kept = config(datasets_config=[*CORPORA, {"type": "armeni", "data_root": "/path/to/armeni"}])
    with pytest.raises(InputError, match=r"datasets_config\.1\.data_root = '/path/to/armeni' is a placeholder"):
        refuse_placeholders(kept)
    with pytest.raises(InputError, match=r"data\.cache_dir"):
        refuse_placeholders(config(data={"cache_dir": "/path/to/cache"}))
    refuse_placeholders(config())


@pytest.mark.parametrize("section", [DataConfig, ModelConfig, TrainingConfig, TrainerConfig, *SECTIONS.values()])
def test_every_field_says_what_it_means(section):
    import ast
    import inspect

    body = ast.parse(inspect.getsource(section)).body[0].body  # type: ignore[attr-defined]
    for before, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(before, ast.AnnAssign) and "ClassVar" not in ast.unparse(before.annotation):
            assert isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant), ast.unparse(before)


def test_the_configuration_needs_neither_torch_nor_lightning_nor_hydra():
    code = (
        "import sys; from megxl.training.config import PretrainConfig as P;"
        "P.from_dict({'datasets_config': [{'type': 'camcan'}]});"
        "print([name for name in ('torch', 'lightning', 'hydra', 'omegaconf', 'mne') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
