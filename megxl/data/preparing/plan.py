"""What there is to do for a corpus: which recordings the store has as they should be, and why the others are made."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from megxl.data.preparing.task import Job
from megxl.errors import InputError
from megxl.store.keys import Damaged
from megxl.store.sources import changed
from megxl.store.store import Store


@dataclass(frozen=True, kw_only=True)
class Step:
    """A recording to be made, why, and how much there is to read."""

    job: Job
    reason: str
    n_bytes: int


@dataclass(kw_only=True)
class Plan:
    """What there is to do, and what not.

    Parameters
    ----------
    current : list of str
        Recordings that are in the store as they should be.
    steps : list of Step
        Recordings to make.
    damaged : dict
        Recordings that are damaged in the store and were not asked to be repaired: how.
    waiting : dict
        Recordings that a limit leaves for another time: why they are to be made.
    """

    current: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    damaged: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)

    @property
    def n_bytes(self) -> int:
        """How much there is to read."""
        return sum(step.n_bytes for step in self.steps)

    def reasons(self) -> dict[str, int]:
        """Why recordings are made, in a word or two, and how many for each."""
        return dict(Counter(step.reason.partition(":")[0] for step in self.steps).most_common())


def plan(
    jobs: Iterable[Job], store: Store | None, *, limit: int | None = None, advance: Callable[[int], None] | None = None
) -> Plan:
    """Compare jobs with a store.

    Parameters
    ----------
    jobs : iterable of Job
        One a recording. Where a job asks to repair, the stored recording is read whole and compared with its checksums.
    store : Store, optional
        None: there is none yet.
    limit : int, optional
        At most so many recordings are made.
    advance : callable, optional
        Called with 1 after each recording.

    Raises
    ------
    InputError
        Recordings of another data set, of which none is here, would be replaced by those of the same names.
    """
    found, looked_at, replaces = Plan(), {}, False
    for job in jobs:
        looked_at[job.key] = job
        reason = job.reason(store) if store is not None else "absent"
        if reason is None and job.repair and store is not None and (wrong := store.verify([job.key])):
            reason = f"damaged: {wrong[job.key]}"
            job = replace(job, found=reason)
        if reason is None:
            found.current.append(job.key)
        elif reason.startswith("damaged") and not job.repair:
            found.damaged[job.key] = reason.partition(": ")[2]
        elif limit is not None and len(found.steps) >= limit:
            found.waiting[job.key] = reason
        else:
            found.steps.append(Step(job=job, reason=reason, n_bytes=_bytes_of(job.signal_sources)))
        if advance is not None:
            advance(1)
        replaces = replaces or (reason or "").startswith(("the source changed", "the settings changed"))
    if store is not None and replaces and not found.current:
        _refuse_another_data_set(looked_at, store)
    return found


def _refuse_another_data_set(jobs: Mapping[str, Job], store: Store) -> None:
    """Tell two data sets with recordings of equal names from one whose files have changed.

    It is another one where no recording in the store has its files here as they were, and some recording is not here at
    all: a data set that was worked on, or in part, still has recordings of these names.
    """
    file = next(iter(jobs.values())).file
    missing = []
    for key in store.keys(file.corpus):
        try:
            files = store.recording(key).source.get("signal", {})
        except Damaged:  # which is told by name
            continue
        # a job knows its files, which need not lie below the root
        why = changed(files, jobs[key].signal_sources if key in jobs else [file.root / one for one in files], file.root)
        if why is None:
            return
        missing += [key] * (key not in jobs and why.endswith("is missing"))
    if missing:
        raise InputError(
            f"{store.path} has recordings of the same names that were made from other files: none of its recordings of "
            f"{file.corpus!r} has its file in {file.root} as it was, and that of {missing[0]} is not there. If this is "
            f"another data set, give it a name of its own (BIDS: --set dataset=NAME) or another --store; if it is the "
            f"same one, delete {store.path / file.corpus} first."
        )


def _bytes_of(paths: Iterable[Path]) -> int:
    """Size of files and folders; what is missing will be told by who reads it."""
    total = 0
    for path in paths:
        files = path.rglob("*") if path.is_dir() else [path]
        total += sum(file.stat().st_size for file in files if file.is_file())
    return total
