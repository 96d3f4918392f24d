"""What a page needs besides saved predictions: the decoder, stored recordings, test groups; or why they lack."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

import torch

from megxl.decoding.decoder_files import read_decoder
from megxl.decoding.saved_decoder import SavedDecoder
from megxl.errors import InputError
from megxl.reporting.words.examination import Examination, Examiner, spread
from megxl.reporting.words.scores import TEST, Scored
from megxl.store.entry import StoredRecording
from megxl.store.store import Store
from megxl.training.runs import MODEL, Run
from megxl.training.words.config import WordsConfig
from megxl.training.words.data import WordsData

MOST_WEIGHTS, MOST_SENSORS = 5_000_000, 100
"""With more, a decoder without a GPU takes minutes to look at a group."""


def open_decoder(run: Run[WordsConfig], device: str | torch.device) -> SavedDecoder:
    """Read the decoder of a run, in eval mode.

    Raises
    ------
    InputError
        There is none (yet), or it is damaged.
    """
    if not (run.path / MODEL).is_dir():
        raise InputError(f"{run.name} has no decoder in {MODEL}: none was trained, or the training is not finished.")
    saved = read_decoder(run.path / MODEL, device)
    saved.decoder.eval()
    return saved


def stored_recordings(run: Run[WordsConfig], keys: Iterable[str]) -> tuple[dict[str, StoredRecording], str]:
    """Open the recordings of these keys that are in the store of a run, and say what lacks ("" if nothing does)."""
    folder, keys = Path(run.config.data.cache_dir), sorted(set(keys))
    try:
        store = Store(folder)
    except InputError as error:
        return {}, f"The signal cannot be shown: {error}"
    found = {key: store.recording(key) for key in keys if key in store}
    missing = len(keys) - len(found)
    told = f"{missing} of {len(keys)} test recordings are no longer in the store {folder}." if missing else ""
    return found, told


def examine_test(
    run: Run[WordsConfig],
    saved: SavedDecoder,
    scored: Scored,
    *,
    groups: int,
    device: str | torch.device,
    advance: Callable[[int], None] | None = None,
) -> Examination:
    """Show the decoder some test groups, spread evenly.

    Raises
    ------
    InputError
        The recordings are not in the store, or not as they were.
    """
    data = WordsData(run.config, None)  # without a codec: the page needs the signal itself
    data.setup(TEST)
    dataset, members = data.dataset(TEST), [data.groups.groups[number] for number in data.order(TEST)]
    chosen, first, rows = spread(len(members), groups), 0, []
    for number, group in enumerate(members):
        rows += range(first, first + len(group.words)) if number in chosen else ()
        first += len(group.words)
    items = [partial(dataset.__getitem__, number) for number in chosen]
    occurrences = data.occurrences(TEST).part(rows)
    examiner = Examiner(saved, data.subjects, data.n_sensors, device)
    return examiner.examine(items, occurrences, scored.metric, run.config.evaluation.resamples, advance)


def usual_groups(
    saved: SavedDecoder, recordings: Mapping[str, StoredRecording], device: str | torch.device, most: int
) -> int:
    """How many groups a decoder is shown unless told otherwise: one where each takes minutes."""
    weights = sum(weight.numel() for weight in saved.decoder.parameters())
    sensors = max((len(recording.sensors) for recording in recordings.values()), default=0)
    slow = torch.device(device).type == "cpu" and (weights > MOST_WEIGHTS or sensors > MOST_SENSORS)
    return 1 if slow else most
