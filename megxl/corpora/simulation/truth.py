"""The ground truth of simulated recordings: what made them, in files that need no part of this package to be read.

Letters: C sensors, N dipoles, M language dipoles, J waves, W words, D numbers of a meaning vector.
"""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from megxl.corpora.simulation import FACTS, FOLDER
from megxl.corpora.simulation.brain import SNR_BAND_HZ
from megxl.corpora.simulation.recipe import Recipe
from megxl.corpora.simulation.recording import Simulator
from megxl.corpora.simulation.response import stack_meanings
from megxl.corpora.simulation.story import vocabulary
from megxl.errors import InputError

WORDS = "words.npz"
_LOW_HZ, _HIGH_HZ = SNR_BAND_HZ
_MEANING = f"""\
snr: power of the responses to words divided by that of brain and sensor noise, both {_LOW_HZ:g} to {_HIGH_HZ:g} Hz, at
the median sensor, while the whole story is told once. words.npz: word_W, vector_WD. sub-*.npz: the listener's dipoles
(position_N3 in metres from the centre of the head, moment_N3, strength_N in A m, kind_N), lead_CN (SI units by A m) to
sensor_C, and the response of the M language dipoles: wave j at the time t after an onset is (1 - u^2) exp(-u^2 / 2),
u = (t - latency_J[j]) / width_J[j], 0 for t < 0; dipole m adds gain * (common_JM[j, m] + weight_JMD[j, m] . vector)
of it. ses-*_words.tsv: what all listeners of a session hear."""


def write_words(folder: Path, meanings: Mapping[str, np.ndarray]) -> None:
    """Write the vocabulary of the story and its meaning vectors."""
    words = vocabulary()
    np.savez(folder / WORDS, word_W=np.array(words), vector_WD=stack_meanings(words, meanings))


def write_listener(folder: Path, simulator: Simulator) -> None:
    """Write what is the same in all recordings of a subject."""
    brain, response = simulator.brain, simulator.brain.response
    np.savez(
        folder / _listener(simulator.recipe),
        sensor_C=np.array(simulator.system.info["ch_names"]),
        lead_CN=brain.lead_CN,
        position_N3=brain.positions_N3,
        moment_N3=brain.moments_N3,
        strength_N=brain.strength_N,
        kind_N=np.array(brain.kinds),
        latency_J=response.latencies_J,
        width_J=response.widths_J,
        common_JM=response.common_JM,
        weight_JMD=response.weights_JMD,
        gain=response.gain,
    )


def write_session(folder: Path, simulator: Simulator) -> None:
    """Write which words are heard when."""
    with (folder / _session(simulator.recipe)).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(("onset_s", "duration_s", "word", "sentence", "chapter"))
        for one in simulator.heard:
            word = one.word
            table.writerow((one.onset_s, round(word.duration_s, 6), word.text, word.sentence, word.chapter))


def read_meanings(path: Path) -> dict[str, np.ndarray]:
    """Read meaning vectors from an npz file of ``word_W`` and ``vector_WD``, such as ``words.npz``.

    Raises
    ------
    InputError
        There is no such file, or it holds something else.
    """
    try:
        with np.load(path) as table:
            return dict(zip(table["word_W"].tolist(), table["vector_WD"], strict=True))
    except (ValueError, KeyError, OSError, TypeError, BadZipFile) as error:
        raise InputError(
            f"{path.name} cannot be read as meaning vectors: needed is an npz file of the arrays 'word_W' (words) and "
            f"'vector_WD' (a row for each) ({error})."
        ) from error


def write_facts(folder: Path, corpus: str, recordings: Mapping[Path, Recipe]) -> None:
    """Write what is what; the entries beside the folder are named, so that an older simulation is known as one."""
    facts = {
        "made_by": "megxl simulate",
        "corpus": corpus,
        "meaning": " ".join(_MEANING.split()),
        "entries": sorted(entry.name for entry in folder.parent.iterdir()),
        "recordings": [
            {"file": path.as_posix(), "listener": _listener(recipe), "words": _session(recipe), **recipe.to_json()}
            for path, recipe in recordings.items()
        ],
    }
    (folder / FACTS).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def is_simulation(root: Path) -> bool:
    """Say whether a folder is what an earlier simulation wrote and nothing else."""
    path = root / FOLDER / FACTS
    if not path.is_file():
        return False
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["entries"]
    except (ValueError, KeyError, TypeError):
        return False
    return {entry.name for entry in root.iterdir()} <= set(entries)


def _listener(recipe: Recipe) -> str:
    return f"sub-{recipe.subject:02d}.npz"


def _session(recipe: Recipe) -> str:
    return f"ses-{recipe.session:02d}_words.tsv"
