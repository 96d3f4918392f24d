"""The clients that list corpora: their calls against the installed packages, their answers as files to fetch."""

import inspect
from types import SimpleNamespace

import pytest

from megxl.corpora.corpus import CORPORA, corpus_named
from megxl.corpora.fetching import origins
from megxl.corpora.fetching.manifest import digest
from megxl.corpora.fetching.origins import ORIGINS, OSF, HttpSource, HuggingFace, OpenNeuro, Radboud
from megxl.corpora.fetching.remote import RemoteFile
from megxl.corpora.fetching.selection import Choice
from megxl.errors import InputError


def accepts(function, *args, **options):
    inspect.signature(function).bind(*args, **options)


def test_every_published_corpus_has_an_origin_or_steps():
    assert set(ORIGINS) == set(CORPORA) - {"bids", "files", "simulated"}
    for name, origin in ORIGINS.items():
        assert corpus_named(name).licence and origin.page.startswith("https://")
        assert (origin.source is None or not origin.needs) or origin.steps
        assert origin.source is not None or origin.steps


def test_huggingface_hub_still_takes_our_calls(monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    from huggingface_hub.hf_api import RepoFile, RepoFolder
    from huggingface_hub.utils import build_hf_headers

    accepts(build_hf_headers)
    accepts(hub.HfApi.repo_info, None, "a/b", repo_type="dataset")
    accepts(hub.HfApi.list_repo_tree, None, "a/b", recursive=True, revision="x", repo_type="dataset")
    answer = [
        # as the hub's HTTP answers are parsed
        RepoFolder(path="Sherlock1", oid="a", type="directory"),
        RepoFile(
            path="Sherlock1/derivatives/serialised/sub-0.h5",
            size=7,
            oid="b",
            type="file",
            lfs={"size": 7, "oid": "f" * 64, "pointerSize": 130},
        ),
        RepoFile(path="README.md", size=5, oid="ce013625030ba8dba906f756967f9e9ca394464a", type="file"),
    ]
    monkeypatch.setattr(hub.HfApi, "repo_info", lambda *_, **__: SimpleNamespace(sha="1234"))
    monkeypatch.setattr(hub.HfApi, "list_repo_tree", lambda *_, **__: iter(answer))
    data, readme = HuggingFace("pnpl/LibriBrain").list(lambda folder: True)
    assert (data.size, data.checksum, data.algorithm) == (7, "f" * 64, "sha256")
    assert data.url.endswith("/datasets/pnpl/LibriBrain/resolve/1234/Sherlock1/derivatives/serialised/sub-0.h5")
    assert (readme.checksum, readme.algorithm) == ("ce013625030ba8dba906f756967f9e9ca394464a", "git")


def test_openneuro_still_takes_our_calls(monkeypatch):
    pytest.importorskip("openneuro")
    from openneuro import _config, _download
    from openneuro._models import DatasetFile, Snapshot

    accepts(_config.get_source)
    accepts(_download._get_download_metadata, dataset_id="ds004078", source="openneuro", max_retries=5)
    asked = []
    files = [
        DatasetFile(filename="sub-01/meg/a.fif", urls=["https://x/a"], size=3, id="1"),
        DatasetFile(
            filename="README", urls=["https://x/r"], size=2, id="2", checksum="0" * 32, checksum_algorithm="md5"
        ),
    ]

    def answer(**options):
        asked.append(options)
        return Snapshot(id="ds004078:1.2.0", files=files)

    monkeypatch.setattr(_download, "_get_download_metadata", answer)
    monkeypatch.setenv("OPENNEURO_SOURCE", "nemar")
    first, second = OpenNeuro("ds004078").list(lambda folder: True)
    assert first == RemoteFile(path="sub-01/meg/a.fif", url="https://x/a", size=3)
    assert (second.checksum, second.algorithm) == ("0" * 32, "md5")
    assert asked == [{"dataset_id": "ds004078", "source": "nemar", "max_retries": 5}]
    files[0].urls = []
    with pytest.raises(InputError, match=r"1 files without an address \(first: sub-01/meg/a.fif\)"):
        OpenNeuro("ds004078").list(lambda folder: True)


def test_checksums_of_the_mirror_are_of_kinds_that_are_known(tmp_path):
    pytest.importorskip("openneuro")
    from typing import get_args

    from openneuro._models import ChecksumAlgorithm

    (tmp_path / "x").write_bytes(b"x")
    assert all(digest(tmp_path / "x", algorithm) for algorithm in get_args(ChecksumAlgorithm))


def test_pnpl_still_lists_osf_as_we_read_it(monkeypatch):
    datasets = pytest.importorskip("pnpl.datasets")
    client = datasets.Gwilliams2022
    accepts(client.get_dataset_manifest)
    entry = {"node_id": "ag3kj", "file_id": "63e6/6", "size": 9}
    source = inspect.getsource(client.get_dataset_manifest)
    assert all(f'"{name}": entry' in source for name in entry)
    # the address is the one that pnpl itself downloads from
    assert "/providers/osfstorage/" in inspect.getsource(client._download_with_retry_static)
    monkeypatch.setattr(client, "get_dataset_manifest", classmethod(lambda cls: {"sub-01/ses-0/meg/a.con": entry}))
    (file,) = OSF().list(lambda folder: True)
    assert file.url == "https://files.osf.io/v1/resources/ag3kj/providers/osfstorage/63e6%2F6" and file.size == 9


@pytest.mark.parametrize("data_set", ["Armeni2022", "Schoffelen2019"])
def test_pnpl_still_lists_webdav_as_we_read_it(monkeypatch, data_set):
    datasets = pytest.importorskip("pnpl.datasets")
    client = getattr(datasets, data_set)
    monkeypatch.setenv("RADBOUD_USERNAME", "u@orcid.org")
    monkeypatch.setenv("RADBOUD_PASSWORD", "secret")
    base = client._dataset_url().split("ru.nl", 1)[1]
    state = "<d:status>HTTP/1.1 200 OK</d:status>"
    entry = "<d:response><d:href>{0}{1}</d:href><d:propstat><d:prop>{2}</d:prop>" + state + "</d:propstat></d:response>"
    folder, size = "<d:resourcetype><d:collection/></d:resourcetype>", "<d:getcontentlength>{}</d:getcontentlength>"
    tree = {
        "": [("sub-A1/", folder), ("sub-V1/", folder), ("README", size.format(4))],
        "sub-A1": [("sub-A1/meg/", folder), ("sub-A1/anat/", folder)],
        "sub-A1/meg": [("sub-A1/meg/a%20b.ds/", folder)],
        "sub-A1/meg/a b.ds": [("sub-A1/meg/a%20b.ds/x.meg4", size.format(12))],
    }
    asked = []

    def propfind(url, auth, depth):
        place = url.removeprefix(client._dataset_url()).strip("/").replace("%20", " ")
        asked.append(place)
        itself = entry.format(base, place.replace(" ", "%20") + "/" if place else "", folder)
        rows = "".join(entry.format(base, *row) for row in tree[place])
        return client._parse_multistatus(f'<d:multistatus xmlns:d="DAV:">{itself}{rows}</d:multistatus>')

    accepts(client._propfind, "url", None, depth="1")
    monkeypatch.setattr(client, "_propfind", propfind)
    monkeypatch.setattr(client, "_folder_listing_cache", {})
    source = Radboud(data_set)
    files = source.list(Choice(patterns=ORIGINS["mous"].patterns).descend)
    assert {(file.path, file.size) for file in files} == {("README", 4), ("sub-A1/meg/a b.ds/x.meg4", 12)}
    assert files[-1].url == client._dataset_url() + "sub-A1/meg/a%20b.ds/x.meg4"
    assert asked == ["", "sub-A1", "sub-A1/meg", "sub-A1/meg/a b.ds"]
    credentials = client._require_credentials()
    assert (credentials.username, credentials.password) == ("u@orcid.org", "secret")
    assert source.headers() == {"Authorization": "Basic dUBvcmNpZC5vcmc6c2VjcmV0"}


def test_an_account_that_is_missing_is_named(monkeypatch):
    monkeypatch.delenv("RADBOUD_USERNAME", raising=False)
    monkeypatch.setenv("RADBOUD_PASSWORD", "secret")
    assert ORIGINS["armeni"].lacks() == ["RADBOUD_USERNAME"]


def test_a_client_that_fails_is_named_in_a_sentence(monkeypatch):
    hub = pytest.importorskip("huggingface_hub")

    def down(*_, **__):
        raise RuntimeError("no route to host")

    monkeypatch.setattr(hub.HfApi, "repo_info", down)
    with pytest.raises(InputError, match=r"Hugging Face \(a/b\) could not be asked .*no route to host.* again"):
        HuggingFace("a/b").list(lambda folder: True)


@pytest.mark.parametrize(("package", "source"), [("openneuro", OpenNeuro("ds1")), ("pnpl", OSF())])
def test_a_client_that_is_not_installed_is_named(monkeypatch, package, source):
    import sys

    for module in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=r"pip install 'megxl\[fetch\]'"):
        source.list(lambda folder: True)


def test_a_plain_server_asks_for_no_account():
    assert HttpSource().headers() == {} and origins.HttpSource().name == "the server"
