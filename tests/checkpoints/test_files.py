import hashlib
import subprocess
import sys

import pytest

from megxl.checkpoints.files import read_checkpoint, write_checkpoint
from megxl.errors import InputError
from tests.checkpoints.making import codec_file, model_file


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


def test_a_safetensors_file_alone_is_refused(tmp_path):
    folder = write_checkpoint(tmp_path / "codec", read_checkpoint(codec_file(tmp_path)))
    (folder / "config.json").unlink()
    with pytest.raises(InputError, match=r"model\.safetensors is a safetensors file without our config\.json"):
        read_checkpoint(folder / "model.safetensors")


@pytest.mark.parametrize(
    "source", ["absent.ckpt", "absent", "/absent/x", "a/b.ckpt", "./a/b", "../a", "a/b/c", "a/b/c.fif", ""]
)
def test_what_looks_like_a_path_is_never_sought_on_the_hub(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    if source == "":
        source = tmp_path / "absent"
    with pytest.raises(InputError, match="No such file or folder"):
        read_checkpoint(source)


def test_importing_pulls_in_nothing_but_torch_and_safetensors():
    code = (
        "import sys, megxl.checkpoints.files as f;"
        "heavy = {'mne', 'lightning', 'huggingface_hub', 'omegaconf', 'transformers', 'matplotlib', 'rich'};"
        "heavy |= {'megxl.model', 'megxl.tokenizer'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
