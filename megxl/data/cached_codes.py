"""Cached tokenizer codes, read where they lie and checked against the tokenizer that made them.

Letters: N items, C sensors, T samples or tokens, Q levels.
"""

import copy
import json
import random
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch

from megxl.data.code_grid import CODES, FACTS, FOLDER, LIMIT, CodesPlan, Grid, Piece, WindowGrid, pieces, plan
from megxl.errors import InputError
from megxl.signals.normalization import scale_blocks
from megxl.store.entry import StoredRecording
from megxl.tokenizer.biocodec import BioCodec
from megxl.tokenizer.fingerprint import codec_fingerprint

AGREEMENT = 0.999
"""Share of codes that must come out again: threads and devices turn a few near-ties the other way."""
SAMPLED_ITEMS, SAMPLED_SENSORS = 4, 8
KEPT_AS = (np.dtype("|u1"), np.dtype("<u2"))
"""Of up to 256 codes a level, and of more."""
AGAIN = "Write them with `megxl prepare --codes`."


class DamagedCodes(InputError):  # noqa: N818 (a state, as is Damaged)
    """Codes of a recording that are not what was written; `key` names the recording."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}. `megxl prepare --codes --repair` writes them again.")
        self.key = key
        self.reason = reason

    def __reduce__(self) -> tuple:
        return type(self), (self.key, self.reason)  # an exception is rebuilt from its message unless told otherwise


class CachedCodes:
    """Codes of one grid and tokenizer, read where they lie; a `CodeReader` for datasets.

    A read opens the file, reads at a position and closes it: no descriptor stays open or crosses a fork. An item is
    checked against its checksum when it is first read.

    Parameters
    ----------
    grid : WindowGrid or Grouping
    tokenizer : str
        Its `codec_fingerprint`.
    """

    def __init__(self, grid: Grid, tokenizer: str) -> None:
        self.grid = grid
        self.tokenizer = tokenizer
        self.agreement: float | None = None
        """Share of codes that came out again at the last `check`."""
        # by the object, which never changes: a recording that is prepared again or gets other words is another one
        self._files: WeakKeyDictionary[StoredRecording, _CodesFile] = WeakKeyDictionary()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_files"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _files=WeakKeyDictionary())

    def read(self, recording: StoredRecording, start: int, stop: int) -> np.ndarray:
        """Codes of the item that takes these samples, shape (C, T, Q), in the order of the file's sensors.

        They are uint8, or int32 where a code book has more than 256 codes: they are kept as uint16, with which PyTorch
        computes little.

        Raises
        ------
        InputError
            There are none, or they are damaged.
        """
        file = self._file(recording)
        number = file.number_of.get((start, stop))
        if number is None:
            raise InputError(f"{recording.key}: the samples {start} to {stop} are no item of the cached codes' grid.")
        return file.read(number)

    def verify(self, recording: StoredRecording, *, whole: bool) -> None:
        """Raise `DamagedCodes` where the files of a recording's codes have another size or, read whole, other bytes."""
        self._files.pop(recording, None)
        file = self._file(recording)
        for number in range(len(file.found)) if whole else ():
            file.read(number)

    def check(
        self,
        recordings: Sequence[StoredRecording],
        tokenizer: BioCodec,
        *,
        seed: int = 0,
        device: torch.device | str | None = None,
    ) -> float:
        """Encode a seeded sample of items and sensors again.

        Returns
        -------
        float
            Share of codes that agree.

        Raises
        ------
        InputError
            Codes are missing, or less than 99.9 % agree.
        """
        if codec_fingerprint(tokenizer) != self.tokenizer:
            raise InputError("These codes are checked against another tokenizer than the one that made them.")
        codec, draw = placed_codec(tokenizer, device), random.Random(seed)
        known = [recording for recording in recordings if pieces(recording, self.grid)]
        same, total, worst = 0, 0, (1.0, "")
        for recording in draw.choices(known, k=SAMPLED_ITEMS) if known else ():
            file = self._file(recording)
            number = draw.randrange(len(file.found))
            rows = sorted(draw.sample(range(len(recording.sensors)), min(SAMPLED_SENSORS, len(recording.sensors))))
            again_CTQ = encode(file.found[number].read(recording)[rows], file.block, codec)
            equal = again_CTQ == file.read(number)[rows]
            same, total = same + int(equal.sum()), total + equal.size
            worst = min(worst, (float(equal.mean()), recording.key))
        self.agreement = agreement = same / total if total else 1.0
        if agreement < AGREEMENT:
            raise InputError(
                f"Only {agreement:.2%} of the cached codes in a sample come out again (worst: {worst[1]} with "
                f"{worst[0]:.2%}); allowed: at least {AGREEMENT:.1%}. Delete the folders {FOLDER}/{self._kind}-* "
                f"beside the recordings. {AGAIN}"
            )
        return agreement

    @property
    def _kind(self) -> str:
        return "windows" if isinstance(self.grid, WindowGrid) else "words"

    def _file(self, recording: StoredRecording) -> "_CodesFile":
        file = self._files.get(recording)
        if file is None:
            found = pieces(recording, self.grid)
            file = _CodesFile(recording, found, plan(recording, self.grid, found, self.tokenizer))
            self._files[recording] = file
        return file


