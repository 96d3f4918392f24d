"""Devices that are asked for and not there are refused before any work, in a sentence."""

import pytest
import torch

from megxl.errors import InputError
from megxl.training.checks import check_before_work
from megxl.training.devices import refuse_missing_devices
from megxl.training.sections import TrainerConfig
from tests.training.small_run import make_codec, make_store, pretrain_here, small_config, write_config


def machine(monkeypatch, *, gpus: int = 0, mps: bool = False) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("there", "asked", "said"),
    [
        ({}, {"accelerator": "gpu"}, "trainer.accelerator = gpu, but no such device is found here"),
        ({}, {"accelerator": "cuda"}, "trainer.accelerator = cuda, but no such device"),
        ({}, {"accelerator": "mps"}, "trainer.accelerator = mps, but no such device"),
        ({"mps": True}, {"accelerator": "cuda"}, "trainer.accelerator = cuda, but no such device"),
        ({"gpus": 2}, {"devices": 3}, "trainer.devices = 3, but this machine has 2"),
        ({"gpus": 2}, {"devices": (0, 2)}, "trainer.devices = [0, 2], but this machine has 2"),
        ({"mps": True}, {"devices": 2}, "trainer.devices = 2, but this machine has 1"),
        ({}, {"devices": (0, 1)}, "trainer.devices = [0, 1] names GPUs by their numbers"),
        ({}, {"precision": "16-mixed"}, "trainer.precision = 16-mixed needs a GPU of NVIDIA's"),
        ({"mps": True}, {"strategy": "fsdp"}, "trainer.strategy = fsdp needs a GPU of NVIDIA's"),
        ({"gpus": 1}, {"strategy": "fsdp", "accelerator": "cpu"}, "trainer.strategy = fsdp needs a GPU"),
    ],
)
def test_what_the_machine_does_not_have_is_refused(monkeypatch, there, asked, said):
    machine(monkeypatch, **there)
    with pytest.raises(InputError) as error:
        refuse_missing_devices(TrainerConfig(**asked))
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("there", "asked"),
    [
        ({}, {}),
        ({}, {"accelerator": "cpu", "devices": 2}),
        ({"gpus": 2}, {"accelerator": "gpu", "devices": 2, "precision": "16-mixed", "strategy": "fsdp"}),
        ({"gpus": 2}, {"accelerator": "cuda", "devices": (1,)}),
        ({"gpus": 2}, {"devices": "auto"}),
        ({"mps": True}, {"accelerator": "gpu"}),
    ],
)
def test_what_it_has_is_taken(monkeypatch, there, asked):
    machine(monkeypatch, **there)
    refuse_missing_devices(TrainerConfig(**asked))


def test_it_is_said_before_any_work(monkeypatch, tmp_path):
    machine(monkeypatch)
    with pytest.raises(InputError, match=r"trainer\.accelerator = gpu"):
        check_before_work(small_config(tmp_path, trainer__accelerator="gpu"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_the_command_says_it_in_a_sentence_and_makes_no_run(tmp_path, capsys):
    make_store(tmp_path, subjects=2, seconds=20.0)
    make_codec(tmp_path)
    write_config(tmp_path)
    assert pretrain_here(tmp_path, "trainer.accelerator=gpu") == 2
    said = capsys.readouterr().err
    assert "no such device is found here" in said and "Traceback" not in said
    assert not (tmp_path / "run").exists()
