"""Composing configurations: published names and keys, overrides, groups, and one sentence for each mistake."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from omegaconf import DictConfig, ListConfig

import megxl
from megxl.corpora.corpus import PUBLISHED_NAMES
from megxl.errors import InputError
from megxl.sizes import PRESETS, BioCodecConfig
from megxl.training import configuring
from megxl.training.blocks import BLOCKS
from megxl.training.config import PretrainConfig
from megxl.training.configuring import compose, config_names, configs_dir
from megxl.training.tokenizer.config import TokenizerConfig
from megxl.training.words.config import WordsConfig

PUBLISHED = "train_criss_cross_multi_50hz_med"
ROOTS = [f"datasets_config.{n}.data_root=/data/{n}" for n in range(5)]
REPOSITORY = Path(__file__).parents[2]


def refused(*overrides, name: str | Path = "pretrain") -> str:
    with pytest.raises(InputError) as error:
        compose(name, overrides)
    said = str(error.value)
    for strange in ("Hydra's", "hydra.cc", "DictConfig", "omegaconf", "HYDRA_FULL_ERROR", "full_key", "\n"):
        assert strange not in said
    return said


def written(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_the_published_configuration_has_its_published_values():
    made = compose(PUBLISHED, ROOTS).to_dict()
    # data-and-pretraining table of the published file; what differs on purpose is named below
    assert [block["type"] for block in made["datasets_config"]] == [
        "smn4lang", "schoffelen", "camcan", "armeni", "gwilliams"
    ]  # fmt: skip
    assert [block["validation_only"] for block in made["datasets_config"]] == [False, False, False, True, True]
    assert [block["tasks"] for block in made["datasets_config"]] == [
        ["RDR"], ["auditory"], ["rest", "smt"], ["compr"], ["0", "1", "2", "3"]
    ]  # fmt: skip
    smn4lang, schoffelen, camcan, armeni, gwilliams = made["datasets_config"]
    assert smn4lang["val_runs"] == ["run-56", "run-57", "run-58", "run-59", "run-60"]
    assert schoffelen["val_subjects"] == ["sub-A2120", "sub-A2121", "sub-A2122"]
    assert camcan["val_subjects"] == ["sub-CC110033", "sub-CC120065", "sub-CC110101"]
    assert armeni["val_session"] == ["ses-010"] and gwilliams["val_subjects"] == ["sub-03", "sub-11"]
    values = {
        "data": {"cache_dir": "./data/cache", "segment_length": 150.0, "debug_mode": False, "l_freq": 0.1,
                 "h_freq": 40.0, "target_sfreq": 50.0, "recording_subsample_prop": None},
        "model": {"tokenizer_ckpt": "./brainstorm/neuro_tokenizers/biocodec_ckpt.pt", "latent_dim": 512,
                  "num_layers": 8, "num_heads": 8, "vocab_size": 256, "mask_duration": 3.0,
                  "num_subsegments_to_mask": 20, "sampling_rate": 50, "fourier_pos_dim": 250, "recompute": "off"},
        "training": {"batch_size": 1, "num_epochs": 50, "max_steps": None, "learning_rate": 1e-4, "warmup_steps": 250,
                     "min_learning_rate": 1e-6, "weight_decay": 0.01, "gradient_clip_val": 1.0, "num_workers": 6,
                     "pin_memory": True, "persistent_workers": True, "use_recording_sampler": True,
                     "sampler_seed": 42},
        "logging": {"wandb_project": "brainstorm", "wandb_entity": None, "log_every_n_steps": 10,
                    "experiment_name": "criss-cross-multi-dataset-pretrain-50Hz"},
        "checkpoint": {"save_dir": "./checkpoints", "save_last": True, "resume": False, "resume_path": None},
        "trainer": {"devices": 1, "precision": "bf16-mixed", "accumulate_grad_batches": 1, "val_check_interval": 500},
    }  # fmt: skip
    for section, expected in values.items():
        assert {key: made[section][key] for key in expected} == expected
    assert made["seed"] == 42
    assert PretrainConfig.from_dict(made).model.sizes(625, BioCodecConfig()) == PRESETS["med"]


def test_every_deviation_from_the_published_values_says_what_was_published():
    text = (configs_dir() / f"{PUBLISHED}.yaml").read_text()
    for key, published in (("every_n_train_steps", "5000"), ("save_top_k", "-1"), ("accelerator", "gpu")):
        line = next(line for line in text.splitlines() if line.strip().startswith(f"{key}:"))
        assert f"published: {published}" in line


def test_ours_is_the_published_training_with_corpora_from_the_store():
    ours, published = compose("pretrain").to_dict(), compose(PUBLISHED, ROOTS).to_dict()
    for block in (*ours["datasets_config"], *published["datasets_config"]):
        block |= {"data_root": None, "type": PUBLISHED_NAMES.get(block["type"], block["type"])}
    assert ours["datasets_config"] == published["datasets_config"]
    for key in ("data", "training", "trainer", "checkpoint", "seed"):
        assert ours[key] == published[key]
    assert ours["model"] == published["model"] | {"num_subsegments_to_mask": None, "vocab_size": None}


def test_a_placeholder_that_was_left_in_is_refused_by_its_key_but_may_be_looked_at():
    said = refused(*ROOTS[:3], *ROOTS[4:], name=PUBLISHED)
    assert "datasets_config.3.data_root = '/path/to/armeni' is a placeholder" in said
    assert compose(PUBLISHED, complete=False).datasets_config[3].data_root == "/path/to/armeni"


@pytest.mark.parametrize("sign", ["", "+", "++"])
def test_a_key_is_set_whether_the_file_has_it_or_not(sign):
    given = "data.shuffle_segments=true training.ema_decay=0.99 seed=7 data.segment_length=30 model.recompute=full"
    made = compose(PUBLISHED, [*ROOTS, *(f"{sign}{text}" for text in given.split())])
    assert made.data.shuffle_segments is True and made.training.ema_decay == 0.99 and made.seed == 7
    assert made.data.segment_length == 30.0 and type(made.data.segment_length) is float
    assert made.model.recompute == "full"


def test_numbers_are_read_as_numbers():
    made = compose("pretrain", ["training.learning_rate=1e-3", "data.target_sfreq=50", "trainer.devices=[0,1]"])
    assert made.training.learning_rate == 0.001 and made == compose(
        "pretrain", ["training.learning_rate=0.001", "data.target_sfreq=50.0", "trainer.devices=[0, 1]"]
    )


def test_corpora_are_named_by_place_or_type_and_added_as_lists():
    one = compose(PUBLISHED, [*ROOTS, "datasets_config.2.tasks=[rest]", "datasets_config.camcan.subjects=[a]"])
    assert one.datasets_config[2].tasks == ("rest",) and one.datasets_config[2].subjects == ("a",)  # type: ignore
    two = compose("pretrain", ["datasets_config=[{type: simulated, data_root: /d, split: {validation: 0.5}}]"])
    assert two.datasets_config[0].split == {"validation": 0.5}
    assert compose("pretrain", ["corpora=simulated", "datasets_config.0.split.by=recording"]).datasets_config[0].split


@pytest.mark.parametrize("size", PRESETS)
def test_a_model_group_is_the_preset_of_its_name(size):
    made = compose("pretrain", [f"model={size}"])
    assert made.model.sizes(625, BioCodecConfig()) == PRESETS[size]
    # the published file says how many codes there are, the groups leave it to the tokenizer
    assert compose(PUBLISHED, [*ROOTS, f"model={size}"]).model == replace(made.model, vocab_size=256)


@pytest.mark.parametrize("path", sorted((configs_dir() / "corpora").glob("*.yaml")), ids=lambda path: path.stem)
def test_each_group_of_corpora_composes(path):
    made = compose("pretrain", [f"corpora={path.stem}"])
    assert path.stem in ("published", made.datasets_config[0].type)
    assert all(block.type in BLOCKS and block.data_root is None for block in made.datasets_config)


def test_corpora_may_be_several():
    made = compose("pretrain", ["corpora=[camcan,omega]", "datasets_config.omega.data_root=/omega"])
    assert [(block.type, block.data_root) for block in made.datasets_config] == [("camcan", None), ("omega", "/omega")]


@pytest.mark.parametrize("path", sorted((configs_dir() / "machine").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_machine_decides_about_devices_and_loading_and_never_about_the_mathematics(path):
    made, usual = (compose("pretrain", [f"machine={name}"]).to_dict() for name in (path.stem, "auto"))
    of_machine = ("num_workers", "pin_memory", "persistent_workers", "batch_size")
    assert {k: v for k, v in made["training"].items() if k not in of_machine} == {
        k: v for k, v in usual["training"].items() if k not in of_machine
    }
    for key in ("recompute", "compile", "attention"):
        made["model"].pop(key), usual["model"].pop(key)
    assert made["model"] == usual["model"] and made["data"] == usual["data"]


def test_overrides_decide_over_groups():
    made = compose("pretrain", ["training.num_workers=3", "model.num_layers=3", "model=tiny", "machine=laptop"])
    assert (made.model.latent_dim, made.model.num_layers, made.training.num_workers) == (64, 3, 3)
    assert made.trainer.accelerator == "cpu"


def test_steps_take_the_place_of_epochs_and_the_other_way_round(tmp_path):
    assert compose("pretrain", ["training.max_steps=5"]).training.num_epochs is None
    steps = written(tmp_path, "defaults: [pretrain, _self_]\ntraining: {max_steps: 5, num_epochs: null}")
    assert compose(steps, ["training.num_epochs=2"]).training.max_steps is None
    assert "exactly one" in refused("training.num_epochs=2", "training.max_steps=5")


def test_a_file_of_ones_own_may_stand_alone_or_build_on_ours(tmp_path):
    alone = written(tmp_path, "datasets_config: [{type: camcan}]\nseed: 5\n")
    made = compose(alone, ["training.num_workers=0", "model=tiny"])
    assert made.seed == 5 and made.training.num_workers == 0 and made.model.latent_dim == 64
    text = "defaults: [pretrain, {override model: small}, _self_]\ntraining: {num_workers: 2}\n"
    built = compose(written(tmp_path, text, "built.yaml"), ["seed=6"])
    assert (built.model.latent_dim, built.training.num_workers, built.seed) == (256, 2, 6)
    assert len(built.datasets_config) == 5
    assert compose(str(alone)) == compose(alone)


def test_the_configuration_that_a_run_kept_composes_to_itself(tmp_path):
    made = compose("pretrain", ["model=tiny", "corpora=omega", "training.max_steps=3", "trainer.devices=[1]"])
    assert compose(written(tmp_path, yaml.safe_dump(made.to_dict()))) == made


def test_a_file_of_ones_own_may_have_the_name_of_one_of_ours(tmp_path, monkeypatch):
    written(tmp_path, "datasets_config: [{type: camcan}]\nseed: 5\n", "pretrain.yaml")
    monkeypatch.chdir(tmp_path)
    assert compose("pretrain").seed == 42 and compose(Path("pretrain.yaml")).seed == 5


def test_values_may_refer_to_the_environment_and_to_other_keys(monkeypatch):
    monkeypatch.setenv("MEGXL_TEST_STORE", "/big/store")
    made = compose("pretrain", ["data.cache_dir=${oc.env:MEGXL_TEST_STORE}", "run=runs/${seed}", "seed=9"])
    assert made.data.cache_dir == "/big/store" and made.run == "runs/9"


@pytest.mark.parametrize("path", ["/Daten/Köln", "/data/my folder", "/data/脑", "C:/data", "/data/a-b_c.d@e+f~g"])
def test_folders_may_have_any_letters(path):
    assert compose("pretrain", [f"data.cache_dir={path}"]).data.cache_dir == path


def test_nothing_of_hydra_leaves():
    def parts(value):
        yield value
        for part in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
            yield from parts(part)

    made = compose("pretrain", ["corpora=omega", "datasets_config.0.options={a: [1, 2]}"])
    options = made.datasets_config[0].options
    assert not any(isinstance(part, DictConfig | ListConfig) for part in parts([made.to_dict(), dict(options)]))
    assert type(options["a"]) is list


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["data.segment_lenght=3"], "There is no key data.segment_lenght; did you mean data.segment_length?"),
        (["+data.segment_lenght=3"], "There is no key data.segment_lenght; did you mean data.segment_length?"),
        (["++training.lr=3"], "There is no key training.lr;"),
        (["learning_rate=3"], "There is no key learning_rate; did you mean training.learning_rate?"),
        (["xyz=3"], "There is no key xyz; see them all with --cfg."),
        (["seed.x=3"], "There is no key seed.x; did you mean seed?"),
        (["datasets_config.camcan.val_runs=[a]"], "There is no key datasets_config.2.val_runs"),
        (["datasets_config.9.data_root=x"], "There is no item datasets_config.9; there are: 0 (smn4lang), 1 (mous)"),
        (["datasets_config.0.tasks.0.x=1"], "datasets_config.0.tasks.0 = 'RDR' has no keys below it."),
        (["training.learning_rate=fast"], "training.learning_rate = 'fast'; allowed: a number."),
        (["training.batch_size=[1]"], "training.batch_size = [1]; allowed: a whole number."),
        (["model=tiney"], "model=tiney: no such alternative; did you mean tiny? There are: large, med, small, tiny."),
        (["machine=mainframe"], "machine=mainframe: no such alternative; there are: auto, cluster, gpu24, gpu80"),
        (["model=[tiny,small]"], "model=['tiny', 'small']: no such alternative"),
        (["corpora=[]"], "corpora=[]: name at least one of armeni, bids, camcan"),
        (["corpora=[camcan,openneuro]"], "corpora=openneuro: no such alternative"),
        (["model={latent_dim: 3}"], "no such alternative"),
        (["model@training=tiny"], "'@' has no meaning here"),
        (["~training.num_epochs"], "keys cannot be left out; give another value, as in training.num_epochs=null."),
        (["seed=1,2"], "seed=1,2: several values; give -m"),
        (["seed"], "'seed' cannot be read; write key=value"),
        (["run=(a"], "'run=(a' cannot be read; write key=value, and quotes around"),
        (["=3"], "'=3' cannot be read"),
        (["hydra.run.dir=/x"], "settings of Hydra have no meaning here"),
        (["+hydra/launcher=joblib"], "no key hydra/launcher"),
        (["data._target_=os.system"], "data._target_: a configuration names no code to run"),
        (["+_target_=os.system"], "_target_: a configuration names no code to run"),
        (["datasets_config.0.options={_target_: os.system}"], "datasets_config.0.options._target_: a configuration"),
        (["datasets_config.0={type: camcan, options: {a: [{_partial_: true}]}}"], "options.a.0._partial_: a config"),
        (["data.cache_dir=${oc.env:MEGXL_NO_SUCH_VARIABLE}"], "data.cache_dir: what stands in ${...} is no key"),
        (["data.cache_dir=${nothing}"], "data.cache_dir: what stands in ${...} is no key"),
        (["data.cache_dir=${hydra:run.dir}"], "what stands in ${...} is no key"),
        (["data.cache_dir=???"], "data.cache_dir has no value yet"),
        (["training.batch_seconds=200"], "is no multiple of data.segment_length = 150; allowed: 150"),
    ],
)
def test_mistakes_are_told_in_a_sentence(overrides, said):
    assert said in refused(*overrides)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed: [1", "mine.yaml, line 1: this is no YAML:"),
        ("seed: 1\nseed: 2", "mine.yaml, line 2: this is no YAML: found duplicate key seed"),
        ("- a", "mine.yaml: a configuration is a mapping of keys"),
        ("", "datasets_config names no corpus to train on"),
        ("hydra: {run: {dir: /x}}", "leave the key 'hydra' out"),
        ("defaults: [nowhere]", "mine.yaml builds on 'nowhere', which does not exist"),
        ("defaults: [{model: huge}]", "mine.yaml builds on 'model/huge', which does not exist"),
        ("defaults: 3", "mine.yaml cannot be composed"),
        ("defaults: [pretrain, {model: small}]", "mine.yaml cannot be composed"),
        ("defaults: [mine]", "mine.yaml cannot be composed"),
        ("defaults: [pretrain]\nseed: 3", "mine.yaml: end its defaults list with _self_"),
        ("a: &x [*x]", "mine.yaml is no configuration"),
        ("datasets_config: [{type: camcan}]\nmodle: {}", "There is no key modle; did you mean model?"),
        ("datasets_config: [{type: camcan}]\nmodel: {_target_: os.system}", "model._target_: a configuration names no"),
        ("datasets_config: [{type: camcan}]\nrun: ${nothing}", "run: what stands in ${...} is no key"),
    ],
)
def test_mistakes_in_a_file_are_told_in_a_sentence(text, said, tmp_path):
    assert said in refused(name=written(tmp_path, text))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("train_criss_cross_multi", f"'train_criss_cross_multi'; did you mean {PUBLISHED}?"),
        ("nothing", f"'nothing'; there are: pretrain, pretrain_laptop, {PUBLISHED}, or a path"),
        (Path("/no/such.yaml"), "There is no configuration '/no/such.yaml'"),
        (Path(__file__), "a configuration is a file whose name ends in .yaml"),
    ],
)
def test_a_configuration_that_is_not_there_is_told_with_those_that_are(name, said):
    assert said in refused(name=name)


def test_all_configurations_compose():
    assert config_names() == ["pretrain", "pretrain_laptop", PUBLISHED]
    for name in config_names():
        compose(name, complete=False)


def test_every_key_of_the_files_is_known_and_no_group_sets_a_key_that_the_file_sets_again():
    ours = yaml.safe_load((configs_dir() / "pretrain.yaml").read_text())
    for path in (configs_dir() / "machine").glob("*.yaml"):
        for section, keys in yaml.safe_load(path.read_text()).items():
            if isinstance(keys, dict):
                assert not set(keys) & set(ours.get(section) or {}), path


def test_the_wheel_takes_the_configurations_along_and_they_are_found_there(tmp_path, monkeypatch):
    wheel = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {"configs": "megxl/configs"}
    assert configs_dir() == REPOSITORY / "configs"
    for source, target in wheel["force-include"].items():
        for path in (REPOSITORY / source).rglob("*.yaml"):
            place = tmp_path / target / path.relative_to(REPOSITORY / source)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
    monkeypatch.setattr(megxl, "__file__", str(tmp_path / "megxl" / "__init__.py"))
    assert configs_dir() == tmp_path / "megxl" / "configs"
    others = {*TokenizerConfig.groups, *WordsConfig.groups, "paper", "demo"}
    assert {path.name for path in configs_dir().iterdir() if path.is_dir()} == {*PretrainConfig.groups, *others}
    assert compose("pretrain", ["model=tiny"]).model.latent_dim == 64
    monkeypatch.setattr(megxl, "__file__", str(tmp_path / "nowhere" / "megxl" / "__init__.py"))
    with pytest.raises(InputError, match="are not installed"):
        configuring.configs_dir()