def open_codes(
    recordings: Sequence[StoredRecording],
    grid: Grid,
    tokenizer: BioCodec,
    *,
    seed: int = 0,
    device: torch.device | str | None = None,
) -> CachedCodes:
    """Open the cached codes of recordings: all must be there, and a sample of them must come out again.

    Raises
    ------
    InputError
        Recordings without codes (the sentence says what lies there instead), damaged codes, less than 99.9 %
        agreement.
    """
    codes = CachedCodes(grid, codec_fingerprint(tokenizer))
    missing = {}
    for recording in recordings:
        found = pieces(recording, grid)
        wanted = plan(recording, grid, found, codes.tokenizer)
        if found and not (wanted.folder(recording) / FACTS).is_file():
            missing[recording.key] = _instead(recording, wanted)
    if missing:
        first, why = next(iter(missing.items()))
        raise InputError(
            f"{len(missing)} of {len(recordings)} recordings have no such codes (first: {first}{why}). {AGAIN}"
        )
    codes.check(recordings, tokenizer, seed=seed, device=device)
    return codes


def stale_codes(recording: StoredRecording) -> dict[str, str]:
    """Name the folders of codes that belong to no signal of this entry, and why."""
    stale = {}
    for name, facts in _kept(recording).items():
        if facts is None:
            stale[name] = f"{FACTS} is damaged or missing"
        elif facts["signal_sha256"] != recording.signal_sha256:
            stale[name] = "the recording was prepared again"
    return stale


def other_tokenizers(recording: StoredRecording, wanted: CodesPlan) -> list[str]:
    """Fingerprints of the tokenizers whose codes of the same windows or words are kept, where those of a plan are not.

    Empty also where the wanted codes are there, or no codes at all.
    """
    if wanted.folder(recording).is_dir():
        return []
    same = ("signal_sha256", "normalisation", "grid")
    kept = [facts for facts in _kept(recording).values() if facts is not None]
    return [facts["tokenizer"] for facts in kept if all(facts[part] == wanted.facts[part] for part in same)]


def _kept(recording: StoredRecording) -> dict[str, Mapping[str, Any] | None]:
    """What codes.json says in every folder of codes; None where it cannot be read."""
    kept: dict[str, Mapping[str, Any] | None] = {}
    folder = recording.folder / FOLDER
    for place in sorted(folder.iterdir()) if folder.is_dir() else ():
        if place.is_dir() and not place.name.startswith("."):
            try:
                kept[place.name] = _facts(place)
            except (OSError, ValueError, KeyError):
                kept[place.name] = None
    return kept


def _facts(folder: Path) -> dict[str, Any]:
    facts = json.loads((folder / FACTS).read_text())
    return {name: facts[name] for name in ("signal_sha256", "normalisation", "grid", "tokenizer", "shape", "crc32")}


