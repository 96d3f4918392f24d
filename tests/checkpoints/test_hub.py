"""Names on the hub: which files are fetched, what comes first, what is said offline."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from megxl.checkpoints.files import read_checkpoint, write_checkpoint
from megxl.checkpoints.hub import default_codec, fetch, is_hub_name
from megxl.errors import InputError
from tests.checkpoints.making import codec_file, model_file

hub = pytest.importorskip("huggingface_hub")


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    """A folder that stands for a repository, at the border to huggingface_hub; it remembers what was downloaded."""
    folder = tmp_path / "repository"
    folder.mkdir()
    asked = folder.parent / "asked.txt"
    asked.touch()

    def download(name, file, *, revision, local_files_only):
        assert not local_files_only
        with asked.open("a") as log:
            log.write(f"{name} {file} {revision}\n")
        if not (folder / file).is_file():
            raise hub.errors.EntryNotFoundError("404")
        return str(folder / file)

    monkeypatch.setattr("megxl.checkpoints.hub.reachable", lambda: True)
    monkeypatch.setattr(hub, "hf_hub_download", download)
    monkeypatch.setattr(hub, "list_repo_files", lambda name, revision=None: sorted(p.name for p in folder.iterdir()))
    monkeypatch.chdir(tmp_path)
    return folder


def asked(repository: Path) -> list[str]:
    return (repository.parent / "asked.txt").read_text().splitlines()


def test_a_repository_in_our_format_downloads_two_files(repository, tmp_path):
    write_checkpoint(repository, read_checkpoint(codec_file(tmp_path)))
    assert read_checkpoint("org/name@v2").kind == "biocodec"
    assert asked(repository) == ["org/name config.json v2", "org/name model.safetensors v2"]


def test_the_only_released_file_is_taken(repository):
    model_file(repository)
    (repository / "config.json").write_text("{}")
    assert read_checkpoint("org/name").kind == "megxl"
    assert asked(repository) == ["org/name model.ckpt None"]


def test_several_released_files_are_listed(repository):
    model_file(repository)
    codec_file(repository)
    with pytest.raises(InputError, match=r"2 checkpoints: name one of org/name/codec\.pt, org/name/model\.ckpt"):
        read_checkpoint("org/name")
    assert read_checkpoint("org/name/codec.pt@main").kind == "biocodec"
    assert asked(repository) == ["org/name codec.pt main"]


def test_a_repository_without_checkpoints_is_named(repository):
    with pytest.raises(InputError, match="org/name holds no checkpoint"):
        fetch("org/name")


def test_a_local_path_wins_over_a_hub_name(repository, tmp_path):
    write_checkpoint(tmp_path / "org" / "name", read_checkpoint(codec_file(tmp_path)))
    assert read_checkpoint("org/name").kind == "biocodec"
    assert asked(repository) == []


@pytest.mark.parametrize(
    "text", ["org/name", "org/name-v1.5", "pnpl/MEG-XL/meg-xl-med.ckpt", "o/n/sub/f.pt@refs/pr/1", "o/n@v1"]
)
def test_hub_names(text):
    assert is_hub_name(text)


@pytest.mark.parametrize(
    "text",
    [
        "name",
        "a/b.ckpt",
        "/a/b",
        "./a/b",
        "../a/b",
        "~/a",
        "a/b/c",
        "a/b/c.fif",
        "a\\b",
        "a b/c",
        "a/../b.ckpt",
        "here/x",
    ],
)
def test_paths_are_no_hub_names(tmp_path, monkeypatch, text):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    assert not is_hub_name(text)


def response(status: int):
    """Answer of the hub, whichever HTTP library this version of huggingface_hub uses."""
    for library in ("httpx2", "httpx", "requests"):
        try:
            http = __import__(library)
        except ImportError:
            continue
        if library == "requests":
            answer = http.Response()
            answer.status_code = status
            return answer
        return http.Response(status, request=http.Request("GET", "https://huggingface.co"))
    raise AssertionError("no HTTP library")


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        ("GatedRepoError", 403, "asks for consent: accept its terms on https://huggingface.co/pnpl/MEG-XL"),
        ("RepositoryNotFoundError", 404, "no such repository on the hub"),
        ("RevisionNotFoundError", 404, "has no revision 'v9'"),
        ("HfHubHTTPError", 500, "refused to download from pnpl/MEG-XL"),
    ],
)
def test_refusals_of_the_hub_become_sentences(repository, monkeypatch, error, status, said):
    def refuse(*_, **__):
        raise getattr(hub.errors, error)("no", response=response(status))

    monkeypatch.setattr(hub, "hf_hub_download", refuse)
    with pytest.raises(InputError, match=said):
        fetch("pnpl/MEG-XL/meg-xl-med.ckpt@v9")


def test_a_file_that_is_not_in_the_repository_is_named(repository):
    with pytest.raises(InputError, match=r"org/name has no file absent\.ckpt"):
        fetch("org/name/absent.ckpt")


@pytest.mark.parametrize("name", ["pnpl/MEG-XL", "pnpl/MEG-XL/meg-xl-med.ckpt"])
@pytest.mark.parametrize("network", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
def test_offline_it_says_at_once_and_only_what_to_put_where(tmp_path, name, network):
    code = (
        "from megxl.errors import InputError\nfrom megxl.checkpoints.files import read_checkpoint\n"
        f"try:\n    read_checkpoint({name!r})\nexcept InputError as error:\n    print(error)\n"
    )
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, **network, "HF_HOME": str(tmp_path), "PYTHONPATH": root}
    said = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    assert said.stderr == ""
    assert f"of the name {name}, and the hub cannot be reached" in said.stdout and "meg-xl-med.ckpt" in said.stdout
    assert "https://huggingface.co/pnpl/MEG-XL by hand and give the path" in said.stdout


def test_the_default_codec_is_found_or_its_place_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"brainstorm/neuro_tokenizers/biocodec_ckpt\.pt.*BioCodec"):
        default_codec()
    place = tmp_path / "brainstorm" / "neuro_tokenizers"
    place.mkdir(parents=True)
    codec_file(tmp_path).rename(place / "biocodec_ckpt.pt")
    assert read_checkpoint(default_codec()).kind == "biocodec"
