"""One pass over a recording in the order of time: what must stay of it to be filtered at a low rate, its ends padded.

Letters: C sensors, T samples, J samples at the low rate.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from megxl.signals.decimation import Decimator

# seconds in which the mirrored signal fades, outside of what the filter reaches
_FADE_S = 2.0


class PaddedDecimation:
    """How a recording is mirrored about its end samples, as MNE does before it filters, and then decimated.

    Parameters
    ----------
    decimator : Decimator
        A fresh one.
    reach : int
        Samples on each side that the filter to come looks at.
    n_samples : int
        Length of the recording.
    sfreq_hz : float
        Its rate.
    """

    def __init__(self, decimator: Decimator, reach: int, n_samples: int, sfreq_hz: float) -> None:
        self._decimator, self._n_samples = decimator, n_samples
        self._whole = reach + decimator.reach
        fade = round(_FADE_S * sfreq_hz)
        self.mirrored = self._whole + fade
        """Samples mirrored on each side."""
        self.first = -(-(self.mirrored + decimator.reach) // decimator.factor)
        """Samples at the low rate before the first sample of the recording, which is itself kept."""
        self.samples = self.first + (n_samples - 1 + self.mirrored + decimator.reach) // decimator.factor + 1
        """Samples at the low rate in all."""
        self._offset_C1 = np.empty((0, 1))
        self._fade_T = np.sin(np.linspace(0, np.pi / 2, fade, endpoint=False)) ** 2

    def run(self, chunks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Decimate.

        Parameters
        ----------
        chunks : iterable of arrays, shape (C, any)
            The whole recording, in order.

        Yields
        ------
        array, shape (C, any)
            `samples` columns in all, in order, less the first sample of the recording: the high-pass would take it
            away, and so large an offset would be a step where the mirrored signal ends.
        """
        left = self.samples
        for chunk_CT in self._padded(chunks):
            low_CJ = self._decimator.push(chunk_CT)[:, :left]
            low_CJ -= self._offset_C1
            left -= low_CJ.shape[1]
            yield low_CJ
        assert left == 0

    def _padded(self, chunks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Put the mirrored beginning before the chunks and the mirrored end behind them, and silence around."""
        waiting: list[np.ndarray] = []
        # no more than the end is held: pieces that stay make the allocator ask the system for new pages at every piece
        end: list[np.ndarray] = []
        seen, begun = 0, False
        for chunk_CT in chunks:
            waiting.append(chunk_CT)
            seen += chunk_CT.shape[1]
            if seen >= self._n_samples - self.mirrored:
                end.append(chunk_CT)
            if not begun and seen > self.mirrored:
                begun = True
                yield self._head(np.concatenate(waiting, axis=1))
            if begun:
                yield from waiting
                waiting = []
        yield self._tail(np.concatenate(end, axis=1)[:, -self.mirrored - 1 :])

    def _head(self, start_CT: np.ndarray) -> np.ndarray:
        self._offset_C1 = start_CT[:, :1].copy()
        silent = self.first * self._decimator.factor + self._decimator.reach - self.mirrored
        head_CT = np.zeros((len(start_CT), silent + self.mirrored))
        head_CT[:, silent:] = self._offset_C1 - start_CT[:, self.mirrored : 0 : -1]
        head_CT[:, silent : silent + len(self._fade_T)] *= self._fade_T
        head_CT += self._offset_C1
        return head_CT

    def _tail(self, end_CT: np.ndarray) -> np.ndarray:
        # enough for the decimator to finish its last frames
        tail_CT = np.zeros((len(end_CT), self.mirrored + 3 * self._decimator.frame))
        tail_CT[:, : self.mirrored] = 2 * end_CT[:, -1:] - end_CT[:, -2::-1] - self._offset_C1
        tail_CT[:, self.mirrored - len(self._fade_T) : self.mirrored] *= self._fade_T[::-1]
        tail_CT += self._offset_C1
        return tail_CT
