"""What `megxl info` says of a store, of one corpus in it, and of one stored recording."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from megxl.store import Store, StoredRecording

_DECIDING = ("low_hz", "high_hz", "sfreq_hz", "method", "bads", "version", "corpus_options")
"""Settings that tell what the numbers are; beside them, a store keeps how each recording took them."""
_FILES = re.compile(r"(store|recording|codes)\.json|signal-[0-9a-f]+\.npy|codes\.npy")


def describe_in_store(path: Path) -> dict[str, Any] | None:
    """All that is known, without reading signals, of a folder that is a store or lies in one; None if it is neither.

    Raises
    ------
    InputError
        A recording that is damaged or not there, a store of another version.
    """
    from megxl.store import Store
    from megxl.store.store import MARK

    path = path.absolute()
    if (path / MARK).is_file():
        return _describe_store(Store(path))
    if (path.parent / MARK).is_file():
        return _describe_store(Store(path.parent), path.name)
    if (path.parent.parent / MARK).is_file():
        return _describe_recording(Store(path.parent.parent).recording(f"{path.parent.name}/{path.name}"))
    return None


def refuse_part_of_store(path: Path) -> None:
    """Raise an `InputError` for a file that a store is made of, and name the folder to ask for."""
    from megxl.errors import InputError
    from megxl.store.store import MARK

    path = path.absolute()
    depths = [depth for depth, folder in enumerate(path.parents) if (folder / MARK).is_file()]
    if depths and _FILES.fullmatch(path.name):
        folder = path.parents[max(0, depths[0] - 2)]
        raise InputError(f"{path.name} is a part of a store: ask for the folder {folder}.")


def _describe_store(store: "Store", corpus: str | None = None) -> dict[str, Any]:
    problems = {place: why for place, why in store.problems().items() if not corpus or place.startswith(f"{corpus}/")}
    keys = store.keys(corpus)
    damaged = [key for key in keys if key in problems]
    stored = [store.recording(key) for key in keys if key not in problems]
    by_corpus: dict[str, list[StoredRecording]] = {}
    for recording in stored:
        by_corpus.setdefault(recording.corpus, []).append(recording)
    warnings = [f"{len(damaged)} OF {len(keys)} RECORDINGS ARE DAMAGED"] if damaged else []
    warnings += [
        f"{name} WAS PREPARED IN {count} WAYS"
        for name, recordings in by_corpus.items()
        if (count := len(_preparations(recordings))) > 1
    ]
    return {
        "what": f"the corpus {corpus} in a store" if corpus else "a store of prepared recordings",
        "warning": "; ".join(warnings) or None,
        **_sums(stored),
        "corpora": {name: _describe_corpus(recordings) for name, recordings in by_corpus.items()},
        "problems": [f"{place}: {why}" for place, why in problems.items()],
    }


def _sums(stored: "Sequence[StoredRecording]") -> dict[str, Any]:
    return {
        "recordings": len(stored),
        "duration_h": round(sum(recording.duration_s for recording in stored) / 3600, 3),
        "size_mb": _megabytes(path for recording in stored for path in recording.folder.rglob("*")),
    }


def _describe_corpus(stored: "Sequence[StoredRecording]") -> dict[str, Any]:
    from megxl.data.preparing.summary import counted

    return {
        **_sums(stored),
        "subjects": len({recording.subject for recording in stored}),
        "sensors": _range(len(recording.sensors) for recording in stored),
        "sfreq_hz": _range(recording.sfreq_hz for recording in stored),
        "words": sum(len(recording.words) for recording in stored),
        "licence": "; ".join(sorted({recording.licence for recording in stored if recording.licence})),
        "prepared": [
            f"{counted(count, 'recording')} with {settings}" for settings, count in _preparations(stored).items()
        ],
        "codes": _codes(stored),
    }


def _preparations(stored: "Iterable[StoredRecording]") -> Counter[str]:
    """Count the settings with which recordings were prepared."""
    return Counter(
        ", ".join(
            f"{name} {_plain(recording.preparation[name])}" for name in _DECIDING if name in recording.preparation
        )
        for recording in stored
    )


def _plain(value: Any) -> str:
    """A setting without the marks of JSON; of options, those that are set."""
    if isinstance(value, dict):
        return " ".join(f"{name}={_plain(part)}" for name, part in value.items() if part is not None) or "none"
    return value if isinstance(value, str) else json.dumps(value)


def _codes(stored: "Iterable[StoredRecording]") -> dict[str, Any]:
    """Tokenizer codes: how many recordings have those of which grid and tokenizer, and how large all are together."""
    caches = [
        (cache, recording) for recording in stored for cache in sorted((recording.folder / "codes").glob("[!.]*"))
    ]
    if not caches:
        return {}
    kinds = Counter(_kind_of_codes(cache, recording) for cache, recording in caches)
    files = [path for cache, _ in caches for path in cache.rglob("*")]
    return {"recordings": dict(sorted(kinds.items())), "size_mb": _megabytes(files)}


def _kind_of_codes(cache: Path, recording: "StoredRecording") -> str:
    try:
        facts = json.loads((cache / "codes.json").read_text())
        grid, tokenizer, signal = facts["grid"], facts["tokenizer"], facts["signal_sha256"]
        length = f" of {grid['window_s']:g} s" if "window_s" in grid else ""
        kind = f"{grid['kind']}{length} by the tokenizer {tokenizer[:8]}"
    except (OSError, ValueError, KeyError, TypeError):
        return "damaged"
    return kind if signal == recording.signal_sha256 else "of an older signal (can be deleted)"


def _describe_recording(stored: "StoredRecording") -> dict[str, Any]:
    from megxl.data.preparing.findings import KIND_NAMES

    stored.check()
    kinds = Counter(KIND_NAMES[kind] for kind in stored.sensors.kinds_C)
    return {
        "what": "a prepared recording in a store",
        "key": stored.key,
        "subject": stored.subject,
        "session": stored.session,
        "task": stored.task,
        "run": stored.run,
        "duration_s": stored.duration_s,
        "sfreq_hz": stored.sfreq_hz,
        "sensors": dict(kinds),
        "bads": list(stored.bads),
        "words": len(stored.words),
        "notes": [*stored.notes, *stored.word_notes],
        "quality": stored.quality,
        "preparation": stored.preparation,
        "licence": stored.licence,
        "source_files": {part: len(files) for part, files in stored.source.items()},
        "before": stored.provenance,
        "size_mb": _megabytes(stored.folder.rglob("*")),
        "sha256": stored.signal_sha256,
        "codes": _codes([stored]),
        "megxl": stored.megxl,
    }


def _megabytes(paths: Iterable[Path]) -> float:
    return round(sum(path.stat().st_size for path in paths if path.is_file()) / 1e6, 3)


def _range(numbers: Iterable[float]) -> float | str:
    known = set(numbers)
    low, high = min(known), max(known)
    return low if low == high else f"{low:g} to {high:g}"
