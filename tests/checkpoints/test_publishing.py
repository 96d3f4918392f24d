"""Uploads to the hub: what would go up, and what a person is told when nothing can."""

from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from megxl.checkpoints.files import read_checkpoint, write_checkpoint
from megxl.checkpoints.publishing import licensed, push
from megxl.errors import InputError
from megxl.model.megxl import MEGXL
from tests.checkpoints.making import codec_file, model_file

hub = pytest.importorskip("huggingface_hub")


@pytest.fixture
def uploads(tmp_path, monkeypatch) -> Path:
    """Where the hub's client, cut off at the network, puts what it was given."""
    place = tmp_path / "uploads"

    class Api:
        def create_repo(self, repo_id, *, private, exist_ok):
            assert exist_ok
            (place / repo_id).mkdir(parents=True)
            (place / "private").write_text(str(private))
            return f"https://huggingface.co/{repo_id}"

        def upload_folder(self, *, repo_id, folder_path, commit_message):
            for path in Path(folder_path).iterdir():
                (place / repo_id / path.name).write_bytes(path.read_bytes())

    monkeypatch.setattr(hub, "HfApi", Api)
    monkeypatch.setattr("megxl.checkpoints.publishing.reachable", lambda: True)
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    return place


@pytest.fixture
def refusing(monkeypatch):
    """A hub that answers as the real one does to who may not write."""

    class Refuse(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200)
            self.end_headers()

        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(403)
            self.end_headers()

        def log_message(self, *_):
            """Be quiet."""

    server = HTTPServer(("127.0.0.1", 0), Refuse)
    thread = Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    monkeypatch.setattr(hub.constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_goes_up_is_what_a_saved_folder_holds(uploads, tmp_path):
    model = MEGXL.from_checkpoint(read_checkpoint(model_file(tmp_path)))
    assert model.push_to_hub("org/name", licence="cc-by-nc-4.0") == "https://huggingface.co/org/name"
    saved = model.save_pretrained(tmp_path / "saved", licence="cc-by-nc-4.0")
    assert sorted(path.name for path in saved.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    for path in saved.iterdir():
        assert (uploads / "org" / "name" / path.name).read_bytes() == path.read_bytes()
    assert (uploads / "private").read_text() == "True"


def test_a_folder_goes_up_as_it_is(uploads, tmp_path):
    folder = write_checkpoint(tmp_path / "codec", read_checkpoint(codec_file(tmp_path)))
    (folder / "README.md").write_text("what its owner wrote")
    push(folder, "org/codec", private=False)
    assert (uploads / "org" / "codec" / "README.md").read_text() == "what its owner wrote"
    assert (uploads / "private").read_text() == "False"


def test_a_licence_stays_with_weights_that_are_loaded_and_saved_again(tmp_path):
    folder = write_checkpoint(tmp_path / "a", licensed(read_checkpoint(codec_file(tmp_path)), "mit"))
    again = write_checkpoint(tmp_path / "b", licensed(read_checkpoint(folder), None))
    assert hub.ModelCard.load(again / "README.md").data.license == "mit"


@pytest.mark.parametrize("licence", ["CC BY-NC 4.0", "", "mit\nlicense: other"])
def test_a_licence_that_the_hub_would_not_know_is_refused(tmp_path, licence):
    with pytest.raises(InputError, match=r"no identifier of the hub; allowed: .*cc-by-nc-4\.0"):
        licensed(read_checkpoint(codec_file(tmp_path)), licence)


def test_something_else_than_a_checkpoint_is_not_uploaded(uploads, tmp_path):
    with pytest.raises(InputError, match="no checkpoint folder"):
        push(tmp_path, "org/name")
    assert not uploads.exists()


def test_without_a_token_it_says_how_to_get_one(monkeypatch, tmp_path):
    monkeypatch.setattr(hub, "get_token", lambda: None)
    with pytest.raises(InputError, match=r"Nobody is logged in.*settings/tokens.*'hf auth login'.*HF_TOKEN"):
        push(read_checkpoint(codec_file(tmp_path)), "org/name")


def test_without_a_network_it_says_how_to_upload_later(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    monkeypatch.setattr(hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    # its client would try for half a minute
    monkeypatch.setattr(hub.HfApi, "create_repo", lambda *_, **__: pytest.fail("the hub was asked for more"))
    with pytest.raises(InputError, match=r"cannot be reached to upload org/name.*hf upload org/name FOLDER"):
        push(read_checkpoint(codec_file(tmp_path)), "org/name")


def test_who_may_not_write_is_told_so(refusing, tmp_path):
    with pytest.raises(InputError, match=r"does not let you write to org/name \(HTTP 403\).*token with write access"):
        push(read_checkpoint(codec_file(tmp_path)), "org/name")


def test_what_is_no_name_of_the_hub_is_refused_first(tmp_path):
    with pytest.raises(InputError, match="'name' is no name of the hub: give org/name"):
        push(read_checkpoint(codec_file(tmp_path)), "name")
    with pytest.raises(InputError, match="'no name' is no name of the hub; allowed: org/name"):
        push(read_checkpoint(codec_file(tmp_path)), "no name")
