"""What comes before the first step of a training, in lines: recordings that are prepared, codes that are written."""

import time

from megxl.cli.prepare_progress import PlainLines
from megxl.data.preparing.summary import counted
from megxl.training.data import Watcher
from megxl.training.progress import told_time

_SECONDS_BETWEEN_LINES = 10.0


class PretrainLines(PlainLines, Watcher):
    """Lines on stderr that name the corpus, at most one in ten seconds once work has begun."""

    def __init__(self) -> None:
        super().__init__()
        self._corpus = ""

    def prepares(self, corpus: str, count: int) -> None:
        """Begin to count the recordings of a corpus; what there is to do is said when it is planned."""
        super().__init__()
        self._corpus = corpus

    def encodes(self, corpus: str, count: int) -> None:
        """Say whose codes are looked at, since the first recording may take minutes."""
        self._corpus = corpus
        self._started = self._last_line = time.perf_counter()
        self.say(f"codes of {counted(count, 'recording')}: written where they lack")

    def encoded(self, done: int, total: int) -> None:
        """Print a line if one is due."""
        now = time.perf_counter()
        if now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            left_s = (now - self._started) / done * (total - done)
            to_go = f", about {told_time(left_s)} to go" if left_s else ""
            self.say(f"codes of {done} of {counted(total, 'piece')}{to_go}")

    def say(self, text: str) -> None:
        """Print a line, with the corpus that it is about."""
        super().say(f"{self._corpus}: {text}")
