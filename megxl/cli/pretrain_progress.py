"""What comes before the first step of a training, in lines: recordings that are prepared, codes that are written."""

import time

from megxl.cli.prepare_progress import PlainLines
from megxl.data.preparing.summary import counted
from megxl.training.data import Watcher

_SECONDS_BETWEEN_LINES = 10.0


class PretrainLines(PlainLines, Watcher):
    """Lines on stderr, at most one in ten seconds for each of both."""

    def __init__(self) -> None:
        super().__init__()
        self._corpus, self._to_encode, self._encoded = "", 0, 0

    def prepares(self, corpus: str, count: int) -> None:
        """Begin to count the recordings of a corpus."""
        super().__init__()
        self.say(f"{corpus}: {counted(count, 'recording')} to prepare")

    def encodes(self, corpus: str, count: int) -> None:
        """Begin to count the recordings whose codes are looked at."""
        self._corpus, self._to_encode, self._encoded = corpus, count, 0
        self._last_line = time.perf_counter()

    def encoded(self, count: int) -> None:
        """Print a line if one is due."""
        self._encoded += count
        now = time.perf_counter()
        if now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            self.say(f"{self._corpus}: codes of {self._encoded} of {counted(self._to_encode, 'recording')}")
