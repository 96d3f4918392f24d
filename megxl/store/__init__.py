"""Prepared recordings on disk: checksummed, whole or absent, safe to read from any number of processes."""

from megxl.store.entry import RecordingFacts, StoredRecording
from megxl.store.keys import Busy, Damaged, StoreFull, natural
from megxl.store.sources import changed, fingerprint
from megxl.store.store import Store
from megxl.store.writing import EntryWriter

__all__ = [
    "Busy",
    "Damaged",
    "EntryWriter",
    "RecordingFacts",
    "Store",
    "StoreFull",
    "StoredRecording",
    "changed",
    "fingerprint",
    "natural",
]
