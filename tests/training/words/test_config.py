"""Configurations of word decoders: published keys, types and ranges, and one sentence for each contradiction."""

import pytest
import yaml

from megxl.errors import InputError
from megxl.training.configuring import compose
from megxl.training.runs import Run
from megxl.training.words.config import WordsConfig

CORPUS = {"data": {"dataset_type": "armeni"}}


def config(**values) -> WordsConfig:
    data = {**CORPUS["data"], **values.pop("data", {})}
    return WordsConfig.from_dict({"data": data, **values})


def test_it_is_written_and_read_back_the_same():
    made = config(seed=3, model={"word_mlp": {"hidden_dim": 64.0}}, evaluation={"retrieval_set_sizes": [20]})
    assert made.model.word_mlp.hidden_dim == 64 and made.evaluation.retrieval_set_sizes == (20,)
    assert WordsConfig.from_dict(yaml.safe_load(yaml.safe_dump(made.to_dict()))) == made


def test_a_run_of_each_kind_is_opened_with_its_own_configuration(tmp_path):
    made = config(run=str(tmp_path / "run"))
    Run.create(made, environment={})
    assert Run.open(tmp_path / "run").config == made
    with pytest.raises(InputError, match=r"is a run of `megxl finetune`; name one of `megxl pretrain`"):
        from megxl.training.config import PretrainConfig

        Run.open(tmp_path / "run", PretrainConfig)


@pytest.mark.parametrize(
    ("command", "backbone", "head", "holds"),
    [
        ("finetune", "megxl", None, "mlp"),
        ("probe", "megxl", None, "linear"),
        ("finetune", "convolution", None, "sequence"),
        ("probe", "codec", "sensors", "sensors"),
    ],
)
def test_the_usual_head_follows_the_command_and_the_backbone(command, backbone, head, holds):
    assert config(command=command, model={"backbone": backbone, "head": head}).head == holds


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ({}, "strict"),
        ({"use_hashed_split": True}, "published"),
        ({"use_hashed_split": False}, "published"),
        ({"protocol": "official"}, "official"),
    ],
)
def test_the_protocol_is_strict_unless_published_keys_ask_for_theirs(data, name):
    assert config(data=data).data.protocol_name == name


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"modle": {}}, "There is no key modle; did you mean model?"),
        (
            {"model": {"word_mlp": {"hidden": 3}}},
            "no key model.word_mlp.hidden; did you mean model.word_mlp.hidden_dim?",
        ),
        ({"device": "gpu"}, "device = 'gpu'; allowed: auto, cpu, cuda"),
        ({"control": "silence"}, "control = 'silence'; allowed: none, noise, time_shuffle"),
        ({"command": "probe", "model": {"train_from_scratch": True}}, "a probe leaves it as it is"),
        ({"command": "probe", "model": {"backbone": "convolution"}}, "no frozen features to probe"),
        ({"data": {"protocol": "strict", "use_hashed_split": True}}, "belongs to the published protocol"),
        ({"data": {"train_hours": 1, "train_pct": 0.25}}, r"allowed: one of them \(data.train_pct=1\)"),
        ({"data": {"split_ratios": [0.8, 0.2]}}, "three shares"),
        ({"data": {"l_freq": 50}}, "l_freq < h_freq"),
        ({"training": {"patience": 0}}, "training.patience = 0; allowed: 1 and more"),
        ({"resume": True, "overwrite": True}, "exclude each other"),
    ],
)
def test_what_cannot_be_is_refused_by_its_key(values, sentence):
    with pytest.raises(InputError, match=sentence):
        config(**values)


def test_a_corpus_must_be_named():
    with pytest.raises(InputError, match=r"name the corpus, as in data.dataset_type=armeni"):
        WordsConfig.from_dict({})


def test_devices_and_precision_follow_the_published_key():
    on = config(device="cuda:1").machine
    assert (on.accelerator, on.devices, on.precision) == ("cuda", (1,), "bf16-mixed")
    on = config(device="cpu", trainer={"devices": 2, "accumulate_grad_batches": 4}).machine
    assert (on.accelerator, on.devices, on.precision, on.accumulate_grad_batches) == ("cpu", 2, "32-true", 4)


@pytest.mark.parametrize("corpus", ["armeni", "gwilliams", "libribrain"])
@pytest.mark.parametrize("command", ["", "linear_probe_"])
def test_published_configurations_compose_with_published_overrides(corpus, command):
    name = f"eval_criss_cross_word_classification_{command}{corpus}"
    overrides = [
        "data.root=/data",
        "model.criss_cross_checkpoint=a.ckpt",
        "device=cpu",
        "+training.resume_checkpoint=x",
    ]
    made = compose(name, overrides, schema=WordsConfig, given={"command": "probe" if command else "finetune"})
    assert made.data.dataset_type == corpus and made.data.train_pct == 0.25 and made.data.protocol_name == "published"
    assert made.data.max_channel_dim == {"armeni": None, "gwilliams": 208, "libribrain": 306}[corpus]
    assert made.evaluation.retrieval_set_sizes == (50, 250) and made.training.resume_checkpoint == "x"
    assert made.head == ("linear" if command else "mlp")
