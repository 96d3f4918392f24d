"""A model learns a kind of its own for electrodes where recordings hold some, stored or still to be prepared."""

from megxl.data.preparing import Request
from megxl.data.preparing.running import prepare_corpus
from megxl.data.recording_split import RecordingSplit
from megxl.data.sources import CorpusSource
from megxl.store.store import Store
from megxl.training.recordings import Chosen
from megxl.training.sensor_kinds import sensor_kinds
from tests.data.small_corpus import Electrodes, Small, make_small


def chosen(request, *, stored=False) -> Chosen:
    keys = tuple(job.key for job in request.jobs())
    if stored:
        prepare_corpus(request)
    recordings = tuple(Store(request.store).recordings(keys)) if stored else ()
    split = RecordingSplit(train=keys[1:], validation=keys[:1])
    source = CorpusSource(store=request.store, corpus="small", split=split)
    lacking = {} if stored else dict.fromkeys(keys, "not in the store")
    return Chosen(
        place="datasets_config.0", source=source, request=None if stored else request, lacking=lacking,
        stored=recordings, notes=(),
    )  # fmt: skip


def test_one_corpus_of_electrodes_is_enough_whether_its_recordings_are_stored_or_files(tmp_path):
    root = make_small(tmp_path / "root")
    meg = Request(corpus=Small(), root=root, store=tmp_path / "meg", workers=0)
    eeg = Request(corpus=Electrodes(), root=root, store=tmp_path / "eeg", workers=0)
    for stored in (False, True):
        coils, electrodes = chosen(meg, stored=stored), chosen(eeg, stored=stored)
        assert sensor_kinds([coils]) == 2
        assert sensor_kinds([coils, electrodes]) == sensor_kinds([electrodes]) == 3
