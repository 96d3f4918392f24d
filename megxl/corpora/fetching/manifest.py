"""`.megxl-fetch.json` in the root of a corpus: what was fetched, how it was checked, from where, under what licence."""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from megxl.corpora.fetching.remote import RemoteFile
from megxl.errors import InputError
from megxl.placing import placed
from megxl.store.locking import locked

NAME = ".megxl-fetch.json"
_SECONDS_BETWEEN_WRITES = 5.0
_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file as it was when it was complete.

    Parameters
    ----------
    bytes, mtime_ns : int
    sha256 : str
        Of what lies here.
    url : str
        Where it came from.
    version : str, optional
        What the server called its content then (an entity tag or a date).
    checksum : str, optional
        The one that the source announced and that it was verified by; None: its size alone was compared.
    """

    bytes: int
    mtime_ns: int
    sha256: str
    url: str
    version: str | None
    checksum: str | None

    @classmethod
    def of(cls, path: Path, file: RemoteFile, version: str | None) -> "Entry":
        """Describe what lies at a path, reading all of it, and what it is there."""
        state = path.stat()
        return cls(
            bytes=state.st_size,
            mtime_ns=state.st_mtime_ns,
            sha256=digest(path, "sha256"),
            url=file.url,
            version=version,
            checksum=file.checksum,
        )

    def is_of(self, file: RemoteFile) -> bool:
        """Say whether it is what its source announces now: by checksum, else by size and address."""
        if file.size not in (None, self.bytes):
            return False
        if file.checksum is None:
            return file.url == self.url
        return file.checksum.lower() in (self.sha256, (self.checksum or "").lower())


@dataclass(kw_only=True)
class Manifest:
    """The files of one root; `facts` say what they are (corpus, source, licence, citation)."""

    root: Path
    facts: dict[str, Any] = field(default_factory=dict)
    files: dict[str, Entry] = field(default_factory=dict)
    _written: float = 0.0

    @classmethod
    def of(cls, root: Path, facts: Mapping[str, Any] | None = None) -> "Manifest":
        """Read the manifest of a root, an empty one if there is none.

        Raises
        ------
        InputError
            One that is damaged, or that of another corpus.
        """
        facts = dict(facts or {})
        path = root / NAME
        if not path.is_file():
            return cls(root=root, facts=facts)
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            files = {name: Entry(**entry) for name, entry in stored.pop("files").items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path} is damaged: delete it; files that are there are verified again.") from error
        if facts and stored.get("corpus") != facts.get("corpus"):
            raise InputError(f"{root} holds the corpus {stored.get('corpus')!r}: give another folder.")
        return cls(root=root, facts=stored | facts, files=files)

    def holds(self, file: RemoteFile) -> bool:
        """Say whether a file was fetched, is what it was then, and is what its source announces now."""
        entry = self.files.get(file.path)
        if entry is None or not entry.is_of(file):
            return False
        try:
            state = (self.root / file.path).stat()
        except OSError:
            return False
        return (state.st_size, state.st_mtime_ns) == (entry.bytes, entry.mtime_ns)

    def add(self, name: str, entry: Entry) -> None:
        """Take note of a file; written down now and then."""
        self.files[name] = entry
        if time.monotonic() - self._written > _SECONDS_BETWEEN_WRITES:
            self.write()

    def write(self) -> None:
        """Write all down, at once or not at all."""
        entries = {name: asdict(entry) for name, entry in sorted(self.files.items())}
        with placed(self.root / NAME, folder=False) as part:
            part.write_text(json.dumps({**self.facts, "files": entries}, indent=1), encoding="utf-8")
        self._written = time.monotonic()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep others from fetching to the same root meanwhile, and write all down at the end, however it comes."""
        with locked(self.root / f"{NAME}.lock", os.fspath(self.root)):
            try:
                yield
            finally:
                self.write()


def digest(path: Path, algorithm: str) -> str:
    """Hexadecimal digest of a file; "git" is the SHA-1 of it as a git blob."""
    if algorithm not in ("sha256", "md5", "git"):
        raise InputError(f"{path.name}: checksums of the kind {algorithm!r} are not known here.")
    total = hashlib.sha1(usedforsecurity=False) if algorithm == "git" else hashlib.new(algorithm)
    if algorithm == "git":
        total.update(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            total.update(chunk)
    return total.hexdigest()
