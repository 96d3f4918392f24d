"""Data sets of pnpl as recordings of our corpus: the same files, samples and words."""

import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from megxl.corpora.libribrain import LibriBrain
from megxl.corpora.pnpl_recordings import from_pnpl
from megxl.data.preparing import Request
from megxl.errors import InputError

RUNS = [("0", "1", "Sherlock1", "1"), ("0", "2", "Sherlock1", "1")]


@pytest.fixture(scope="module")
def pnpl():
    os.environ["PNPL_REMOTE_CONSTANTS_DISABLED"] = "true"  # else it asks the network for its lists
    return pytest.importorskip("pnpl", reason="reading data sets of pnpl needs pnpl: pip install 'megxl[fetch]'")


@pytest.fixture(params=["LibriBrain", "LibriBrain100"])
def dataset(request, pnpl, mini):
    import pnpl.datasets
    import pnpl.tasks

    return getattr(pnpl.datasets, request.param)(
        data_path=str(mini / "libribrain_public"),
        task=pnpl.tasks.SpeechDetection(tmin=0.0, tmax=0.5),
        include_run_keys=RUNS[:1],
        download=False,
        standardize=False,
        clipping_boundary=None,
    )


def test_a_data_set_gives_its_runs_and_their_samples(dataset):
    (file,) = from_pnpl(dataset)
    assert file.key == "libribrain/sub-0_ses-1_task-Sherlock1_run-1"
    raw = LibriBrain().read(file)
    window = np.asarray(dataset[3][0])
    start = round(float(dataset.samples[3][4]) * raw.info["sfreq"])
    np.testing.assert_array_equal(raw.get_data(start=start, stop=start + window.shape[1]).astype("f4"), window)
    assert len(LibriBrain().words(file)) > 10


def test_what_a_data_set_holds_is_what_is_prepared(dataset, tmp_path):
    files = from_pnpl(dataset)
    request = Request(
        corpus=LibriBrain(), root=dataset.data_path, store=tmp_path / "store", keys={file.key for file in files}
    )
    assert [job.key for job in request.jobs()] == ["libribrain/sub-0_ses-1_task-Sherlock1_run-1"]


def test_runs_that_are_not_downloaded_are_named(mini, tmp_path):
    """Of a data set that fetches its files when they are asked for."""
    shutil.copytree(mini / "libribrain_public" / "Sherlock2", tmp_path / "Sherlock2")
    later = SimpleNamespace(
        HUGGINGFACE_REPO="pnpl/LibriBrain", data_path=str(tmp_path), run_keys=[], intended_run_keys=RUNS
    )
    with pytest.raises(InputError, match=r"2 of 2 runs .* \(first: sub-0_ses-1_task-Sherlock1_run-1\).*preload_files"):
        from_pnpl(later)


def test_a_data_set_of_another_corpus_is_refused():
    with pytest.raises(InputError, match=r"not SimpleNamespace.*megxl prepare"):
        from_pnpl(SimpleNamespace(data_path=".", run_keys=RUNS))
