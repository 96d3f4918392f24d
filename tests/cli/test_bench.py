"""`megxl bench`: figures on screen and in a file, on the device that was asked for."""

import json

import pytest
import torch

from megxl.cli import main
from megxl.cli.loading import choose_device
from megxl.errors import InputError


@pytest.mark.slow
def test_figures_are_printed_and_written(tmp_path, capsys):
    words = "bench model --size tiny --sensors 2 --seconds 3 --device cpu --stages forward --repeats 1 --warmup 0"
    assert main([*words.split(), "--json", str(tmp_path / "speed.json")]) == 0
    (row,) = json.loads((tmp_path / "speed.json").read_text())
    assert (row["stage"], row["window_s"], row["sensors"], row["device"]) == ("forward", 3.0, 2, "cpu")
    assert f"forward   {row['median_s']:9.3f}s" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["speed.json"]


@pytest.mark.parametrize("name", ["foo", "gpu", "cuda:", "cuda:one", "cuda:-1", "cpu:1", "cuda:64", ""])
def test_a_device_that_is_not_there_is_refused(name):
    with pytest.raises(InputError, match=f"{name} (is not known|device on this machine)"):
        choose_device(name)


def test_a_gpu_can_be_chosen_by_its_number(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda:1") == torch.device("cuda", 1) and choose_device("auto") == torch.device("cuda")
    with pytest.raises(InputError, match="sees no cuda:2"):
        choose_device("cuda:2")


def test_older_figures_are_kept_unless_they_may_be_replaced(tmp_path, capsys):
    (tmp_path / "speed.json").write_text("old")
    words = ["bench", "model", "--size", "tiny", "--device", "cpu", "--json", str(tmp_path / "speed.json")]
    assert main(words) == 2
    assert "exists already" in capsys.readouterr().err and (tmp_path / "speed.json").read_text() == "old"
    quick = "--sensors 2 --seconds 3 --stages tokenize --repeats 1 --warmup 0 --overwrite"
    assert main([*words, *quick.split()]) == 0
    assert json.loads((tmp_path / "speed.json").read_text())[0]["stage"] == "tokenize"
