"""Checkpoints from the Hugging Face hub, and what to do without a network."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from megxl.checkpoints.folder import CONFIG, TENSORS
from megxl.errors import InputError

RELEASED_REPOSITORY = "pnpl/MEG-XL"
RELEASED_FILES = ("meg-xl-med.ckpt", "meg-xl-med-v2.ckpt")
DEFAULT_CODEC = Path("brainstorm/neuro_tokenizers/biocodec_ckpt.pt")

_PATIENCE_S = 5.0
_RELEASED_SUFFIXES = (".ckpt", ".pt")
_FILE_SUFFIXES = (*_RELEASED_SUFFIXES, ".pth", ".bin", ".safetensors", ".json", ".zip", ".npz", ".fif")
_HTTP_ERRORS = {"httpx2": ["TransportError"], "httpx": ["TransportError"], "requests": ["ConnectionError", "Timeout"]}
_NAME = re.compile(
    r"(?P<repository>\w[\w.-]*/\w[\w.-]*)(?:/(?P<file>\w[\w./-]*))?(?:@(?P<revision>[\w./-]+))?", re.ASCII
)


class HubName(NamedTuple):
    """Parts of `org/name/file.ckpt@revision`."""

    repository: str
    file: str | None
    revision: str | None

    def __str__(self) -> str:
        """As a person types it."""
        return "/".join(filter(None, (self.repository, self.file))) + (f"@{self.revision}" if self.revision else "")


def is_hub_name(text: str) -> bool:
    """Whether a text that names nothing on disk can be meant for the hub: what looks like a path is not."""
    name = _parse(text)
    if name is None or Path(text).parts[0] in ("..", "~") or Path(name.repository.split("/")[0]).exists():
        return False
    if name.file is None:
        return not name.repository.endswith(_FILE_SUFFIXES)
    return name.file.endswith(_RELEASED_SUFFIXES)


def fetch(text: str) -> Path:
    """Download a checkpoint, or find it in the hub's cache.

    Parameters
    ----------
    text : str
        `org/name` (our format, or the only released file there) or `org/name/file.ckpt`, each with an optional
        `@revision`.

    Returns
    -------
    Path
        A folder in our format, or a released file.

    Raises
    ------
    InputError
        No network, no such thing, no access, or several checkpoints to choose from.
    """
    import huggingface_hub

    name = _parse(text)
    if name is None:
        raise InputError(
            f"{text!r} is no hub name; org/name or org/name/file.ckpt is expected, perhaps with @revision."
        )
    with _said_plainly(name):
        options = {"revision": name.revision, "local_files_only": not reachable()}
        file = name.file or _choose(_listing(name, **options), name)
        if file != CONFIG:
            return Path(huggingface_hub.hf_hub_download(name.repository, file, **options))
        paths = [huggingface_hub.hf_hub_download(name.repository, part, **options) for part in (CONFIG, TENSORS)]
        return Path(paths[0]).parent


def default_codec() -> Path:
    """Path of the released codec where the published code expects it, under the working directory.

    Raises
    ------
    InputError
        It is not there; says where to get it.
    """
    if DEFAULT_CODEC.is_file():
        return DEFAULT_CODEC
    raise InputError(
        f"No codec was given, and there is none at {DEFAULT_CODEC} under {Path.cwd()}. Get biocodec_ckpt.pt "
        "from the BioCodec authors' public repository and put it there, or name the file where you have it."
    )


def _parse(text: str) -> HubName | None:
    match = _NAME.fullmatch(text)
    return HubName(match["repository"], match["file"], match["revision"]) if match else None


def reachable() -> bool:
    """Ask the hub once: its own client tries six times, half a minute long, before it says that there is no network."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=_PATIENCE_S)
    except unreachable():
        return False
    return True


def _listing(name: HubName, *, revision: str | None, local_files_only: bool) -> list[str]:
    """Files of a repository; without a network those in the cache."""
    import huggingface_hub

    if not local_files_only:
        return huggingface_hub.list_repo_files(name.repository, revision=revision)
    cached = Path(huggingface_hub.snapshot_download(name.repository, revision=revision, local_files_only=True))
    return [path.relative_to(cached).as_posix() for path in cached.rglob("*") if path.is_file()]


def _choose(files: list[str], name: HubName) -> str:
    """`config.json` for our format, otherwise the only released file."""
    if CONFIG in files and TENSORS in files:
        return CONFIG
    released = sorted(file for file in files if file.endswith(_RELEASED_SUFFIXES))
    if len(released) == 1:
        return released[0]
    if released:
        raise InputError(
            f"{name.repository} holds {len(released)} checkpoints: name one of "
            + ", ".join(f"{name.repository}/{file}" for file in released)
            + "."
        )
    raise InputError(f"{name.repository} holds no checkpoint: neither {CONFIG} with {TENSORS} nor a .ckpt or .pt file.")


def unreachable() -> tuple[type[Exception], ...]:
    """What huggingface_hub raises without a network: its own errors, and those of the HTTP library of its version."""
    from huggingface_hub import errors

    kinds = [errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError, ConnectionError, TimeoutError]
    for library, names in _HTTP_ERRORS.items():
        if find_spec(library):
            kinds += [getattr(import_module(library), name) for name in names]
    return tuple(kinds)


@contextmanager
def _said_plainly(name: HubName) -> Iterator[None]:
    """Turn the hub's errors into a sentence that says what to put where."""
    from huggingface_hub import errors

    page = f"https://huggingface.co/{name.repository}"
    file = name.file or (
        "one of " + " or ".join(RELEASED_FILES) if name.repository == RELEASED_REPOSITORY else "the checkpoint"
    )
    by_hand = f"Download {file} from {page} by hand and give the path of the file."
    try:
        yield
    except errors.GatedRepoError as error:
        raise InputError(
            f"{name.repository} asks for consent: accept its terms on {page}, then log in with 'hf auth login'."
        ) from error
    except unreachable() as error:
        raise InputError(
            f"No file or folder of the name {name}, and the hub cannot be reached to download it. {by_hand}"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise InputError(f"{name.repository} has no revision {name.revision!r}; see {page}/tree/main.") from error
    except errors.RepositoryNotFoundError as error:
        raise InputError(
            f"No file or folder of the name {name}, and no such repository on the hub "
            f"(or it is private: log in with 'hf auth login'). "
            f"The released weights are in {RELEASED_REPOSITORY}: {' and '.join(RELEASED_FILES)}."
        ) from error
    except errors.EntryNotFoundError as error:
        raise InputError(f"{name.repository} has no file {name.file}; see {page}/tree/main.") from error
    except errors.HFValidationError as error:
        raise InputError(f"{name.repository!r} is no hub name: {error}") from error
    except errors.HfHubHTTPError as error:
        raise InputError(f"The hub refused to download from {name.repository}: {error}. {by_hand}") from error
