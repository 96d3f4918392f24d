"""The configurations of word decoding: published names, keys and values, our defaults, corpora, the paper's cells."""

import re

import pytest
import yaml
from omegaconf import OmegaConf

from megxl.errors import InputError
from megxl.training.configuring import compose, configs_dir
from megxl.training.words.config import WordsConfig
from megxl.training.words.table1 import CELLS, SEEDS

CORPORA = ("armeni", "gwilliams", "libribrain")
FINETUNE, PROBE = "eval_criss_cross_word_classification", "eval_criss_cross_word_classification_linear_probe"

# word-decoding.md, section 7: the same in all six
COMMON = {
    "model": {
        "criss_cross_checkpoint": "./checkpoints/criss-cross-multi-dataset-pretrain-50Hz/c5z56xy8/last.ckpt",
        "tokenizer_checkpoint": "./brainstorm/neuro_tokenizers/biocodec_ckpt.pt",
    },
    "data": {
        "cache_dir": "./data/cache", "use_hashed_split": True, "split_ratios": [0.8, 0.1, 0.1], "train_pct": 0.25,
        "l_freq": 0.1, "h_freq": 40.0, "target_sfreq": 50.0, "segment_length": 150.0, "subsegment_duration": 3.0,
        "words_per_segment": 50, "window_onset_offset": -0.5,
    },
    "t5": {"model_name": "t5-large", "layer": 12, "cache_dir": "./embeddings_cache"},
    "training": {
        "batch_size": 1, "num_epochs": 50, "weight_decay": 1e-4, "gradient_clip_val": 1.0, "patience": 10,
        "min_delta": 0.001, "num_workers": 6, "pin_memory": True,
    },
    "loss": {"norm_kind": "xy", "temperature": True, "bias": True, "reduction": "sum"},
    "evaluation": {"retrieval_set_sizes": [50, 250], "k": 10},
    "logging": {"wandb_project": "brainstorm-eval", "log_every_n_steps": 10},
}  # fmt: skip
# the same in all three of a kind
OWN = {
    FINETUNE: {
        "model": {
            "train_from_scratch": False,
            "word_mlp": {"hidden_dim": 2048, "embed_dim": 1024, "dropout": 0.1},
        },
        "training": {"criss_cross_lr": 1e-5, "word_mlp_lr": 1e-3, "from_scratch_lr": 1e-4},
    },
    PROBE: {"model": {"linear_probe": {"embed_dim": 1024}}, "training": {"probe_lr": 1e-3}},
}
DATA = {
    "armeni": {
        "dataset_type": "armeni", "root": "/path/to/armeni2022", "tasks": ["compr"],
        "subjects": ["sub-001", "sub-002", "sub-003"],
        "all_sessions": [f"ses-{n:03d}" for n in range(1, 11)], "train_sessions": [f"ses-{n:03d}" for n in range(1, 9)],
        "val_sessions": ["ses-009"], "test_sessions": ["ses-010"],
    },
    "gwilliams": {
        "dataset_type": "gwilliams", "root": "/path/to/gwilliams2022", "tasks": ["0", "1", "2", "3"],
        "max_channel_dim": 208, "subjects": [f"sub-{n:02d}" for n in range(1, 28)],
        "all_sessions": ["ses-0", "ses-1"], "train_sessions": ["ses-0"], "val_sessions": ["ses-1"],
        "test_sessions": ["ses-1"],
    },
    "libribrain": {
        "dataset_type": "libribrain", "root": "/path/to/LibriBrain", "tasks": None, "max_channel_dim": 306,
        "subjects": ["sub-0"], "all_sessions": [f"ses-{n}" for n in range(1, 11)],
        "train_sessions": [f"ses-{n}" for n in range(1, 9)], "val_sessions": ["ses-9"], "test_sessions": ["ses-10"],
    },
}  # fmt: skip
LOGGING = {
    (FINETUNE, "armeni"): ("criss-cross-word-classification-1ses-50Hz", "./logs/word_classification"),
    (FINETUNE, "gwilliams"): ("criss-cross-word-classification-gwilliams-50Hz", "./logs/word_classification_gwilliams"),
    (FINETUNE, "libribrain"): (
        "criss-cross-word-classification-libribrain-50Hz", "./logs/word_classification_libribrain",
    ),
    (PROBE, "armeni"): (
        "criss-cross-word-classification-linear-probe", "./logs/word_classification_linear_probe",
    ),
    (PROBE, "gwilliams"): (
        "criss-cross-word-classification-linear-probe-gwilliams", "./logs/word_classification_linear_probe_gwilliams",
    ),
    (PROBE, "libribrain"): (
        "criss-cross-word-classification-linear-probe-libribrain",
        "./logs/word_classification_linear_probe_libribrain",
    ),
}  # fmt: skip


