"""A checkpoint to the Hugging Face hub: `push`."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from megxl.checkpoints.checkpoint import Checkpoint
from megxl.checkpoints.folder import is_ours, write_checkpoint
from megxl.checkpoints.hub import reachable, unreachable
from megxl.errors import InputError

_LICENCE = re.compile(r"[a-z0-9]+([.-][a-z0-9]+)*")


def licensed(checkpoint: Checkpoint, licence: str | None) -> Checkpoint:
    """Say under which licence weights may be used; None: as it was said before.

    Raises
    ------
    InputError
        No identifier as the hub has them.
    """
    if licence is None:
        return checkpoint
    if not _LICENCE.fullmatch(licence):
        raise InputError(
            f"licence = {licence!r} is no identifier of the hub; allowed: small letters, digits, dots and hyphens, as "
            "in 'cc-by-nc-4.0' or 'mit', or 'other' (the list: https://huggingface.co/docs/hub/repositories-licenses)."
        )
    return replace(checkpoint, provenance=checkpoint.provenance | {"licence": licence})


def push(source: Checkpoint | Path, repo_id: str, *, private: bool = True) -> str:
    """Upload a checkpoint in our format, with its model card.

    Parameters
    ----------
    source : Checkpoint or Path
        A checkpoint, or a folder in our format, which is uploaded as it is.
    repo_id : str
        `org/name`; made if it is not there.
    private : bool
        Of a new repository.

    Returns
    -------
    str
        Address of the repository.

    Raises
    ------
    InputError
        No checkpoint folder, no name of the hub, nobody logged in, no network, no right to write there.
    """
    if isinstance(source, Checkpoint):
        with tempfile.TemporaryDirectory() as temporary:
            return push(write_checkpoint(Path(temporary) / "checkpoint", source), repo_id, private=private)
    import huggingface_hub

    if not is_ours(source):
        raise InputError(f"{source.name} is no checkpoint folder of megxl; make one with: megxl convert FILE FOLDER.")
    with _said_plainly(repo_id):
        _refuse_before_asking(repo_id)
        api = huggingface_hub.HfApi()
        address = api.create_repo(repo_id, private=private, exist_ok=True)
        api.upload_folder(repo_id=repo_id, folder_path=source, commit_message="Upload a megxl checkpoint")
    return str(address)


def _refuse_before_asking(repo_id: str) -> None:
    """Look for what makes an upload impossible, in the order in which a person would mend it."""
    from huggingface_hub import get_token
    from huggingface_hub.utils import validate_repo_id

    validate_repo_id(repo_id)
    if "/" not in repo_id:  # the hub would make it for the user, and then look for it elsewhere
        raise InputError(f"{repo_id!r} is no name of the hub: give org/name, with your user name or an organisation.")
    if get_token() is None:
        raise InputError(
            f"Nobody is logged in to the hub, so {repo_id} cannot be written: make a token with write access at "
            "https://huggingface.co/settings/tokens, then 'hf auth login', or put it into the variable HF_TOKEN."
        )
    if not reachable():
        raise _no_network(repo_id)


def _no_network(repo_id: str) -> InputError:
    return InputError(
        f"The hub cannot be reached to upload {repo_id}. Keep the weights with save_pretrained(FOLDER); where there is "
        f"a network, the same goes up with: hf upload {repo_id} FOLDER"
    )


@contextmanager
def _said_plainly(repo_id: str) -> Iterator[None]:
    """Turn the hub's errors into a sentence that says what to do."""
    from huggingface_hub import errors

    try:
        yield
    except errors.HFValidationError as error:
        raise InputError(f"{repo_id!r} is no name of the hub; allowed: org/name. {error}") from error
    except unreachable() as error:
        raise _no_network(repo_id) from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise InputError(
                f"The hub does not let you write to {repo_id} (HTTP {status}): use your own name or an organisation of "
                "yours before the slash, and a token with write access ('hf auth login')."
            ) from error
        raise InputError(f"The hub refused the upload to {repo_id} (HTTP {status}): {error}") from error
