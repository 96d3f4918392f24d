"""Where each corpus is published, and the clients that list its files there."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from megxl.corpora.fetching.remote import RemoteFile, Source, Stream
from megxl.errors import InputError

_CHUNK = 1 << 20
_TIMEOUT_S = 60.0
_CREDENTIALS = ("RADBOUD_USERNAME", "RADBOUD_PASSWORD")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """How a corpus is got.

    Parameters
    ----------
    page : str
        Where a person reads about it.
    patterns : tuple of str
        Files that MEG and words need, as `Choice` understands them.
    source : callable, optional
        Makes the source; None: no client may hand it out.
    needs : tuple of str
        Environment variables without which the source gives nothing.
    steps : tuple of str
        What a person has to do for access.
    note : str
        What the usual files lack, and how to get it.
    size : str
        How many people and hours, and how large, as far as it is known without asking the source.
    """

    page: str
    patterns: tuple[str, ...]
    size: str
    source: Callable[[], Source] | None = None
    needs: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    note: str = ""

    def lacks(self) -> list[str]:
        """Name the environment variables that are needed and not set."""
        return [name for name in self.needs if not os.environ.get(name)]


class HttpSource:
    """Files by their addresses; subclasses list them."""

    @property
    def name(self) -> str:
        """What a person calls it."""
        return "the server"

    def headers(self) -> Mapping[str, str]:
        """Headers that say who asks; never sent on to the host of a redirection."""
        return {}

    @contextmanager
    def open(self, file: RemoteFile, offset: int, version: str | None = None) -> Iterator[Stream]:
        """Open a file at a byte; at its start where the server knows no ranges or has another version by now."""
        request = Request(file.url, headers={"User-Agent": "megxl"})
        for name, value in self.headers().items():
            request.add_unredirected_header(name, value)
        if offset:
            request.add_header("Range", f"bytes={offset}-")
            if version is not None:
                request.add_header("If-Range", version)
        try:
            response = urlopen(request, timeout=_TIMEOUT_S)
        except HTTPError as error:
            with error:
                if error.code in (401, 403):
                    raise InputError(f"{self.name} gives no access (HTTP {error.code}): check your account.") from error
                if error.code in (404, 410):
                    raise InputError(f"{self.name} has it no longer (HTTP {error.code}).") from error
                raise ConnectionError(f"{self.name} answers with HTTP {error.code}") from error
        with response:
            yield Stream(_begin(response, offset), _chunks(response), _version(response))


def _begin(response: HTTPResponse, offset: int) -> int:
    """Byte at which an answer begins."""
    if response.status != 206:
        return 0
    said = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(said[1]) if said else offset


def _version(response: HTTPResponse) -> str | None:
    """What `If-Range` may be asked with: a strong entity tag, or else the date of the last change."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified")


def _chunks(response: HTTPResponse) -> Iterator[bytes]:
    while chunk := response.read(_CHUNK):
        yield chunk
    if response.length:  # what is left of the announced length; a connection that ends early is no error to http.client
        raise ConnectionError(f"the connection broke off, {response.length:,} bytes before the end")


@dataclass(frozen=True)
class HuggingFace(HttpSource):
    """A data set on the Hugging Face hub, by huggingface_hub; a token is used if there is one."""

    repository: str

    @property
    def name(self) -> str:
        """Host and data set."""
        return f"Hugging Face ({self.repository})"

    def headers(self) -> Mapping[str, str]:
        """Those of huggingface_hub."""
        from huggingface_hub.utils import build_hf_headers

        return build_hf_headers()

    def list(self, descend: Callable[[str], bool]) -> list[RemoteFile]:
        """List the newest revision; large files have a SHA-256, others the hash of git."""
        from huggingface_hub import HfApi, hf_hub_url
        from huggingface_hub.hf_api import RepoFile

        with _asked(self.name):
            api = HfApi()
            revision = api.repo_info(self.repository, repo_type="dataset").sha
            tree = list(api.list_repo_tree(self.repository, recursive=True, revision=revision, repo_type="dataset"))
        return [
            RemoteFile(
                path=file.path,
                url=hf_hub_url(self.repository, file.path, repo_type="dataset", revision=revision),
                size=file.size,
                checksum=file.lfs.sha256 if file.lfs else file.blob_id,
                algorithm="sha256" if file.lfs else "git",
            )
            for file in tree
            if isinstance(file, RepoFile)
        ]


@dataclass(frozen=True)
class OpenNeuro(HttpSource):
    """A data set on OpenNeuro, by openneuro-py; OPENNEURO_SOURCE=nemar asks its mirror, which has checksums."""

    dataset: str

    @property
    def name(self) -> str:
        """Host and data set."""
        return f"OpenNeuro ({self.dataset})"

    def list(self, descend: Callable[[str], bool]) -> list[RemoteFile]:
        """List the newest snapshot."""
        try:
            from openneuro._config import get_source
            from openneuro._download import _get_download_metadata
        except ImportError as error:
            raise _missing("openneuro-py") from error
        with _asked(self.name):
            snapshot = _get_download_metadata(dataset_id=self.dataset, source=get_source(), max_retries=5)
        gone = [file.filename for file in snapshot.files if not file.urls]
        if gone:
            raise InputError(f"{self.name} lists {len(gone)} files without an address (first: {gone[0]}).")
        return [
            RemoteFile(
                path=file.filename,
                url=file.urls[0],
                size=file.size,
                checksum=file.checksum,
                algorithm=file.checksum_algorithm,
            )
            for file in snapshot.files
            if file.urls
        ]


