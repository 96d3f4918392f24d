"""BIDS EEG from files to words: pretrain prepares it, a probe learns on it, a file of it is embedded and decoded."""

import json

import pytest

from megxl.cli import main
from megxl.extraction import load_embedding
from megxl.store.store import Store
from tests.training.small_run import make_codec

pytest.importorskip("wordllama")
pytest.importorskip("edfio")


@pytest.mark.slow
def test_a_bids_data_set_of_eeg_goes_the_whole_way(tmp_path, capsys):
    root, store = tmp_path / "eeg", tmp_path / "store"
    said = ["simulate", root, "--corpus", "bids", "--minutes", "1.5", "--subjects", "2", "--system", "biosemi16"]
    assert main([*map(str, said), "--sfreq", "250"]) == 0
    sizes = [
        "latent_dim=16",
        "num_layers=1",
        "num_heads=2",
        "fourier_pos_dim=8",
        f"tokenizer_ckpt={make_codec(tmp_path)}",
    ]
    small = ["training.num_workers=0", "training.pin_memory=false", "training.persistent_workers=false"]
    words = [
        "corpora=bids",
        f"datasets_config.bids.data_root={root}",
        f"data.cache_dir={store}",
        "data.segment_length=6",
    ]
    steps = ["training.max_steps=3", "training.warmup_steps=1", "machine=laptop", "logging.tensorboard=false"]
    run = tmp_path / "pre"
    assert main(["pretrain", *words, *(f"model.{size}" for size in sizes), *small, *steps, f"run={run}"]) == 0
    # electrodes have a kind of their own, without a word about it, and the average for their reference
    assert json.loads((run / "model" / "config.json").read_text())["config"]["sensor_kinds"] == 3
    keys = Store(store).keys()
    assert len(keys) == 2 and all(Store(store).recording(key).reference == "average" for key in keys)

    probe = tmp_path / "probe"
    words = ["corpus=bids", f"data.root={root}", f"data.cache_dir={store}", "data.words_per_segment=5"]
    words += ["data.block_s=15", "data.split_ratios=[0.6,0.2,0.2]", f"model.criss_cross_checkpoint={run / 'model'}"]
    words += ["t5.model_name=wordllama", f"t5.cache_dir={tmp_path / 'vectors'}", "training.max_steps=2", "device=cpu"]
    # both subjects are in the pre-training, on purpose
    words.append("evaluation.allow_seen=true")
    assert main(["probe", *words, "training.num_workers=0", "training.pin_memory=false", f"run={probe}"]) == 0
    assert main(["report", str(probe)]) == 0

    folder = next(root.glob("sub-01/**/eeg"))
    (edf,), (events,) = folder.glob("*.edf"), folder.glob("*_events.tsv")
    capsys.readouterr()
    more = ["--montage", "biosemi16", "--out", str(tmp_path / "features.npz"), "--window", "6"]
    assert main(["embed", str(edf), "--model", str(run / "model"), *more]) == 0
    told = load_embedding(tmp_path / "features.npz")
    assert told.features.shape[0] == 16 and (told.sensors.kinds_C == 2).all()
    assert "Electrodes are referred to the average of the good ones: 16 of 16." in told.notes
    assert "Positions of electrodes are those of a template, not measured: 16 from biosemi16." in told.notes
    more = ["--montage", "biosemi16", "--out", str(tmp_path / "words.tsv")]
    assert main(["decode", str(edf), "--words", str(events), "--model", str(probe), *more]) == 0
    assert "referred to the average" in capsys.readouterr().out
