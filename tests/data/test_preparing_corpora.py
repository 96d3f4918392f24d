"""The published corpora in their native formats, and a cluster: prepared through the same task, and stored whole."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from megxl.corpora.corpus import Selection, corpus_named
from megxl.data.preparing import Request, prepare_corpus
from megxl.errors import InputError
from megxl.signals.preparation import prepare
from megxl.store.store import Store
from tests.data.small_corpus import Deadly, Small, bytes_of, make_small

CORPORA = ["camcan", "smn4lang", "mous", "armeni", "meg_masc", "libribrain", "omega"]


def prepared(mini: Path, name: str, store: Path, **options) -> Request:
    return Request(corpus=corpus_named(name), root=mini / name, store=store, workers=0, **options)


@pytest.mark.slow
@pytest.mark.parametrize("name", CORPORA)
def test_every_recording_of_a_published_corpus_is_stored(mini, tmp_path, name):
    request = prepared(mini, name, tmp_path / "store")
    result = prepare_corpus(replace(request, workers=2))
    files = request.corpus.select(request.root)
    assert result.complete and result.keys == [file.key for file in files] and len(files) >= 2
    store = Store(request.store)
    assert store.verify() == {} and result.plan.reasons() == {"absent": len(files)}
    for file in files:
        stored = store.recording(file.key)
        assert stored.words == [word.to_row() for word in request.corpus.words(file)]
        assert (stored.subject, stored.session, stored.task, stored.run) == (
            file.subject,
            file.session,
            file.task,
            file.run,
        )
    raw = request.corpus.read(files[-1])
    expected = prepare(raw, request.corpus.channels(raw), nonfinite="mask")
    np.testing.assert_array_equal(store.recording(files[-1].key).read(), expected.signal_CT)
    assert prepare_corpus(request).outcomes == []


def test_two_recordings_of_an_hdf5_corpus_are_stored_with_their_words(mini, tmp_path):
    request = prepared(mini, "libribrain", tmp_path / "store", limit=2)
    result = prepare_corpus(request)
    assert result.complete and len(result.keys) == 2 and result.holdings.words > 100
    assert result.holdings.arrays == {"306 (204 gradiometers, 102 magnetometers)": 2}
    whole_s = sum(recording.duration_s // 150 * 150 for recording in Store(request.store).recordings())
    assert result.holdings.left_over_s == pytest.approx(result.holdings.seconds - whole_s)


def test_two_runs_of_one_session_do_not_collide(mini, tmp_path):
    request = prepared(mini, "mous", tmp_path / "store", selection=Selection(subjects=("sub-A2003",)))
    assert prepare_corpus(request).complete
    one, two = Store(request.store).recordings()
    assert {one.run, two.run} == {"run-1", "run-2"} and one.signal_sha256 != two.signal_sha256


@pytest.mark.slow
def test_a_local_cluster_stores_the_same_and_names_who_kills_it(tmp_path):
    pytest.importorskip("distributed")
    root = make_small(tmp_path / "root")
    here = Request(corpus=Small(), root=root, store=tmp_path / "here", workers=0)
    assert prepare_corpus(here).complete
    there = replace(here, store=tmp_path / "there", dask="local", workers=2)
    environment = dict(os.environ)
    assert prepare_corpus(there).complete
    assert dict(os.environ) == environment
    assert bytes_of(tmp_path / "there") == bytes_of(tmp_path / "here")
    result = prepare_corpus(replace(there, store=tmp_path / "deadly", corpus=Deadly()))
    assert [failed.key for failed in result.failed] == ["small/sub-02_task-rest"]
    assert "KilledWorker" in result.failed[0].reason and len(result.keys) == 2


def test_a_cluster_that_does_not_answer_is_told(tmp_path):
    pytest.importorskip("distributed")
    request = Request(corpus=Small(), root=make_small(tmp_path / "root", 1), store=tmp_path / "store")
    with pytest.raises(InputError, match="no Dask scheduler answers"):
        prepare_corpus(replace(request, dask="nonsense://nowhere"))
