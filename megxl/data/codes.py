"""Tokenizer codes of windows and word groups, written once beside the store.

``<entry>/codes/<plan>/codes.npy`` (N, C, T, Q), uint8 (uint16 where a code book has more than 256 codes), and
``codes.json`` with all that they depend on and a CRC-32 an item; `cached_codes.py` reads them. Letters: N items,
C sensors, T tokens, Q levels.
"""

import json
import os
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch

from megxl.data.cached_codes import CachedCodes, DamagedCodes, encode, kept_dtype, placed_codec, stale_codes
from megxl.data.code_grid import CODES, FACTS, CodesPlan, Grid, Piece, pieces, plan, refuse_many, refuse_unequal
from megxl.errors import InputError
from megxl.placing import placed
from megxl.store.entry import StoredRecording
from megxl.store.keys import Busy, Damaged, StoreFull, refused_to_write
from megxl.store.locking import locked
from megxl.store.store import Store
from megxl.tokenizer.biocodec import BioCodec
from megxl.tokenizer.fingerprint import codec_fingerprint


@dataclass(kw_only=True)
class CodesReport:
    """What `write_codes` did, by recording keys."""

    written: list[str] = field(default_factory=list)
    current: list[str] = field(default_factory=list)
    """Had their codes already."""
    empty: list[str] = field(default_factory=list)
    """Have no window or word group."""
    failed: dict[str, str] = field(default_factory=dict)
    """Why a recording has no codes now."""
    stale: dict[str, list[str]] = field(default_factory=dict)
    """Folders with codes of a signal that is no longer stored; they can be deleted."""
    items: int = 0
    """Windows or groups that were encoded."""
    agreement: float | None = None
    """Share of codes that came out again in a sample; None: there are none."""

    @property
    def summary(self) -> str:
        """One sentence."""
        told = f"{self.items} items of {len(self.written)} recordings encoded, {len(self.current)} had codes"
        for what, count in (("too short or without words", self.empty), ("failed", self.failed)):
            told += f", {len(count)} {what}" if count else ""
        if self.stale:
            told += f"; stale codes that can be deleted beside {len(self.stale)} recordings (first: {min(self.stale)})"
        return told + ("." if self.agreement is None else f"; {self.agreement:.3%} of a sample came out again.")


def write_codes(
    store: Store,
    recordings: Sequence[StoredRecording] | None,
    tokenizer: BioCodec,
    grid: Grid,
    *,
    device: torch.device | str | None = None,
    advance: Callable[[int, int], None] | None = None,
    seed: int = 0,
    repair: bool = False,
) -> CodesReport:
    """Encode the windows or word groups of recordings that have no such codes yet.

    Several processes may do so at once: each recording is encoded by one of them. A killed one loses the recording
    that it was at. One item is in memory at a time.

    Parameters
    ----------
    store : Store
    recordings : sequence of StoredRecording, optional
        None: all of the store.
    tokenizer : BioCodec
        Left as it is.
    grid : WindowGrid or Grouping
    device : optional
        Where to encode; by default where the tokenizer is.
    advance : callable, optional
        Called with how many items have their codes and how many there are, after each that is encoded and after each
        recording that had them.
    seed : int
        Of the sample that is encoded again.
    repair : bool
        Read the codes that are there whole, and encode again what is damaged.

    Returns
    -------
    CodesReport
        A recording that cannot be read, or whose codes are damaged, is named in `failed`; the others are done.

    Raises
    ------
    InputError
        A tokenizer of more than 65,536 codes a level; word groups in reference mode, whose items differ in length; less
        than 99.9 % of the codes in a sample come out again.
    """
    refuse_many(tokenizer.config.codes)
    refuse_unequal(grid)
    chosen = store.recordings() if recordings is None else list(recordings)
    report = CodesReport()
    codes = CachedCodes(grid, codec_fingerprint(tokenizer))
    count = _Count(sum(_n_pieces(recording, grid) for recording in chosen) if advance else 0, advance)
    one = partial(_write_one, placed_codec(tokenizer, device), codes, report, repair, count.more)
    busy = _write_free(chosen, partial(one, wait=False), report)
    _write_free(busy, partial(one, wait=True), report)
    _check_sample(chosen, report, partial(codes.check, tokenizer=tokenizer, seed=seed, device=device))
    return report