def composed(name: str, *overrides: str, complete: bool = True) -> WordsConfig:
    return compose(name, overrides, complete=complete, schema=WordsConfig)


@pytest.mark.parametrize("corpus", CORPORA)
@pytest.mark.parametrize("kind", [FINETUNE, PROBE])
def test_published_configurations_have_exactly_the_published_keys_and_values(kind, corpus):
    expected = {name: {**values, **OWN[kind].get(name, {})} for name, values in COMMON.items()}
    expected["data"] |= DATA[corpus]
    name, folder = LOGGING[kind, corpus]
    expected["logging"] |= {"experiment_name": name, "save_dir": folder}
    if (kind, corpus) == (FINETUNE, "armeni"):
        expected["training"]["resume_checkpoint"] = None
    found = OmegaConf.to_container(OmegaConf.load(configs_dir() / f"{kind}_{corpus}.yaml"))
    assert found == expected | {"device": "cuda", "seed": 42}


@pytest.mark.parametrize("corpus", CORPORA)
@pytest.mark.parametrize("kind", [FINETUNE, PROBE])
def test_published_configurations_compose_and_take_the_published_protocol(kind, corpus):
    made = composed(f"{kind}_{corpus}", "data.root=/data/x")
    assert made.data.protocol_name == "published" and made.data.root == "/data/x"
    with pytest.raises(InputError, match=re.escape("is a placeholder; give your own, as in data.root=FOLDER.")):
        composed(f"{kind}_{corpus}", "seed=1")


def test_our_defaults_are_strict_and_have_no_published_quirk():
    for name, command, head in (("finetune", "finetune", "mlp"), ("probe", "probe", "linear")):
        made = composed(name, "corpus=armeni")
        assert (made.command, made.head, made.control) == (command, head, "none")
        assert made.data.protocol_name == "strict" and made.data.split_seed == 42
        assert made.data.train_pct == 1.0 and made.data.train_hours is None and made.device == "auto"
        assert made.trainer.precision == "auto" and made.t5.model_name == "t5-large" and made.t5.layer == 12
        rates = (made.training.criss_cross_lr, made.training.word_mlp_lr, made.training.probe_lr)
        assert rates == (1e-5, 1e-3, 1e-3)


def test_our_files_differ_from_the_schemas_own_defaults_only_in_names():
    # a default that stands in two places must not differ between them
    made = composed("finetune", "corpus=armeni").to_dict()
    plain = WordsConfig.from_dict({"data": {"dataset_type": "armeni"}}).to_dict()
    differing = {
        f"{section}.{key}"
        for section, values in made.items()
        if isinstance(values, dict)
        for key, value in values.items()
        if value != plain[section][key]
    }
    assert differing <= {
        "data.protocol", "data.split_seed", "data.tasks", "logging.experiment_name", "logging.save_dir"
    }  # fmt: skip


@pytest.mark.parametrize("corpus", ["armeni", "meg_masc", "libribrain", "simulated"])
def test_a_corpus_is_chosen_by_its_group(corpus):
    made = composed("probe", f"corpus={corpus}", "data.subjects=[a]")
    assert made.data.dataset_type == corpus and made.data.subjects == ("a",) and made.command == "probe"


def test_without_a_corpus_a_sentence_says_how_to_name_one():
    with pytest.raises(InputError, match="name the corpus"):
        composed("finetune", "seed=1")


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_a_cell_of_the_table_is_the_published_run_with_its_share(cell):
    published = {"meg_masc": "gwilliams"}.get(cell.corpus, cell.corpus)
    made = composed(cell.config_name, "seed=43").to_dict()
    theirs = composed(f"{FINETUNE}_{published}", complete=False).to_dict()
    assert made["data"].pop("train_pct") == {13: 0.13, 100: 1.0}[cell.percent] and made["seed"] == 43
    own = {"data": ("train_pct", "root"), "model": ("criss_cross_checkpoint", "tokenizer_checkpoint")}
    for section, keys in own.items():
        for key in keys:
            made[section].pop(key, None)
            theirs[section].pop(key)
    for section in ("model", "data", "t5", "training", "loss", "evaluation"):
        assert made[section] == theirs[section]
    assert made["logging"]["experiment_name"] == f"table1_{cell.name}"


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_a_cells_file_lists_its_seeds_and_its_published_number(cell):
    text = (configs_dir() / f"{cell.config_name}.yaml").read_text()
    assert f"seed={','.join(map(str, SEEDS))} " in text and f"{cell.published:.1f} %" in text
    assert f"--cell {cell.name} " in text and set(yaml.safe_load(text)) <= {
        "defaults", "model", "data", "logging", "device"
    }  # fmt: skip


def test_there_is_a_file_for_every_cell_and_no_other():
    found = {f"paper/{path.stem}" for path in (configs_dir() / "paper").glob("*.yaml")}
    assert found == {cell.config_name for cell in CELLS} and len(CELLS) == 6