def _instead(recording: StoredRecording, wanted: CodesPlan) -> str:
    """What differs in the codes that are there."""
    for facts in _kept(recording).values():
        if facts is not None and facts["grid"]["kind"] == wanted.facts["grid"]["kind"]:
            parts = ("signal_sha256", "normalisation", "grid", "tokenizer")
            other = [part.removesuffix("_sha256") for part in parts if facts[part] != wanted.facts[part]]
            return f"; there are codes of another {', '.join(other)}"
    return ""


class _CodesFile:
    """The codes of one recording."""

    def __init__(self, recording: StoredRecording, found: Sequence[Piece], wanted: CodesPlan) -> None:
        self.key = recording.key
        self.block = wanted.block
        self.found = found
        self.number_of = {(piece.start, piece.stop): number for number, piece in enumerate(found)}
        self.path = wanted.folder(recording) / CODES
        try:
            facts = _facts(self.path.parent)
            size = self.path.stat().st_size
        except FileNotFoundError as error:
            if self.path.parent.is_dir():
                raise self._damaged("a file") from error
            raise InputError(f"{self.key} has no such codes{_instead(recording, wanted)}. {AGAIN}") from error
        except (OSError, ValueError, KeyError) as error:
            raise self._damaged(FACTS) from error
        self.shape = tuple(facts["shape"][1:])
        self.checksums = facts["crc32"]
        self.offset, self.dtype = _header(self.path)
        self.item_bytes = int(np.prod(self.shape)) * self.dtype.itemsize
        if (
            not facts["shape"][0] == len(self.checksums) == len(found)
            or size != self.offset + len(found) * self.item_bytes
        ):
            raise self._damaged(CODES)
        self._checked: set[int] = set()

    def read(self, number: int) -> np.ndarray:
        try:
            content = np.fromfile(self.path, np.uint8, self.item_bytes, offset=self.offset + number * self.item_bytes)
        except OSError as error:
            raise InputError(f"{self.key}: its cached codes cannot be read ({error.strerror}). {AGAIN}") from error
        if len(content) != self.item_bytes or (
            number not in self._checked and zlib.crc32(content.data) != self.checksums[number]
        ):
            raise self._damaged(CODES)
        self._checked.add(number)
        codes_CTQ = content.view(self.dtype).reshape(self.shape)
        return codes_CTQ if self.dtype.itemsize == 1 else codes_CTQ.astype(np.int32)

    def _damaged(self, name: str) -> DamagedCodes:
        return DamagedCodes(self.key, f"{name} of its cached codes is damaged")


def _header(path: Path) -> tuple[int, np.dtype]:
    """Bytes before the first code, -1 where there is no header, and the type of the codes."""
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            dtype = np.lib.format.read_array_header_1_0(file)[2]
            return (file.tell() if dtype in KEPT_AS else -1), dtype
    except (OSError, ValueError):
        return -1, KEPT_AS[0]


def kept_dtype(codec: BioCodec) -> np.dtype:
    """Type of a codec's codes on the disk."""
    return KEPT_AS[codec.config.codes > 256]


def encode(signal_CT: np.ndarray, block: int, codec: BioCodec) -> np.ndarray:
    """Codes (C, T, Q) of a signal, normalised in blocks of some samples, as `BioCodec.tokenize` gives them."""
    device = codec.quantizer.code_books_QVK.device
    signal_1CT = torch.from_numpy(np.ascontiguousarray(signal_CT, dtype=np.float32))[None].to(device)
    scaled_1CT = scale_blocks(signal_1CT, block, LIMIT)
    return np.ascontiguousarray(codec.tokenize(scaled_1CT)[0].cpu().numpy())


def placed_codec(tokenizer: BioCodec, device: torch.device | str | None) -> BioCodec:
    """Return the codec itself, or a copy of it on a device."""
    return tokenizer if device is None else copy.deepcopy(tokenizer).to(device)
