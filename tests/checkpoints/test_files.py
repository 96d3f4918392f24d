"""Any path to a checkpoint: read by what it is, or refused by name."""

import hashlib
import os
import subprocess
import sys

import pytest

from megxl.checkpoints.files import read_checkpoint, write_checkpoint
from megxl.errors import InputError
from tests.checkpoints.making import codec_file, model_file
from tests.rights import forbidden


def test_every_kind_of_path_is_read(tmp_path):
    path = codec_file(tmp_path)
    folder = write_checkpoint(tmp_path / "codec", read_checkpoint(str(path)))
    for source in (path, folder, folder / "model.safetensors", str(folder) + "/"):
        assert read_checkpoint(source).kind == "biocodec"
    assert read_checkpoint(model_file(tmp_path)).kind == "megxl"


def test_the_hash_of_the_file_is_given(tmp_path):
    path = codec_file(tmp_path)
    assert read_checkpoint(path).provenance["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_wrong_kind_is_refused_both_ways(tmp_path):
    with pytest.raises(InputError, match=r"codec\.pt holds a BioCodec tokenizer, but a MEG-XL model is wanted"):
        read_checkpoint(codec_file(tmp_path), kind="megxl")
    with pytest.raises(InputError, match=r"model\.ckpt holds a MEG-XL model, but a BioCodec tokenizer is wanted"):
        read_checkpoint(model_file(tmp_path), kind="biocodec")


def test_the_model_that_an_unfinished_run_will_have_is_told_from_a_wrong_name(tmp_path):
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    last.parent.mkdir(parents=True)
    last.write_bytes(b"")
    with pytest.raises(
        InputError, match=r"run is not finished: go on with it \(run=.*run resume=true\), or take .*last"
    ):
        read_checkpoint(tmp_path / "run" / "model")
    with pytest.raises(InputError, match=r"on the hub is named"):
        read_checkpoint(tmp_path / "rum" / "model")
    (tmp_path / "run" / "model").mkdir()
    with pytest.raises(InputError, match=r"on the hub is named"):
        read_checkpoint(tmp_path / "run" / "modle")


def test_a_safetensors_file_alone_is_refused(tmp_path):
    folder = write_checkpoint(tmp_path / "codec", read_checkpoint(codec_file(tmp_path)))
    (folder / "config.json").unlink()
    with pytest.raises(InputError, match=r"model\.safetensors is a safetensors file without our config\.json"):
        read_checkpoint(folder / "model.safetensors")


@pytest.mark.parametrize(
    "source", ["absent.ckpt", "absent", "/absent/x", "a/b.ckpt", "./a/b", "../a", "a/b/c", "a/b/c.fif"]
)
def test_what_looks_like_a_path_is_never_sought_on_the_hub(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="No such file or folder"):
        read_checkpoint(source)


def test_an_empty_name_is_refused_as_such():
    with pytest.raises(InputError, match="name of the checkpoint is empty"):
        read_checkpoint("")


@pytest.mark.skipif(not hasattr(os, "setresuid"), reason="needs a way to give up root")
def test_what_may_not_be_read_is_named(tmp_path):
    folder = write_checkpoint(tmp_path / "codec", read_checkpoint(codec_file(tmp_path)))
    files = {path.name: path.read_bytes() for path in folder.iterdir()} | {
        "codec.pt": codec_file(tmp_path).read_bytes()
    }
    with forbidden(0o222, **files) as place:
        for source in (place / "codec.pt", place, place / "model.safetensors"):
            with pytest.raises(InputError, match=rf"{source} cannot be read: Permission denied"):
                read_checkpoint(source)


@pytest.mark.skipif(not hasattr(os, "setresuid"), reason="needs a way to give up root")
def test_tensors_that_may_not_be_read_are_not_called_damaged(tmp_path):
    folder = write_checkpoint(tmp_path / "codec", read_checkpoint(codec_file(tmp_path)))
    with forbidden(0o444, **{path.name: path.read_bytes() for path in folder.iterdir()}) as place:
        if os.getresuid()[2] == 0:
            os.seteuid(0)
        (place / "model.safetensors").chmod(0o222)
        if os.getresuid()[2] == 0:
            os.seteuid(65534)
        with pytest.raises(InputError, match=r"cannot be read"):
            read_checkpoint(place)


def test_a_name_that_is_too_long_is_a_sentence():
    with pytest.raises(InputError, match=r"File name too long|No such file or folder"):
        read_checkpoint("a" * 300)


def test_importing_pulls_in_nothing_but_torch_and_safetensors():
    code = (
        "import sys, megxl.checkpoints.files as f;"
        "heavy = {'mne', 'lightning', 'huggingface_hub', 'omegaconf', 'transformers', 'matplotlib', 'rich'};"
        "heavy |= {'megxl.model', 'megxl.tokenizer'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