@dataclass
class _Count:
    total: int
    tell: Callable[[int, int], None] | None
    done: int = 0

    def more(self, items: int) -> None:
        """Count items that have their codes, and tell it."""
        self.done += items
        if self.tell is not None:
            self.tell(self.done, self.total)


def _n_pieces(recording: StoredRecording, grid: Grid) -> int:
    try:
        return len(pieces(recording, grid))
    except InputError:  # its turn will come, and the reason be kept
        return 0


def _check_sample(
    chosen: Sequence[StoredRecording], report: CodesReport, check: Callable[[Sequence[StoredRecording]], float]
) -> None:
    """Have a sample encoded again; recordings that turn out to be damaged count as failed, and others are sampled."""
    while done := {*report.current, *report.written}:
        try:
            report.agreement = check([recording for recording in chosen if recording.key in done])
            return
        except (Damaged, DamagedCodes) as damage:
            report.failed[damage.key] = str(damage)
            for keys in (report.current, report.written):
                keys[:] = [key for key in keys if key != damage.key]


def _write_free(
    recordings: Sequence[StoredRecording], write: Callable[[StoredRecording], None], report: CodesReport
) -> list[StoredRecording]:
    """Write the codes of recordings; those that another process is at come back."""
    busy = []
    for recording in recordings:
        try:
            write(recording)
        except Busy:
            busy.append(recording)
        except StoreFull:
            raise
        except InputError as error:
            report.failed[recording.key] = str(error)
    return busy


def _write_one(
    codec: BioCodec,
    codes: CachedCodes,
    report: CodesReport,
    repair: bool,
    advance: Callable[[int], None],
    recording: StoredRecording,
    wait: bool,
) -> None:
    found = pieces(recording, codes.grid)
    if old := stale_codes(recording):
        report.stale[recording.key] = sorted(old)
    if not found:
        report.empty.append(recording.key)
        return
    wanted = plan(recording, codes.grid, found, codes.tokenizer)
    folder = wanted.folder(recording)
    if not _whole(codes, recording, folder, repair):
        with _writable(recording.key):
            folder.parent.mkdir(exist_ok=True)
        with _held(folder.parent / ".lock", recording.key, wait):
            if not _whole(codes, recording, folder, repair):  # another process may have written them meanwhile
                with _writable(recording.key):
                    _encode_all(recording, found, wanted, codec, advance)
                report.written.append(recording.key)
                report.items += len(found)
                return
    report.current.append(recording.key)
    advance(len(found))


def _whole(codes: CachedCodes, recording: StoredRecording, folder: Path, repair: bool) -> bool:
    """Say whether codes need not be written; damaged ones are an error unless they are to be repaired."""
    if not folder.is_dir():
        return False
    try:
        codes.verify(recording, whole=repair)
    except DamagedCodes:
        if not repair:
            raise
        return False
    return True


@contextmanager
def _writable(key: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise refused_to_write(key, error) from error


@contextmanager
def _held(lock: Path, key: str, wait: bool) -> Iterator[None]:
    """Hold the lock of a recording's codes, or wait until its holder has finished or ended."""
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locked(lock, key))
                break
            except Busy:
                if not wait:
                    raise
                time.sleep(0.2)
        yield


def _encode_all(
    recording: StoredRecording,
    found: Sequence[Piece],
    wanted: CodesPlan,
    codec: BioCodec,
    advance: Callable[[int], None],
) -> None:
    checksums, kept_as = [], kept_dtype(codec)
    with placed(wanted.folder(recording), folder=True) as part:
        with (part / CODES).open("wb") as file:
            shape: tuple[int, ...] = ()
            for piece in found:
                codes_CTQ = encode(piece.read(recording), wanted.block, codec).astype(kept_as, copy=False)
                if not shape:
                    shape = codes_CTQ.shape
                    header = {"descr": kept_as.str, "fortran_order": False, "shape": (len(found), *shape)}
                    np.lib.format.write_array_header_1_0(file, header)
                file.write(codes_CTQ.data)
                checksums.append(zlib.crc32(codes_CTQ.data))
                advance(1)
            file.flush()
            os.fsync(file.fileno())
        facts = {**wanted.facts, "shape": [len(found), *shape], "crc32": checksums}
        with (part / FACTS).open("w") as file:
            json.dump(facts, file)
            file.flush()
            os.fsync(file.fileno())
