"""`megxl reproduce`: what it tells before and after the runs, and the curve of hours."""

import csv

import pytest

from megxl.cli import main
from megxl.training.configuring import compose
from megxl.training.words.config import WordsConfig
from megxl.training.words.table1 import CELLS, DIFFERENCES, RELIABILITY
from tests.training.words.finished_runs import finish_curve
from tests.training.words.small_words import make_backbone, make_word_store

SMALL = [
    "data.subjects=null", "data.all_sessions=null", "data.tasks=null", "data.words_per_segment=6",
    "t5.model_name=wordllama", "training.num_workers=0", "training.num_epochs=1", "model.word_mlp.hidden_dim=16",
    "evaluation.retrieval_set_sizes=[10,20]", "evaluation.k=3", "evaluation.resamples=100",
    "evaluation.permutations=10", "device=cpu",
]  # fmt: skip


def test_a_dry_run_lists_all_cells_and_what_is_missing_and_begins_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", "table1", "--dry-run", "--store", str(tmp_path / "store")]) == 0
    told = capsys.readouterr().out
    for cell in CELLS:
        assert f"\n  {cell.name} " in told
    assert "42 43 44" in told and "18 runs" in told and "one H100" in told
    assert told.count("megxl fetch") == 3 and told.count("https://huggingface.co/pnpl/MEG-XL") == 1
    assert not list(tmp_path.iterdir())


def test_a_dry_run_of_some_cells_and_seeds_sums_their_hours(tmp_path, capsys):
    place = ["--store", str(tmp_path / "store")]
    words = ["--cell", "armeni_13", "--cell", "armeni_100", "--seed", "1", "--seed", "2", "--gpu", "a100"]
    assert main(["reproduce", "table1", "--dry-run", *words, *place]) == 0
    few, all_, total = (line.split() for line in capsys.readouterr().out.splitlines()[2:5])
    assert few[0] == "armeni_13" and few[1:3] == ["1", "2"] and total[:2] == ["4", "runs"]
    assert float(total[2]) == pytest.approx(float(few[8]) + float(all_[8]), abs=0.11)
    # codes of one corpus are kept once
    assert total[-2] == all_[-2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--cell", "omega_13"], "There is no cell 'omega_13' in Table 1; allowed: meg_masc_13, armeni_13"),
        (["--cell", "armeni_13", "--dry-run", "--gpu", "abacus"], "gpu = 'abacus'; allowed: H200"),
        (["--cell", "armeni_13", "data.train_pc=1"], "There is no key data.train_pc; did you mean data.train_pct?"),
        (["--cell", "armeni_13"], "armeni_13: data (armeni): it has no root"),
    ],
)
def test_mistakes_are_told_before_anything_begins(words, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", "table1", *words]) == 2
    assert said in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_one_folder_for_several_cells_is_refused(tmp_path, capsys):
    store = make_word_store(tmp_path, words=60)
    words = [f"run={tmp_path}/run", "--store", str(store), f"model.criss_cross_checkpoint={make_backbone(tmp_path)}"]
    cells = ["--cell", "armeni_13", "--cell", "armeni_100"]
    assert main(["reproduce", "table1", *cells, *words, "data.train_pct=1", *SMALL]) == 2
    assert f"run: {tmp_path}/run would be the folder of 2 cells" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_results_stand_beside_the_published_ones(tmp_path, capsys):
    from megxl.cli.reproduce_tables import print_table1

    save = f"logging.save_dir={tmp_path}"
    configs = {cell: compose(cell.config_name, [save], schema=WordsConfig) for cell in CELLS[:2]}
    finish_curve(configs[CELLS[1]].run_dir, {1.0: [0.50, 0.52, 0.54]})
    print_table1(configs)
    told = capsys.readouterr().out
    lines = [line.split() for line in told.splitlines()]
    # Student's t of three seeds: 4.303 * 2 / sqrt(3) = 4.97
    assert ["armeni_13", "52.0", "[47.0,", "57.0]", "3", "54.9"] in lines and ["meg_masc_13", "-", "0", "47.0"] in lines
    assert RELIABILITY in told and all(sentence in told for sentence in DIFFERENCES)
    assert "meg_masc_13: " in told and "is no run and holds none" in told


def test_a_curve_is_drawn_and_hours_are_compared(tmp_path, capsys):
    one = finish_curve(tmp_path / "tuned", {1.0: [0.2, 0.2], 4.0: [0.4, 0.4]})
    other = finish_curve(tmp_path / "conv", {1.0: [0.2, 0.2], 16.0: [0.3, 0.3]}, "model.backbone=convolution")
    assert main(["reproduce", "curve", str(one), str(other), "--out", str(tmp_path / "hours.png")]) == 0
    told = capsys.readouterr().out
    assert "2 h of pre-trained, fine-tuned (95% of resampled seeds: 2 to 2 h) reach the 30.0% that 16 h" in told
    assert (tmp_path / "hours.png").read_bytes().startswith(b"\x89PNG")
    with (tmp_path / "hours.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 8
    other_way = ["--of", "convolution, supervised", "--out", str(tmp_path / "b.svg")]
    assert main(["reproduce", "curve", str(one), str(other), *other_way]) == 0
    assert "do not cross: 16 h of the former reach 30.0%, less than the 40.0%" in capsys.readouterr().out
    assert main(["reproduce", "curve", str(one), "--of", "magic", "--out", str(tmp_path / "c.svg")]) == 2
    assert "--of 'magic': no run is of this method; there are: 'pre-trained, fine-tuned'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_cell_runs_and_comes_into_the_table(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store, model = make_word_store(tmp_path, words=200), make_backbone(tmp_path)
    words = [f"model.criss_cross_checkpoint={model}", f"t5.cache_dir={tmp_path}/vectors", "data.train_pct=0.5", *SMALL]
    assert main(["reproduce", "table1", "--cell", "armeni_13", "--seed", "1", "--store", str(store), *words]) == 0
    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    (row,) = [line for line in told if line[:1] == ["armeni_13"] and line[-1] == "54.9"]
    assert row[-2] == "1" and (tmp_path / "runs" / "table1_armeni_13" / "seed-1" / "results.json").is_file()
