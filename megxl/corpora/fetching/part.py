"""What has come of a file so far, hidden beside its place, with a note of what it was begun of."""

import json
from dataclasses import dataclass
from pathlib import Path

from megxl.corpora.fetching.remote import RemoteFile


@dataclass(frozen=True)
class Part:
    """The beginning of a file, which only bytes of the same version may be added to.

    Parameters
    ----------
    place : Path
        Where the file goes when it is whole.
    """

    place: Path

    @property
    def path(self) -> Path:
        """The bytes."""
        return self.place.with_name(f".{self.place.name}.part")

    @property
    def size(self) -> int:
        """How many have come."""
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def version(self) -> str | None:
        """What the source calls the content that it was begun of."""
        return self._note().get("version")

    def begin(self, file: RemoteFile, version: str | None) -> None:
        """Start anew with no bytes."""
        self.discard()
        note = {"url": file.url, "checksum": file.checksum, "version": version}
        self._beside.write_text(json.dumps(note), encoding="utf-8")
        self.path.touch()

    def is_whole(self, file: RemoteFile) -> bool:
        """Say whether it has as many bytes as were announced, of this file."""
        return bool(file.size) and self.size == file.size and self._is_of(file)

    def may_go_on(self, file: RemoteFile) -> bool:
        """Say whether more can be added: only if a mixture of two versions would be told."""
        if file.size is None or self.size > file.size:  # without a size nobody knows whether there is more to come
            return False
        return self._is_of(file) and (file.checksum is not None or self.version is not None)

    def discard(self) -> int:
        """Throw it away and return how many bytes it had."""
        size = self.size
        self.path.unlink(missing_ok=True)
        self._beside.unlink(missing_ok=True)
        return size

    def put_in_place(self) -> None:
        """Give the file its name."""
        if self.place.exists():  # not ours to delete: somebody may have worked on it
            self.place.replace(self.place.with_name(f"{self.place.name}.old"))
        self.path.replace(self.place)
        self._beside.unlink(missing_ok=True)

    @property
    def _beside(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    def _note(self) -> dict[str, str | None]:
        try:
            return dict(json.loads(self._beside.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):  # none, or one that a killed process has left unfinished
            return {}

    def _is_of(self, file: RemoteFile) -> bool:
        note = self._note()
        if file.checksum is not None:  # an address may change with each release though the file does not
            return note.get("checksum") == file.checksum
        return bool(note) and note.get("checksum") is None and note.get("url") == file.url
