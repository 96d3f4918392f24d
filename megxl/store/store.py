"""Prepared recordings on disk: `Store` lists, opens, checks and removes them, and lets one writer at a time in."""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from megxl.errors import InputError
from megxl.placing import placed
from megxl.store.entry import StoredRecording
from megxl.store.keys import Busy, Damaged, is_name, natural, split_key
from megxl.store.locking import locked
from megxl.store.problems import problems_of
from megxl.store.record import read_recording
from megxl.store.sources import changed
from megxl.store.writing import EntryWriter, is_entry, sweep_entry

MARK = "store.json"
FORMAT = "megxl-store"
VERSION = 1
_REMOVED = ".removed"


class Store:
    """Prepared recordings in a folder: ``<store>/<corpus>/<id>/recording.json`` and a signal beside it.

    Parameters
    ----------
    path : path
        Folder of an existing store; `create` makes one.

    Raises
    ------
    InputError
        No store there, or one of another version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        try:
            mark = json.loads((self.path / MARK).read_text())
            found = mark["format"], mark["version"]
        except (FileNotFoundError, NotADirectoryError) as error:
            raise InputError(f"{path} is no store (it has no {MARK}); `megxl prepare` makes one.") from error
        except OSError as error:
            raise InputError(f"{path}: {MARK} cannot be read ({error.strerror}).") from error
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}: {MARK} is damaged; it should hold {json.dumps(_mark())}, and can be written anew by hand."
            ) from error
        if found != (FORMAT, VERSION):
            raise InputError(f"{path} is a {found[0]} of version {found[1]}; this package reads version {VERSION}.")

    @classmethod
    def create(cls, path: str | Path) -> "Store":
        """Open a store, or make one in a new or empty folder; several processes may do so at once.

        Raises
        ------
        InputError
            The folder holds something else, or cannot be made.
        """
        folder = Path(path)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / MARK).exists():
                others = [entry.name for entry in folder.iterdir() if not entry.name.startswith(".")]
                # looked at again: another process may have made the store meanwhile
                if others and not (folder / MARK).exists():
                    raise InputError(f"{path} holds something else ({others[0]}): choose a new folder for the store.")
                with placed(folder / MARK, folder=False) as part:
                    part.write_text(json.dumps(_mark()) + "\n")
        except OSError as error:
            raise InputError(f"{path}: no store can be made there ({error.strerror}).") from error
        return cls(path)

    def corpora(self) -> list[str]:
        """Names of the corpora, in order."""
        return sorted((folder.name for folder in _folders(self.path) if is_name(folder.name)), key=natural)

    def keys(self, corpus: str | None = None) -> list[str]:
        """Names of the recordings, in natural order, damaged ones too.

        Parameters
        ----------
        corpus : str, optional
            Of one corpus alone.
        """
        found = []
        for name in [corpus] if corpus is not None else self.corpora():
            entries = [folder for folder in _folders(self.path / name) if is_name(folder.name) and is_entry(folder)]
            found += [f"{name}/{folder.name}" for folder in sorted(entries, key=lambda folder: natural(folder.name))]
        return found

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and is_entry(self.folder(key))

    def __len__(self) -> int:
        return len(self.keys())

    def folder(self, key: str) -> Path:
        """Folder of an entry, whether it exists or not."""
        return self.path.joinpath(*split_key(key))

    def recording(self, key: str) -> StoredRecording:
        """Open a recording; its signal is not read.

        Raises
        ------
        Damaged
            Its recording.json is missing or not what was written.
        InputError
            There is no such recording.
        """
        folder = self.folder(key)
        if not is_entry(folder):
            raise InputError(f"The store {self.path.name} has no recording {key!r}; it has {len(self)}.")
        return read_recording(folder, key)

    def recordings(self, keys: Iterable[str] | None = None, corpus: str | None = None) -> list[StoredRecording]:
        """Open recordings: those named, or all (of a corpus), in natural order. A damaged one is an error."""
        return [self.recording(key) for key in (self.keys(corpus) if keys is None else keys)]

    def stale(self, key: str, *, source: Sequence[Path], root: Path, preparation: Mapping[str, Any]) -> str | None:
        """Say why a recording must be made again, or None if it need not. Its signal is not read: see `verify`.

        Parameters
        ----------
        key : str
        source : sequence of Path
            Files and folders that decide about its signal.
        root : Path
            Folder of the corpus.
        preparation : mapping
            Settings and version that it should have; stored settings that are not named here do not matter.

        Returns
        -------
        str or None
            ``"absent"``, ``"damaged: ..."``, ``"the settings changed: ..."``, ``"the source changed: ..."``.
        """
        if key not in self:
            return "absent"
        try:
            stored = self.recording(key)
            stored.check()
        except Damaged as damage:
            return f"damaged: {damage.reason}"
        if why := _other_settings(stored.preparation, preparation):
            return f"the settings changed: {why}"
        why = changed(stored.source.get("signal", {}), source, root)
        return why and f"the source changed: {why}"

    def stale_words(
        self, key: str, *, source: Sequence[Path], root: Path, options: Mapping[str, Any] | None = None
    ) -> str | None:
        """Say why the words of a recording must be read again (`EntryWriter.rewrite`), or None if they need not.

        Parameters
        ----------
        key : str
        source : sequence of Path
            Files that decide about its words alone.
        root : Path
            Folder of the corpus.
        options : mapping, optional
            What it is that its words were read by; compared with ``preparation["word_options"]``.
        """
        stored = self.recording(key)
        why = _other_settings(stored.preparation.get("word_options", {}), options or {})
        why = why or changed(stored.source.get("words", {}), source, root)
        return why and f"the words changed: {why}"

    @contextmanager
    def writing(self, key: str) -> Iterator[EntryWriter]:
        """Hold the lock of an entry and give a writer for it; what killed writers left there is removed.

        Raises
        ------
        Busy
            Another process writes this entry.
        """
        folder = self.folder(key)
        with self._locked(key):
            sweep_entry(folder, key)
            try:
                yield EntryWriter(key=key, folder=folder)
            finally:
                sweep_entry(folder, key)

    def verify(self, keys: Iterable[str] | None = None, advance: Callable[[int], None] | None = None) -> dict[str, str]:
        """Read every byte of recordings, a minute at a time.

        Parameters
        ----------
        keys : iterable of str, optional
            Which; all by default.
        advance : callable, optional
            Called with 1 after each recording.

        Returns
        -------
        dict
            Name of a damaged recording: what is wrong with it.
        """
        wrong = {}
        for key in self.keys() if keys is None else keys:
            try:
                self._verify(key)
            except Damaged as damage:
                wrong[key] = damage.reason
            except InputError as error:
                wrong[key] = str(error)
            if advance is not None:
                advance(1)
        return wrong

    def _verify(self, key: str) -> None:
        try:
            self.recording(key).verify()
        except Damaged:
            self.recording(key).verify()  # a second look: it may have been made anew during the first

    def problems(self) -> dict[str, str]:
        """Name what is wrong without reading signals: damaged recordings, and places that hold none.

        Returns
        -------
        dict
            Key of a recording, or place in the store (``KEY/codes/NAME``: codes of it): what is wrong with it.
        """
        found = {place.name: "is no folder of a corpus" for place in self._others()}
        for corpus in self.corpora():
            places = [place for place in (self.path / corpus).iterdir() if not place.name.startswith(".")]
            for place in sorted(places, key=lambda place: natural(place.name)):
                found |= dict(problems_of(place, f"{corpus}/{place.name}"))
        return found

    def _others(self) -> list[Path]:
        """What lies beside the corpora and is not the store's own."""
        known = {MARK, *self.corpora()}
        return sorted(place for place in self.path.iterdir() if place.name not in known and place.name[0] != ".")

    def remove(self, key: str) -> None:
        """Remove a recording with its codes, whole or not at all; damaged ones and leftovers too.

        Raises
        ------
        Busy
            Another process writes it.
        InputError
            There is nothing of this name.
        """
        folder = self.folder(key)
        with self._locked(key):
            if not folder.is_dir():
                raise InputError(f"The store {self.path.name} has no recording {key!r}.")
            aside = folder.with_name(f".{folder.name[:100]}.{uuid4().hex[:8]}{_REMOVED}")
            folder.replace(aside)
        shutil.rmtree(aside)

    def sweep(self) -> list[Path]:
        """Remove what killed writers left anywhere in the store; entries that are being written are left alone.

        Returns
        -------
        list of Path
            What was removed.
        """
        gone = []
        for corpus in self.corpora():
            for folder in _folders(self.path / corpus):
                if folder.name.startswith(".") and folder.suffix == _REMOVED:
                    shutil.rmtree(folder)
                    gone.append(folder)
                elif is_name(folder.name):
                    gone += self._swept(f"{corpus}/{folder.name}")
        return gone

    def _swept(self, key: str) -> list[Path]:
        try:
            with self._locked(key):
                return sweep_entry(self.folder(key), key)
        except Busy:
            return []

    @contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        corpus, entry = split_key(key)
        with locked(self.path / ".locks" / corpus / f"{entry}.lock", key):
            yield


def _mark() -> dict[str, Any]:
    return {"format": FORMAT, "version": VERSION}


def _folders(folder: Path) -> list[Path]:
    """Folders in a folder; none if it is not there."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return [Path(entry.path) for entry in entries if entry.is_dir()]


def _other_settings(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> str | None:
    for name, value in wanted.items():
        value = json.loads(json.dumps(value))  # as it would have been stored
        if name not in stored:
            return f"{name} is {value}, and was not recorded"
        if stored[name] != value:
            return f"{name} was {stored[name]}, is {value}"
    return None