class OSF(HttpSource):
    """MEG-MASC on the Open Science Framework, by pnpl, which gathers the four projects that hold it."""

    @property
    def name(self) -> str:
        """Host and project."""
        return "OSF (ag3kj and its components)"

    def headers(self) -> Mapping[str, str]:
        """A token, if there is one; the data are public."""
        token = os.environ.get("OSF_TOKEN")
        return {"Authorization": f"Bearer {token}"} if token else {}

    def list(self, descend: Callable[[str], bool]) -> list[RemoteFile]:
        """List all projects, which takes minutes."""
        client = _pnpl("Gwilliams2022")
        with _asked(self.name):
            manifest = client.get_dataset_manifest()
        base = client.OSF_FILES_BASE.rstrip("/")
        return [
            RemoteFile(
                path=path,
                url=f"{base}/resources/{quote(entry['node_id'], safe='')}"
                f"/providers/osfstorage/{quote(entry['file_id'], safe='')}",
                size=entry["size"],
            )
            for path, entry in manifest.items()
        ]


@dataclass(frozen=True)
class Radboud(HttpSource):
    """A collection of the Radboud Data Repository, by pnpl's WebDAV client; an account with access is needed."""

    data_set: str

    @property
    def name(self) -> str:
        """The host."""
        return "the Radboud Data Repository"

    def headers(self) -> Mapping[str, str]:
        """User and password."""
        import base64

        user, password = (os.environ.get(name, "") for name in _CREDENTIALS)
        return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}

    def list(self, descend: Callable[[str], bool]) -> list[RemoteFile]:
        """List the folders that are wanted, one request each."""
        client = _pnpl(self.data_set)
        files, folders, seen = [], [""], {""}
        while folders:
            with _asked(self.name):
                entries = client._list_folder(folders.pop())
            for entry in entries:
                path = entry["rel_path"]
                if path in seen:  # pnpl lists a folder within itself if its name has a blank
                    continue
                seen.add(path)
                if not entry["is_collection"]:
                    files.append(RemoteFile(path=path, url=client._join_url(path), size=entry["size"]))
                elif descend(path):
                    folders.append(path)
        return files


def _pnpl(data_set: str) -> Any:
    try:
        import pnpl.datasets
    except ImportError as error:
        raise _missing("pnpl") from error
    return getattr(pnpl.datasets, data_set)


def _missing(package: str) -> InputError:
    return InputError(f"Fetching this corpus needs {package}: pip install 'megxl[fetch]'.")


@contextmanager
def _asked(name: str) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # each client has its own errors for a network that is down or an account without access
        raise InputError(
            f"{name} could not be asked for its files ({type(error).__name__}: {error}). Look whether this machine "
            "reaches it, then give the command again; nothing was changed."
        ) from error


_RADBOUD_STEPS = (
    "Log in at https://data.ru.nl (ORCID or institution), open the collection and accept its data use agreement.",
    "In your profile there, find the user name and password for WebDAV access.",
    "export RADBOUD_USERNAME=... RADBOUD_PASSWORD=... and give the command that fetches it.",
)

ORIGINS: dict[str, Origin] = {
    "libribrain": Origin(
        page="https://huggingface.co/datasets/pnpl/LibriBrain",
        patterns=("*/derivatives/**",),
        size="1 listener, over 50 h; some 55 GB (by arithmetic)",
        source=lambda: HuggingFace("pnpl/LibriBrain"),
    ),
    "smn4lang": Origin(
        page="https://openneuro.org/datasets/ds004078",
        patterns=("sub-*/meg/**", "derivatives/annotations/time_align/**"),
        size="12 listeners, 6 h each; the MEG some 320 GB (by arithmetic)",
        source=lambda: OpenNeuro("ds004078"),
    ),
    "meg_masc": Origin(
        page="https://osf.io/ag3kj",
        patterns=("sub-*/ses-*/**",),
        size="27 listeners, 2 h each",
        source=OSF,
    ),
    "armeni": Origin(
        page="https://data.ru.nl/collections/di/dccn/DSC_3011085.05_995",
        patterns=("sub-*/ses-*/meg/**",),
        size="3 listeners, 10 h each; some 8 GB an hour",
        source=lambda: Radboud("Armeni2022"),
        needs=_CREDENTIALS,
        steps=_RADBOUD_STEPS,
    ),
    "mous": Origin(
        page="https://data.ru.nl/collections/di/dccn/DSC_3011020.09_236",
        patterns=("sub-A*/meg/**",),
        size="some 200 people, half of them readers",
        source=lambda: Radboud("Schoffelen2019"),
        needs=_CREDENTIALS,
        steps=_RADBOUD_STEPS,
        note="listeners alone, for whom the release has no times of words; readers, with words: "
        "--include 'sub-V*/meg/**', then megxl prepare with --tasks visual",
    ),
    "camcan": Origin(
        page="https://camcan-archive.mrc-cbu.cam.ac.uk/dataaccess/",
        patterns=(),
        size="some 650 people, 306 sensors; rest and a sensorimotor task",
        steps=(
            "Apply at https://camcan-archive.mrc-cbu.cam.ac.uk/dataaccess/ and accept the data use agreement.",
            "When access is granted, copy the raw MEG of the second stage: cc700/meg/pipeline/release005/BIDSsep.",
            "The agreement keeps the data on your institution's own server: no copies to clouds or external disks.",
        ),
    ),
    "omega": Origin(
        page="https://www.mcgill.ca/bic/omega-registration",
        patterns=(),
        size="rest, 275 sensors",
        steps=(
            "Register at https://www.mcgill.ca/bic/omega-registration and accept the data use agreement.",
            "When access is granted, copy the BIDS folders of the subjects, with their CTF .ds folders.",
        ),
    ),
}
"""By the names of corpora; `bids` and `files` are one's own."""
