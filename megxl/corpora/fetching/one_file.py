"""One file onto this disk: resumed if it is still the same, tried again, verified, put in place."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from megxl.corpora.fetching.impostors import why_impostor
from megxl.corpora.fetching.manifest import Entry, digest
from megxl.corpora.fetching.part import Part
from megxl.corpora.fetching.remote import RemoteFile, Source
from megxl.errors import InputError

ATTEMPTS = 5
_HEAD = 1024


@dataclass(frozen=True, kw_only=True)
class Way:
    """How files come.

    Parameters
    ----------
    source : Source
    stop : threading.Event
        Set: what has come is kept, no more is asked for.
    advance : callable
        Called with numbers of bytes as they come (negative: they were thrown away).
    pause_s : float
        Before the second attempt; doubled before each further one.
    """

    source: Source
    stop: threading.Event
    advance: Callable[[int], None]
    pause_s: float


def fetch_one(way: Way, file: RemoteFile, place: Path, known: Entry | None) -> Entry | None:
    """Fetch, verify and put in place one file; None if it was stopped in the middle.

    Parameters
    ----------
    way : Way
    file : RemoteFile
    place : Path
        Where it goes; what lies there and is something else is kept as ``.old``.
    known : Entry, optional
        The file that was fetched to this place before.

    Raises
    ------
    InputError
        Every attempt failed, or other content came than was announced.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    if _is_here(file, place, known):
        way.advance(place.stat().st_size)
        return Entry.of(place, file, known.version if known else None)
    part = Part(place)
    way.advance(part.size)
    for attempt in range(ATTEMPTS):
        resumed = part.size > 0
        try:
            if not _download(way, file, part):
                return None
        except OSError as error:
            if attempt == ATTEMPTS - 1:
                raise InputError(f"{file.path}: {error} ({ATTEMPTS} attempts).") from error
            way.stop.wait(way.pause_s * 2**attempt)
            continue
        if not (wrong := _problem(file, part.path)):
            version = part.version
            part.put_in_place()
            return Entry.of(place, file, version)
        way.advance(-part.discard())
        if not resumed:  # what was begun earlier may have been of another version: once more from the start
            raise InputError(f"{file.path}: {wrong}")
    raise InputError(f"{file.path}: every attempt ended with other content than announced.")


def _is_here(file: RemoteFile, place: Path, known: Entry | None) -> bool:
    """Say whether the file lies at its place though the manifest, as it is, does not hold it."""
    if not place.is_file() or _problem(file, place):
        return False
    if file.checksum or known is None:  # it came some other way, or the manifest is gone
        return True
    return known.is_of(file) and digest(place, "sha256") == known.sha256


def _download(way: Way, file: RemoteFile, part: Part) -> bool:
    """Bring a part up to its announced size; False if it was stopped."""
    if part.is_whole(file):
        return True
    if not part.may_go_on(file):
        way.advance(-part.discard())
    have, version = part.size, part.version
    with way.source.open(file, have, version if have else None) as stream:
        changed = None not in (version, stream.version) and version != stream.version
        if stream.offset and (stream.offset != have or changed):
            way.advance(-part.discard())
            raise ConnectionError("the file changed at its source while it came")
        if stream.offset == 0:
            way.advance(-have)
            part.begin(file, stream.version)
        with part.path.open("ab") as out:
            for chunk in stream.chunks:
                out.write(chunk)
                way.advance(len(chunk))
                if way.stop.is_set():
                    return False
                if file.size is not None and out.tell() > file.size:
                    break  # longer than announced: told by its size afterwards
    if file.size is not None and part.size < file.size and why_impostor(file.path, _head(part.path)) is None:
        raise ConnectionError(f"only {part.size:,} of {file.size:,} bytes came")
    return True


def _problem(file: RemoteFile, path: Path) -> str | None:
    """Say why what lies there is not the file, or None."""
    if reason := why_impostor(file.path, _head(path)):
        return reason
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        return f"{size:,} bytes came, {file.size:,} were announced."
    if file.checksum and (found := digest(path, file.algorithm or "sha256")) != file.checksum.lower():
        return f"its {file.algorithm} is {found}, not {file.checksum}: damaged on the way, or changed meanwhile."
    return None


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)
