"""Reading a foreign pickle: its tensors come out, and nothing in it is run."""

import collections
import os
import pathlib
import pickle
import subprocess
import sys
import types
import typing
from pathlib import Path

import numpy as np
import pytest
import torch

from megxl.checkpoints.safe import Inert, read_torch_file
from megxl.errors import InputError
from tests.checkpoints.making import codec_content, model_content, saved

omegaconf = pytest.importorskip("omegaconf")


class Bomb:
    """Runs a function when it is unpickled the usual way."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def shell_bomb(marker: Path) -> Bomb:
    return Bomb(os.system, f"touch {marker}")


def test_metadata_of_other_packages_is_skipped_and_tensors_are_read(tmp_path):
    settings = omegaconf.OmegaConf.create(
        {"corpora": [{"root": "/data", "tasks": ["rest"], "val": None}], "p": pathlib.Path("a")}
    )
    metadata = {
        "settings": settings,
        "tasks": omegaconf.ListConfig(["rest", 1, None]),
        "root": pathlib.PurePosixPath("/data/cache"),
        "nested": {"here": [settings, pathlib.Path("x")]},
        "score": np.float64(0.5),
        "table": np.arange(3),
        "by_name": collections.defaultdict(list, {"a": [1]}),
        "last": collections.deque([1, 2], maxlen=3),
        "type": typing.Optional[int],  # noqa: UP045
        "generic": list[int],
    }
    content = codec_content(datamodule_hyper_parameters=metadata)
    read = read_torch_file(saved(tmp_path / "a.ckpt", content))
    assert all(torch.equal(read["model_state_dict"][k], v) for k, v in content["model_state_dict"].items())
    stored = read["datamodule_hyper_parameters"]
    assert all(type(stored[name]) is Inert for name in ("settings", "tasks", "root", "score", "table"))
    assert vars(stored["settings"]) == {}


def test_structured_omegaconf_settings_are_skipped(tmp_path):
    typed = omegaconf.OmegaConf.structured({"a": 1, "b": omegaconf.MISSING, "c": "${a}"})
    read = read_torch_file(saved(tmp_path / "a.ckpt", {"hp": typed, "x": torch.ones(2)}))
    assert type(read["hp"]) is Inert


def test_lightning_attribute_dictionary_becomes_a_plain_one(tmp_path):
    data = pytest.importorskip("lightning.fabric.utilities.data")
    read = read_torch_file(saved(tmp_path / "a.ckpt", {"hyper_parameters": data.AttributeDict(width=3)}))
    assert read == {"hyper_parameters": {"width": 3}} and type(read["hyper_parameters"]) is dict


def test_stand_ins_are_gone_after_reading(tmp_path):
    path = saved(tmp_path / "a.ckpt", {"settings": omegaconf.OmegaConf.create({"a": 1})})
    before = set(torch.serialization.get_safe_globals())
    read_torch_file(path)
    assert set(torch.serialization.get_safe_globals()) == before
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_shell_command_is_refused_by_name_and_not_run(tmp_path, legacy):
    marker = tmp_path / "marker"
    content = model_content(callbacks={"x": shell_bomb(marker)})
    path = saved(tmp_path / "bomb.ckpt", content, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(InputError, match=rf"bomb\.ckpt: refused.*{os.system.__module__}\.system"):
        read_torch_file(path)
    assert not marker.exists()
    # the bomb is real
    torch.load(path, weights_only=False)
    assert marker.exists()


@pytest.mark.parametrize(
    ("function", "arguments"),
    [(eval, ("1+1",)), (exec, ("x=1",)), (subprocess.Popen, (["true"],)), (os.popen, ("true",)), (getattr, ("x", "y"))],
)
def test_every_other_function_is_refused_by_name(tmp_path, function, arguments):
    path = saved(tmp_path / "bomb.ckpt", {"x": Bomb(function, *arguments)})
    with pytest.raises(InputError, match=rf"wants to run code.*\.{function.__qualname__}\b"):
        read_torch_file(path)


def test_a_command_inside_an_object_that_claims_to_be_omegaconf_is_refused(tmp_path):
    marker = tmp_path / "marker"
    clothed = type("DictConfig", (Bomb,), {"__module__": "omegaconf.dictconfig"})
    path = saved(tmp_path / "bomb.ckpt", {"datamodule_hyper_parameters": clothed(os.system, f"touch {marker}")})
    with pytest.raises(InputError, match="system"):
        read_torch_file(path)
    assert not marker.exists()


def test_a_function_that_lives_under_an_allowed_package_is_not_called(tmp_path, monkeypatch):
    marker = tmp_path / "marker"
    module = types.ModuleType("omegaconf.evil")
    exec(f"def run(): open({str(marker)!r}, 'w').close()", module.__dict__)
    monkeypatch.setitem(sys.modules, "omegaconf.evil", module)
    path = saved(tmp_path / "bomb.ckpt", {"x": Bomb(module.run)})
    assert type(read_torch_file(path)["x"]) is Inert
    assert not marker.exists()
    torch.load(path, weights_only=False)
    assert marker.exists()


def test_a_package_whose_name_only_begins_like_an_allowed_one_is_refused(tmp_path, monkeypatch):
    module = types.ModuleType("omegaconf_extra")
    exec("def run(): pass", module.__dict__)
    monkeypatch.setitem(sys.modules, "omegaconf_extra", module)
    with pytest.raises(InputError, match=r"omegaconf_extra\.run"):
        read_torch_file(saved(tmp_path / "bomb.ckpt", {"x": Bomb(module.run)}))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("protocol", range(6))
def test_a_plain_pickle_is_refused_and_not_unpickled(tmp_path, protocol):
    marker, path = tmp_path / "marker", tmp_path / "plain.pt"
    path.write_bytes(pickle.dumps({"x": shell_bomb(marker)}, protocol=protocol))
    with pytest.raises(InputError, match=r"plain\.pt"):
        read_torch_file(path)
    assert not marker.exists()


def test_the_older_torch_format_is_read(tmp_path):
    content = codec_content()
    read = read_torch_file(saved(tmp_path / "old.pt", content, _use_new_zipfile_serialization=False))
    assert all(torch.equal(read["model_state_dict"][k], v) for k, v in content["model_state_dict"].items())


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("kept", [1, 3, 4, 9, 60, 0.02, 0.3, 0.7, 0.99, -100, -22, -1])
def test_a_truncated_file_is_named_as_such(tmp_path, kept, legacy):
    path = saved(tmp_path / "cut.ckpt", codec_content(), _use_new_zipfile_serialization=not legacy)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    with pytest.raises(InputError, match=r"cut\.ckpt.*(truncated|first bytes)"):
        read_torch_file(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n<!DOCTYPE html><html><body>Sign in</body></html>", "is an HTML page"),
        (b"<html>404</html>", "is an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 283000000\n", "Git LFS pointer"),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00" + b'{"a":{"dtype":1}}', "safetensors"),
        (b"hello, this is a text", "not a torch file"),
        (b"PK\x05\x06" + b"\0" * 18, "not a torch file"),
    ],
)
def test_other_files_are_called_what_they_are(tmp_path, content, said):
    path = tmp_path / "model.ckpt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"model\.ckpt {said}|{said}"):
        read_torch_file(path)


@pytest.mark.filterwarnings("ignore")
def test_a_torchscript_program_is_called_so(tmp_path):
    path = tmp_path / "program.pt"
    torch.jit.script(torch.nn.Linear(2, 2)).save(path)
    with pytest.raises(InputError, match=r"program\.pt is a TorchScript program"):
        read_torch_file(path)


def test_a_zip_that_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / "numbers.ckpt"
    with path.open("wb") as file:
        np.savez(file, a=np.arange(3))
    with pytest.raises(InputError, match=r"numbers\.ckpt"):
        read_torch_file(path)
