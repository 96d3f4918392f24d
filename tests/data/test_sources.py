"""What a run takes from a corpus: every way to say it, and what is refused."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from megxl.corpora.corpus import Corpus, Selection, Split
from megxl.data.recording_split import RecordingSplit
from megxl.data.sources import CorpusSource
from megxl.data.splits import split_by_fraction
from megxl.errors import InputError
from megxl.store import Store
from tests.data.small import put, small_store


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store.create(tmp_path / "store")
    for subject in ("sub-1", "sub-2", "sub-3"):
        for session in ("ses-1", "ses-2"):
            put(store, "armeni", subject, session=session)
    put(store, "meg_masc", "sub-1")
    return store


def held_out(source: CorpusSource) -> list[str]:
    parts = source.parts()
    train = {recording.key for recording in parts["train"]}
    assert train.isdisjoint(recording.key for recording in parts["validation"])
    return [recording.id for recording in parts["validation"]]


def test_a_split_can_be_said_in_every_way(store, tmp_path):
    recordings = store.recordings(corpus="armeni")
    by_fraction = {"validation": 0.3, "by": "subject", "seed": 1}
    drawn = split_by_fraction(recordings, **by_fraction)
    drawn.save(tmp_path / "split.json")
    selections = Split(train=Selection(), validation=Selection(subjects=("sub-2",), sessions=("ses-1",)))
    ways = [by_fraction, drawn, str(tmp_path / "split.json")]
    said = [held_out(CorpusSource(store=store.path, corpus="armeni", split=way)) for way in ways]
    assert said[0] == said[1] == said[2] and len(said[0]) == 2
    assert held_out(CorpusSource(store=store.path, corpus="armeni", split=selections)) == ["sub-2_ses-1"]


def test_a_selection_narrows_the_corpus(store):
    source = CorpusSource(store=store.path, corpus="armeni", selection=Selection(sessions=("ses-2",)))
    parts = source.parts()
    assert {r.session for part in parts.values() for r in part} == {"ses-2"}
    with pytest.raises(
        InputError, match=r"1 session\(s\) that are not there \(first: ses-9; there are: ses-1, ses-2\)"
    ):
        CorpusSource(store=store.path, corpus="armeni", selection=Selection(sessions=("ses-1", "ses-9"))).parts()


def test_training_data_can_be_less_or_nothing(store):
    less = CorpusSource(store=store.path, corpus="armeni", subsample={"number": 2, "seed": 0}).parts()
    assert len(less["train"]) == 2 and len(less["validation"]) == 2


def test_a_corpus_for_validation_alone_validates_all_or_what_the_split_says(store):
    source = CorpusSource(store=store.path, corpus="armeni", validation_only=True)
    assert [len(part) for part in source.parts().values()] == [0, 6, 0]
    source = replace(source, split={"validation": 0.3})
    assert [len(part) for part in source.parts().values()] == [0, 2, 0]
    assert source.resolve(source.stored()).notes == ("2 recordings for validation alone; 4 are not used.",)
    with pytest.raises(InputError, match="validation_only leaves none"):
        replace(source, subsample={"number": 1, "seed": 0})


def test_recordings_shorter_than_a_window_are_no_choice_of_a_subsample(tmp_path):
    store = small_store(tmp_path / "s", {"a": [100, 500, 100, 500, 100]})
    split = RecordingSplit(train=tuple(store.keys()))
    for seed in range(5):
        source = CorpusSource(store=store.path, corpus="a", split=split, subsample={"number": 2, "seed": seed})
        assert {recording.n_samples for recording in source.parts(least_s=5.0)["train"]} == {500}


def test_one_person_s_corpus_is_told_to_be_split_by_recording(tmp_path):
    store = Store.create(tmp_path / "one")
    for session in ("ses-1", "ses-2"):
        put(store, "libribrain", "sub-0", session=session)
    with pytest.raises(InputError, match="use by='recording'"):
        CorpusSource(store=store.path, corpus="libribrain").parts()
    assert held_out(CorpusSource(store=store.path, corpus="libribrain", split={"by": "recording"}))


def test_lists_of_keys_are_a_split(store):
    keys = store.keys("armeni")
    split = {"train": keys[:3], "validation": keys[4:5]}
    parts = CorpusSource(store=store.path, corpus="armeni", split=split).parts()
    assert [[r.key for r in part] for part in parts.values()] == [keys[:3], keys[4:5], []]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"split": {"validaton": 0.5}}, "no option 'validaton'; there are: validation, test, by, seed"),
        ({"split": {"train": ["armeni/x"], "val": []}}, "has a part 'val'; there are: train, validation, test"),
        ({"split": {"train": ["armeni/x"]}}, "1 of 1 train recordings .* not in the store"),
        ({"split": {"train": [1]}}, "must be a list of recordings' keys"),
        ({"split": 0.5}, "split = 0.5; allowed"),
        ({"split": Path("nowhere.json")}, "nowhere.json cannot be read"),
        ({"split": "nobody's"}, 'no split "nobody\'s"; there are'),
        ({"subsample": {"hour": 1, "seed": 0}}, "no option 'hour'; there are: seed, number, proportion, hours"),
        ({"subsample": {"number": 1}}, "has no seed"),
        ({"split": RecordingSplit(train=("armeni/x",), leak="It leaks.")}, "It leaks.*allow_leak=True"),
        ({"corpus": "no.such:Corpus"}, "cannot be imported"),
    ],
)
def test_slips_of_the_pen_are_answered_with_what_is_known(store, options, words):
    with pytest.raises(InputError, match=words):
        CorpusSource(**({"store": store.path, "corpus": "armeni"} | options)).parts()


@dataclass(frozen=True)
class Mine(Corpus):
    """A corpus of one's own with a published split."""

    name = "mylab"
    splits = {"mine": Split(train=Selection(), validation=Selection(subjects=("sub-00",)))}  # noqa: RUF012

    def recordings(self, root):
        return []


def test_published_splits_of_one_s_own_corpus_are_found(tmp_path):
    store = small_store(tmp_path / "s", {"mylab": [500] * 3})
    source = CorpusSource(store=store.path, corpus=f"{__name__}:Mine", split="mine")
    assert source.name == "mylab" and held_out(source) == ["sub-00"]
    assert held_out(CorpusSource(store=store.path, corpus="mylab", split={"validation": 0.3}))


def test_parts_that_share_persons_are_refused_where_it_is_asked_for(store):
    keys = store.keys("armeni")
    split = RecordingSplit(train=tuple(keys[:1]), validation=tuple(keys[1:2]))
    held_out(CorpusSource(store=store.path, corpus="armeni", split=split))
    with pytest.raises(InputError, match="share 1 subject"):
        CorpusSource(store=store.path, corpus="armeni", split=split, disjoint="subject").parts()
    twice = RecordingSplit(train=tuple(keys[:2]), validation=tuple(keys[1:2]))
    with pytest.raises(InputError, match="share 1 recording"):
        CorpusSource(store=store.path, corpus="armeni", split=twice).parts()


def test_a_published_name_of_a_corpus_is_ours(store):
    split = RecordingSplit(train=("meg_masc/sub-1",))
    source = CorpusSource(store=store.path, corpus="gwilliams", split=split)
    assert source.name == "meg_masc" and [r.key for r in source.parts()["train"]] == ["meg_masc/sub-1"]


def test_what_is_not_prepared_is_named(store):
    with pytest.raises(
        InputError,
        match=r"no recording of camcan \(there are: armeni, meg_masc\); prepare them with `megxl prepare camcan",
    ):
        CorpusSource(store=store.path, corpus="camcan").parts()
