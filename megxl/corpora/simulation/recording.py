"""A simulated recording as an `mne.io.BaseRaw` whose samples are made when they are read.

Letters: C sensors, N sources, M language dipoles, W words, T samples.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import mne
import numpy as np

from megxl.corpora.simulation.arrays import SensorSystem, sensor_system
from megxl.corpora.simulation.brain import make_brain
from megxl.corpora.simulation.noise import Drift, SpectralNoise
from megxl.corpora.simulation.recipe import Recipe
from megxl.corpora.simulation.response import hashed_meanings, stack_meanings
from megxl.corpora.simulation.story import vocabulary, words_heard

BLOCK_S = 10.0
"""Seconds that are made at once; what is read is cut out of whole blocks, so it is the same in whatever pieces."""


class Simulator:
    """Makes the samples of one recording.

    Parameters
    ----------
    recipe : Recipe
        What to make.
    meanings : mapping, optional
        Meaning vector of each word of the story, all of one length. By default those of `hashed_meanings`.
    system : SensorSystem, optional
        The sensors, if they are none that the recipe's name of a system stands for.

    Attributes
    ----------
    system : SensorSystem
    brain : Brain
    heard : list of Heard
        The words and their onsets.
    """

    def __init__(
        self,
        recipe: Recipe,
        meanings: Mapping[str, np.ndarray] | None = None,
        system: SensorSystem | None = None,
    ) -> None:
        meanings = hashed_meanings(vocabulary()) if meanings is None else meanings
        self.recipe = recipe
        self.system = system or sensor_system(recipe.system, recipe.sfreq_hz)
        self.brain = make_brain(recipe, self.system, meanings)
        self.heard = words_heard(recipe)
        self.block_samples = round(BLOCK_S * recipe.sfreq_hz)
        self._onsets_W = np.array([one.onset_s for one in self.heard])
        self._amplitudes_WJM = self.brain.response.amplitudes(
            stack_meanings([one.word.text for one in self.heard], meanings)
        )
        self._noise = SpectralNoise(recipe, self.brain.ongoing_powers, self.block_samples)
        self._drift = Drift(recipe, self.system.drift_CK.shape[1])
        # the one way from all sources to all sensors
        self._mixing_CN = np.concatenate(
            [self.brain.lead_CN * self.brain.strength_N, self.system.drift_CK], axis=1
        ).astype(np.float32)
        self._latest: tuple[int, np.ndarray] | None = None
        self._noise_C1 = (self.system.noise_density_C * np.sqrt(recipe.sfreq_hz / 2)).astype(np.float32)[:, None]

    def block(self, index: int) -> np.ndarray:
        """Return a block of the signal, shape (C, T) float32; the last one goes on beyond the end of the recording."""
        # readers come in small steps: the block that they stand in is made once
        if self._latest is None or self._latest[0] != index:
            self._latest = index, self._make_block(index)
        return self._latest[1]

    def language_courses(self, start: int, stop: int) -> np.ndarray:
        """What the language dipoles do, shape (M, T), ampere metres."""
        return self.brain.response.courses(self._onsets_W, self._amplitudes_WJM, start, stop, self.recipe.sfreq_hz)

    def response(self, start: int, stop: int) -> np.ndarray:
        """What sensors would measure of the answers to words alone, shape (C, T): the signal without any noise."""
        return self.brain.lead_CN[:, self.brain.n_ongoing :] @ self.language_courses(start, stop)

    def _make_block(self, index: int) -> np.ndarray:
        start, stop = index * self.block_samples, (index + 1) * self.block_samples
        sources_NT = np.concatenate(
            [
                self._noise.make(index),
                self.language_courses(start, stop).astype(np.float32),
                self._drift.make(start, stop),
            ]
        )
        rng = self.recipe.generator("sensor noise", self.recipe.subject, self.recipe.session, index)
        signal_CT = rng.standard_normal((len(self._noise_C1), self.block_samples), dtype=np.float32)
        signal_CT *= self._noise_C1
        signal_CT += self._mixing_CN @ sources_NT
        return signal_CT


class SimulatedRaw(mne.io.BaseRaw):
    """A recording that lies nowhere: its samples are made when they are read.

    Parameters
    ----------
    recipe : Recipe
        What to make.
    meanings, system : optional
        As `Simulator` takes them.
    path : Path, optional
        File of the recipe, which is then the name of the recording.
    """

    def __init__(
        self,
        recipe: Recipe,
        meanings: Mapping[str, np.ndarray] | None = None,
        path: Path | None = None,
        system: SensorSystem | None = None,
    ) -> None:
        simulator = Simulator(recipe, meanings, system)
        super().__init__(
            simulator.system.info,
            last_samps=(recipe.n_samples - 1,),
            filenames=(path,),
            raw_extras=({"simulator": simulator},),
            orig_format="single",
            verbose="ERROR",
        )

    @property
    def simulator(self) -> Simulator:
        """What makes the samples: knows the words, the brain and the signal without noise."""
        return self._raw_extras[0]["simulator"]

    def blocks(self) -> Iterator[np.ndarray]:
        """All samples in the order of time, in pieces of `BLOCK_S`, shape (C, T) float32; the last may be shorter."""
        for index, start in enumerate(range(0, self.n_times, self.simulator.block_samples)):
            yield self.simulator.block(index)[:, : self.n_times - start]

    def _read_segment_file(self, data, idx, fi, start, stop, cals, mult) -> None:
        simulator: Simulator = self._raw_extras[fi]["simulator"]
        size = simulator.block_samples
        for index in range(start // size, -(-stop // size)):
            begin, end = max(start, index * size), min(stop, (index + 1) * size)
            part_CT = simulator.block(index)[:, begin - index * size : end - index * size]
            # mult: a projector that mixes channels
            data[:, begin - start : end - start] = part_CT[idx] if mult is None else mult @ part_CT


def simulated_raw(recipe: Recipe, meanings: Mapping[str, np.ndarray] | None = None) -> SimulatedRaw:
    """Make a recording whose samples are made when they are read; an hour of it takes no memory."""
    return SimulatedRaw(recipe, meanings)
