"""A run: the directory that holds all that one training produced, and what may change when it goes on."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

from megxl.errors import InputError
from megxl.placing import placed
from megxl.store.keys import Busy
from megxl.store.locking import locked
from megxl.training.config import PretrainConfig
from megxl.training.run_config import RunConfig
from megxl.training.tables import METRICS, VALIDATION, read_table
from megxl.training.tokenizer.config import TokenizerConfig
from megxl.training.words.config import WordsConfig

CONFIG, ENVIRONMENT, STATUS = "config.yaml", "environment.json", "status.json"
SPLIT, BASELINES, CHECKPOINTS, MODEL, LAST = "split.json", "baselines.json", "checkpoints", "model", "last.ckpt"
PREDICTIONS, RESULTS, FEATURES, REPORT = "predictions", "results.json", "features", "report.html"
STATES = ("running", "stopped", "finished", "failed")
_OURS = (
    CONFIG, ENVIRONMENT, STATUS, SPLIT, BASELINES, METRICS, VALIDATION, CHECKPOINTS, MODEL, "tensorboard", "wandb",
    REPORT, "context.csv", "context.json", "context.png", "attention.csv", "attention.png", "sweep.csv",
    PREDICTIONS, RESULTS, FEATURES, "judged.json",
)  # fmt: skip


C = TypeVar("C", bound=RunConfig)


class Run(Generic[C]):
    """The directory of one training.

    Parameters
    ----------
    path : Path
        Of the directory; `Run.open` looks that it is one.
    config : RunConfig
        With which it was made or went on last.
    """

    def __init__(self, path: Path, config: C) -> None:
        self.path = path
        self.config = config

    @staticmethod
    def exists(path: Path) -> bool:
        """Whether there is a run at a path."""
        return (path / CONFIG).is_file()

    @overload
    @classmethod
    def open(cls, path: str | Path) -> "Run[Any]": ...
    @overload
    @classmethod
    def open(cls, path: str | Path, kind: type[C]) -> "Run[C]": ...
    @classmethod
    def open(cls, path: str | Path, kind: type[RunConfig] = RunConfig) -> "Run[Any]":
        """Open a run to look at it.

        Parameters
        ----------
        path : str or Path
        kind : type
            Of configuration that it should have; by default any.

        Raises
        ------
        InputError
            There is none, its config.yaml cannot be read, or it is a run of another command.
        """
        path = Path(path).expanduser()
        config = _read_config(path, kind)
        if not isinstance(config, kind):
            raise InputError(f"{path} is a run of `{config.made_by}`; name one of `{kind.made_by}`.")
        return Run(path, config)

    @classmethod
    def create(cls, config: C, *, environment: Mapping[str, Any]) -> "Run[C]":
        """Make the directory of a new run.

        Parameters
        ----------
        config : RunConfig
            Its `overwrite` allows that an older run there is deleted.
        environment : mapping
            JSON-able; kept in environment.json.

        Raises
        ------
        InputError
            Something is in the way, or another process trains there.
        """
        path = config.run_dir
        cls._refuse_what_is_there(path, overwrite=config.overwrite)
        try:
            (path / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"run: {path} cannot be made ({error.strerror}); choose another place.") from error
        run = Run(path, config)
        run._write(environment)
        return run

    @classmethod
    def resume(cls, config: C, *, environment: Mapping[str, Any]) -> "Run[C]":
        """Open a run to go on with it; its config.yaml takes over what may change.

        Raises
        ------
        InputError
            There is no run, or `config` differs in what must stay as it was; names the first key and both values.
        """
        path = config.run_dir
        if not path.exists():
            raise InputError(f"run: there is no {path} to resume; leave resume out to begin, or use resume=auto.")
        _refuse_changes(_read_config(path), config, path)
        run = Run(path, config)
        run._write(environment)
        return run

    @property
    def name(self) -> str:
        """Of the directory."""
        return self.path.name

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / CHECKPOINTS

    @property
    def status(self) -> dict[str, Any]:
        """What is happening: {"state": "running", "stopped", "finished" or "failed", "step": ..., "epoch": ...}.

        A run that was killed still says that it is running.
        """
        said = _read_json(self.path / STATUS)
        return {"state": "running", "step": 0, "epoch": 0} if said is None else said

    def set_status(self, state: str, *, step: int | None = None, epoch: int | None = None, message: str = "") -> None:
        """Write what is happening; step and epoch stay as they were unless given."""
        assert state in STATES
        before = self.status
        said: dict[str, Any] = {
            "state": state,
            "step": before["step"] if step is None else step,
            "epoch": before["epoch"] if epoch is None else epoch,
        }
        write_json(self.path / STATUS, said | ({"message": message} if message else {}))

    def lock(self) -> AbstractContextManager[None]:
        """Be the one process that trains in this run.

        Raises
        ------
        InputError
            Another one does.
        """
        return _locked(self.path)

    def checkpoint_to_resume(self) -> Path | None:
        """Newest checkpoint, if there is one; half-written ones never have the name of a checkpoint."""
        found = [*sorted(self.checkpoints.glob("step-*.ckpt"))[-1:], *self.checkpoints.glob(LAST)]
        # the link is made after the file: at a power cut between the two the numbered file is the newer one
        return max(found, key=lambda path: path.stat().st_mtime_ns, default=None)

    def newest_model(self) -> Path:
        """Weights to look at: those of the finished run, or of its newest checkpoint.

        Raises
        ------
        InputError
            There are none yet.
        """
        if (self.path / MODEL).is_dir():
            return self.path / MODEL
        newest = self.checkpoint_to_resume()
        if newest is None:
            raise InputError(f"{self.name} has no checkpoint yet; the first one comes at its first save or stop.")
        return newest

    def metrics(self) -> list[dict[str, float]]:
        """Rows of metrics.csv."""
        return read_table(self.path / METRICS)

    def validation(self) -> list[dict[str, float]]:
        """Rows of validation.csv."""
        return read_table(self.path / VALIDATION)

    def baselines(self) -> dict[str, Any] | None:
        """What guessers score on the validation windows; None: not computed yet."""
        return _read_json(self.path / BASELINES)

    def results(self) -> dict[str, Any] | None:
        """How well a decoder of words does; None: not computed yet."""
        return _read_json(self.path / RESULTS)

    def environment(self) -> dict[str, Any]:
        """Versions, seed and machine of its newest start."""
        return _read_json(self.path / ENVIRONMENT) or {}

    def split(self) -> dict[str, Any] | None:
        """Keys of the recordings of each part, by corpus; None: not written yet."""
        return _read_json(self.path / SPLIT)

    @staticmethod
    def _refuse_what_is_there(path: Path, *, overwrite: bool) -> None:
        """Refuse an existing directory, or empty it if that is allowed and it is a run."""
        if not path.exists() or (path.is_dir() and not any(path.iterdir())):
            return
        if not (path / CONFIG).is_file():
            raise InputError(f"run: {path} exists and is no run; choose another name with run=PATH.")
        if not (overwrite or _never_began(path)):
            raise InputError(
                f"run: {path} exists already. Go on with it (resume=true), replace it (overwrite=true), or choose "
                "another name with run=PATH."
            )
        with _locked(path):
            _empty(path)

    def _write(self, environment: Mapping[str, Any]) -> None:
        import yaml

        text = yaml.safe_dump(_kept(self.config), sort_keys=False, allow_unicode=True)
        _write_text(self.path / CONFIG, text)
        write_json(self.path / ENVIRONMENT, environment)


def _never_began(path: Path) -> bool:
    """Whether a run failed before its first step, so that nothing is lost with it."""
    status = _read_json(path / STATUS) or {}
    return status.get("state") == "failed" and not status.get("step") and not any((path / CHECKPOINTS).glob("*"))


def write_json(path: Path, content: Any) -> None:
    """Put a JSON file in place whole."""
    _write_text(path, json.dumps(content, indent=1) + "\n")


def _write_text(path: Path, text: str) -> None:
    with placed(path, folder=False) as part, part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _read_json(path: Path) -> Any:
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path.name} of the run {path.parent.name} is damaged ({error}).") from error


def _read_config(path: Path, kind: type[RunConfig] = RunConfig) -> RunConfig:
    import yaml

    file = path / CONFIG
    if not file.is_file():
        raise InputError(f"{path} is no run: it has no {CONFIG}. Name the directory that `{kind.made_by}` wrote.")
    try:
        said = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read ({error}).") from error
    if not isinstance(said, dict):
        raise InputError(f"{file} holds no configuration.")
    kinds = {None: PretrainConfig, "tokenizer": TokenizerConfig}
    return kinds.get(said.get("command"), WordsConfig).from_dict(said)


def _kept(config: RunConfig) -> dict[str, Any]:
    """Settings of a run without the words of one command."""
    return config.to_dict() | {"resume": False, "overwrite": False}


def _refuse_changes(before: RunConfig, now: RunConfig, path: Path) -> None:
    old, new = _flat(before.to_dict()), _flat(now.to_dict())
    for key in [*old, *(key for key in new if key not in old)]:
        if old.get(key) != new.get(key) and not _may_change(key, now.may_change):
            raise InputError(
                f"{key} = {new.get(key)!r}, but the run {path} has {old.get(key)!r}: this cannot change when a run "
                f"goes on. Leave it as it was, or begin a new run with another run=PATH."
            )


def _may_change(key: str, may_change: Sequence[str]) -> bool:
    return (key.startswith("datasets_config.") and key.endswith(".data_root")) or any(
        key == one or (one.endswith(".") and key.startswith(one)) for one in may_change
    )


def _flat(content: Any, prefix: str = "") -> dict[str, Any]:
    """Values by dotted key."""
    if isinstance(content, Mapping) and content:
        parts = content.items()
    elif isinstance(content, list | tuple) and content:
        parts = enumerate(content)
    else:
        return {prefix.removesuffix("."): content}
    return {key: value for name, part in parts for key, value in _flat(part, f"{prefix}{name}.").items()}


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(path / ".lock", path.name))
        except Busy as error:
            raise InputError(f"run: another process trains in {path}; wait for it, or stop it.") from error
        yield


def _empty(path: Path) -> None:
    """Delete an older run; what is not of a run is refused before anything goes."""
    import shutil

    strange = [entry.name for entry in path.iterdir() if entry.name not in _OURS and not entry.name.startswith(".")]
    if strange:
        raise InputError(f"overwrite: {path} holds {strange[0]!r}, which is no part of a run; nothing was deleted.")
    # the config goes last: what a killed deletion leaves is still known as a run
    for entry in sorted(path.iterdir(), key=lambda entry: entry.name == CONFIG):
        if entry.name == ".lock":
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
