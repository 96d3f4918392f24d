"""`megxl doctor`: packages by what they are for, the machine, corpora and weights that are here or how they are got."""

import json
import shutil
from importlib import metadata

import pytest

from megxl.cli import doctor_facts, main
from megxl.corpora.fetching.origins import ORIGINS


def facts(capsys, *options: str) -> dict:
    assert main(["doctor", *options, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


REQUIREMENTS = [
    "torch>=2.6",
    "no-such-package>=1",
    "lightning>=2.4; extra == 'train'",
    'no-such-trainer; python_version > "3.8" and extra == "train"',
    "unknown-extra; extra == 'dev'",
]


def test_packages_are_told_by_what_asks_for_them(monkeypatch):
    monkeypatch.setattr(doctor_facts, "requires", lambda name: REQUIREMENTS)
    found = doctor_facts.packages()
    assert found[""] == {"torch": metadata.version("torch"), "no-such-package": None}
    assert found["train"]["no-such-trainer"] is None and set(found["train"]) == {"lightning", "no-such-trainer"}
    assert not any("unknown-extra" in versions for versions in found.values())


def test_what_lacks_is_told_with_the_command_that_mends_it(monkeypatch, capsys):
    monkeypatch.setattr(doctor_facts, "requires", lambda name: REQUIREMENTS)
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "lacks no-such-trainer: pip install 'megxl[train]'" in said
    assert "lacks no-such-package: pip install 'megxl'" in said


def test_a_source_that_is_not_installed_says_so(monkeypatch, capsys):
    def none(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor_facts, "requires", none)
    assert main(["doctor"]) == 0
    assert "run from its source" in capsys.readouterr().out


def test_every_corpus_is_here_or_can_be_got(monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("RADBOUD_USERNAME", raising=False)
    (tmp_path / "camcan").mkdir()
    told = {one["corpus"]: one for one in facts(capsys, "--data", str(tmp_path))["corpora"]}
    assert set(told) == set(ORIGINS)
    assert told["camcan"]["root"] == str(tmp_path / "camcan")
    assert told["armeni"]["root"] is None and "RADBOUD_USERNAME" in told["armeni"]["lacks"] and told["armeni"]["steps"]
    assert told["libribrain"]["get"] == f"megxl fetch libribrain {tmp_path / 'libribrain'}"
    assert all(one["licence"] and one["page"].startswith("https://") for one in told.values())


@pytest.mark.parametrize(
    ("folder", "corpus"),
    [("ds004078", "smn4lang"), ("LibriBrain", "libribrain"), ("MEG-MASC", "meg_masc"), ("schoffelen", "mous")],
)
def test_a_corpus_is_found_by_its_other_names(tmp_path, capsys, folder, corpus):
    (tmp_path / folder).mkdir()
    (tmp_path / "others").mkdir()
    here = {one["corpus"]: one["root"] for one in facts(capsys, "--data", str(tmp_path))["corpora"] if one["root"]}
    assert here == {corpus: str(tmp_path / folder)}


def test_what_is_missing_is_told_with_size_steps_and_where_to_put_it(monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("RADBOUD_USERNAME", raising=False)
    (tmp_path / "armeni").mkdir()
    assert main(["doctor", "--data", str(tmp_path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "size some 650 people" in said and "step 1 Apply at https://camcan-archive" in said
    assert f"put it into {tmp_path / 'camcan'}. Looked for: TASK/sub-*" in said  # nothing may fetch it
    assert f"get it megxl fetch smn4lang {tmp_path / 'smn4lang'} (with --dry-run" in said
    assert f"then megxl prepare armeni {tmp_path / 'armeni'} --store STORE" in said
    assert "biocodec_ckpt.pt no; get it from https://github.com/usc-sail/BioCodec and put it at brainstorm/" in said
    assert f"free for corpora {shutil.disk_usage(tmp_path).free / 1e9:,.0f} GB at {tmp_path}" in said


def test_without_a_folder_of_corpora_nothing_is_said_to_be_missing(capsys):
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert said.count("not looked for: name the folder of the corpora with --data") == len(ORIGINS)
    assert "free for corpora" not in said


def test_recordings_of_a_corpus_are_counted(tmp_path, capsys):
    for session in ("001", "002"):
        (tmp_path / "armeni" / "sub-001" / f"ses-{session}" / "meg" / f"sub-001_ses-{session}_task-compr_meg.ds").mkdir(
            parents=True
        )
    told = {one["corpus"]: one for one in facts(capsys, "--data", str(tmp_path))["corpora"]}
    assert told["armeni"]["recordings"] == 2


def test_free_space_is_that_of_the_folder_above(tmp_path):
    free = doctor_facts.free_bytes(tmp_path / "not" / "yet")
    assert free == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.05)


def test_weights_in_the_folder_are_found(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "meg-xl-med.ckpt").write_bytes(b"x")
    found = facts(capsys)["weights"]
    assert found["meg-xl-med.ckpt"] == "meg-xl-med.ckpt" and found["biocodec_ckpt.pt"] is None


def test_a_folder_that_is_not_there_is_refused(tmp_path, capsys):
    assert main(["doctor", "--data", str(tmp_path / "no")]) == 2
    assert "is no folder" in capsys.readouterr().err
