"""Blocks of corpora: who trains and who validates, computed from lists of recordings by brute force."""

import itertools

import pytest

from megxl.corpora.corpus import CORPORA, PUBLISHED_NAMES, corpus_named
from megxl.errors import InputError
from megxl.training.blocks import BLOCKS, block_of
from megxl.training.config import PretrainConfig
from tests.data.told import told

PUBLISHED = {
    "camcan": ("subjects", "sessions", "tasks", "val_subjects"),
    "schoffelen": ("subjects", "tasks", "val_subjects"),
    "smn4lang": ("subjects", "runs", "tasks", "val_runs"),
    "gwilliams": ("subjects", "sessions", "tasks", "val_subjects"),
    "armeni": ("subjects", "sessions", "tasks", "val_session"),
    "libribrain": ("subjects", "sessions", "tasks", "val_session"),
}


def stored(folder, corpus, *, subjects=("sub-1",), sessions=(None,), tasks=(None,), runs=(None,), seconds=8.0):
    """Recordings of all combinations of names."""
    return [
        told(folder, [], corpus=corpus, seconds=seconds, subject=subject, session=session, task=task, run=run)
        for subject, session, task, run in itertools.product(subjects, sessions, tasks, runs)
    ]


def split(folder, block, **data):
    config = PretrainConfig.from_dict(
        {"datasets_config": [block | {"validation_only": False}], "data": {"cache_dir": str(folder)} | data}
    )
    return block_of(block).source(config).parts()


def ids(recordings):
    return {recording.key.partition("/")[2] for recording in recordings}


@pytest.mark.parametrize(("name", "keys"), PUBLISHED.items())
def test_a_block_has_the_published_keys_of_its_corpus_and_no_others(name, keys):
    made = block_of({"type": name, "data_root": "/d", "validation_only": True} | dict.fromkeys(keys))
    assert made.corpus().name == PUBLISHED_NAMES.get(name, name)
    others = {key for keys in PUBLISHED.values() for key in keys} - set(keys)
    for key in sorted(others):
        with pytest.raises(InputError, match=rf"There is no key datasets_config\.0\.{key}"):
            block_of({"type": name, key: ["x"]}, "datasets_config.0")


def test_every_corpus_has_a_block():
    assert set(BLOCKS) == set(CORPORA)
    for name in BLOCKS:
        assert corpus_named(name).name == block_of({"type": name}).corpus().name


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ({}, "datasets_config.0.type = None; allowed: camcan"),
        ({"type": "camcn"}, "datasets_config.0.type = 'camcn'; allowed: camcan"),
        ({"type": "camcan", "val_subject": "a"}, "datasets_config.0.val_subject; did you mean datasets_config.0.val_s"),
        ({"type": "camcan", "data_root": 3.5}, "datasets_config.0.data_root = 3.5; allowed: text, or null."),
        ({"type": "camcan", "subjects": {"a": 1}}, "datasets_config.0.subjects = {'a': 1}; allowed: a list of names"),
        ({"type": "camcan", "split": "published-validation", "val_subjects": ["a"]}, "val_subjects and split are both"),
        ({"type": "omega", "val_runs": ["a"], "val_subjects": ["a"]}, "val_subjects and val_runs are both given"),
        ("camcan", "datasets_config.0 = 'camcan'; allowed: keys of a corpus"),
    ],
)
def test_what_is_wrong_with_a_block_is_told_by_its_place(block, said):
    with pytest.raises(InputError) as error:
        block_of(block, "datasets_config.0")
    assert said in str(error.value)


def test_one_name_is_a_list_of_it_and_numbers_are_names():
    assert block_of({"type": "gwilliams", "tasks": [0, 1], "val_subjects": "sub-03"}) == block_of(
        {"type": "gwilliams", "tasks": ["0", "1"], "val_subjects": ["sub-03"]}
    )
    assert block_of({"type": "gwilliams", "tasks": 0}) == block_of({"type": "gwilliams", "tasks": ["0"]})


def test_validation_runs_never_train_though_runs_is_null(tmp_path):
    stored(tmp_path, "smn4lang", subjects=("sub-01", "sub-02"), tasks=("RDR",), runs=("run-1", "run-2", "run-10"))
    parts = split(tmp_path, {"type": "smn4lang", "runs": None, "subjects": None, "val_runs": ["run-10"]})
    assert ids(parts["validation"]) == {"sub-01_RDR_run-10", "sub-02_RDR_run-10"}
    assert ids(parts["train"]) == {f"sub-0{s}_RDR_run-{r}" for s in (1, 2) for r in (1, 2)}


@pytest.mark.parametrize("subjects", [None, ["a", "b"], ["a", "b", "c"]])
def test_validation_subjects_never_train_whether_they_are_listed_or_not(tmp_path, subjects):
    stored(tmp_path, "camcan", subjects=("a", "b", "c"), tasks=("rest",))
    parts = split(tmp_path, {"type": "camcan", "subjects": subjects, "val_subjects": ["c"]})
    assert ids(parts["train"]) == {"a_rest", "b_rest"} and ids(parts["validation"]) == {"c_rest"}


def test_a_session_of_libribrain_validates_in_its_first_book_alone(tmp_path):
    books = ("Sherlock1", "Sherlock2")
    stored(tmp_path, "libribrain", subjects=("sub-0",), sessions=("ses-1", "ses-2"), tasks=books, runs=("run-1",))
    parts = split(tmp_path, {"type": "libribrain"})
    assert ids(parts["validation"]) == {"sub-0_ses-2_Sherlock1_run-1"}
    assert ids(parts["train"]) == {
        "sub-0_ses-1_Sherlock1_run-1", "sub-0_ses-1_Sherlock2_run-1", "sub-0_ses-2_Sherlock2_run-1"
    }  # fmt: skip
    # training on the second book alone still validates on the first
    parts = split(tmp_path, {"type": "libribrain", "tasks": ["Sherlock2"], "val_session": "ses-1"})
    assert ids(parts["validation"]) == {"sub-0_ses-1_Sherlock1_run-1"}
    assert ids(parts["train"]) == {"sub-0_ses-1_Sherlock2_run-1", "sub-0_ses-2_Sherlock2_run-1"}


def test_the_usual_session_of_armeni_validates_and_nobody_trains_where_that_is_asked(tmp_path):
    stored(tmp_path, "armeni", subjects=("sub-001",), sessions=("ses-009", "ses-010"), tasks=("compr",))
    parts = split(tmp_path, {"type": "armeni"})
    assert ids(parts["validation"]) == {"sub-001_ses-010_compr"}
    assert ids(parts["train"]) == {"sub-001_ses-009_compr"}
    only = block_of({"type": "armeni", "validation_only": True})
    config = PretrainConfig.from_dict({"datasets_config": [{"type": "camcan"}], "data": {"cache_dir": str(tmp_path)}})
    parts = only.source(config).parts()
    assert ids(parts["validation"]) == {"sub-001_ses-010_compr"} and parts["train"] == []


def test_a_name_that_no_recording_has_is_refused(tmp_path):
    stored(tmp_path, "camcan", subjects=("a", "b"), tasks=("rest",))
    with pytest.raises(InputError, match="first: z"):
        split(tmp_path, {"type": "camcan", "val_subjects": ["z"]})
    with pytest.raises(InputError, match="first: smt"):
        split(tmp_path, {"type": "camcan", "tasks": ["rest", "smt"], "val_subjects": ["a"]})


def test_subjects_are_drawn_where_nobody_is_named_and_a_split_by_recordings_may_be_asked_for(tmp_path):
    stored(tmp_path, "omega", subjects=("a", "b", "c"), sessions=("1", "2"))
    parts = split(tmp_path, {"type": "omega"})
    drawn = {recording.subject for recording in parts["validation"]}
    assert len(drawn) == 1 and len(parts["validation"]) == 2
    assert {recording.subject for recording in parts["train"]} == {"a", "b", "c"} - drawn
    parts = split(tmp_path, {"type": "omega", "split": {"validation": 0.17, "by": "recording"}})
    assert len(parts["validation"]) == 1 and len(parts["train"]) == 5


def test_published_splits_go_by_their_names(tmp_path):
    stored(tmp_path, "armeni", sessions=[f"ses-{n:03d}" for n in range(1, 11)], tasks=("compr",))
    parts = split(tmp_path, {"type": "armeni", "split": "published-sessions"})
    assert [len(parts[part]) for part in ("train", "validation", "test")] == [8, 1, 1]


def test_less_training_data_leaves_validation_as_it_is(tmp_path):
    stored(tmp_path, "camcan", subjects=tuple("abcdefghik"), tasks=("rest",))
    parts = split(tmp_path, {"type": "camcan", "val_subjects": ["a", "b"]}, recording_subsample_prop=0.5)
    assert len(parts["train"]) == 4 and ids(parts["validation"]) == {"a_rest", "b_rest"}


def test_debugging_takes_one_recording_of_each_part(tmp_path):
    stored(tmp_path, "camcan", subjects=tuple("abcd"), tasks=("rest",))
    parts = split(tmp_path, {"type": "camcan", "val_subjects": ["a", "b"]}, debug_mode=True)
    assert len(parts["train"]) == 1 and len(parts["validation"]) == 1
    assert not ids(parts["train"]) & ids(parts["validation"])


def test_what_is_prepared_covers_both_parts(tmp_path):
    block = {"type": "armeni", "subjects": ["sub-001", "sub-002"], "sessions": ["ses-001"], "val_session": "ses-002"}
    for subject, session in itertools.product((1, 2, 3), (1, 2, 3)):
        folder = tmp_path / f"sub-00{subject}" / f"ses-00{session}" / "meg"
        (folder / f"sub-00{subject}_ses-00{session}_task-compr_meg.ds").mkdir(parents=True)
    made = block_of(block | {"data_root": str(tmp_path)})
    found = {file.id for file in made.corpus().select(tmp_path, made.selection())}
    assert found == {f"sub-00{s}_ses-00{n}_task-compr" for s in (1, 2) for n in (1, 2)}


def test_a_class_of_ones_own_is_a_corpus_as_well(tmp_path):
    made = block_of({"type": "tests.data.small_corpus:Small", "options": {"later_s": 1.5}})
    assert made.corpus().later_s == 1.5  # type: ignore[attr-defined]
    assert made.source(PretrainConfig.from_dict({"datasets_config": [{"type": "camcan"}]})).name == "small"


def test_a_dataset_with_a_name_of_its_own_lies_under_it_in_the_store():
    made = block_of({"type": "bids", "options": {"dataset": "ds1"}})
    assert made.source(PretrainConfig.from_dict({"datasets_config": [{"type": "camcan"}]})).name == "ds1"


def source_of(block, **config):
    known = {"datasets_config": [{"type": "camcan"}], "seed": 1, "training": {"sampler_seed": 2}}
    return block_of(block).source(PretrainConfig.from_dict(known | config))


def test_a_source_is_told_who_may_be_in_both_parts():
    assert source_of({"type": "camcan", "val_subjects": ["a"]}).disjoint == "subject"
    assert source_of({"type": "smn4lang", "val_runs": ["a"]}).disjoint == "recording"
    assert source_of({"type": "omega", "split": {"validation": 0.5}}).disjoint == "subject"
    assert source_of({"type": "omega", "split": {"validation": 0.5, "by": "recording"}}).disjoint == "recording"


def test_a_source_draws_its_share_of_training_by_the_seed_of_the_order():
    share = {"recording_subsample_prop": 0.5}
    assert source_of({"type": "omega"}, data=share).subsample == {"proportion": 0.5, "seed": 2}
    assert source_of({"type": "omega", "validation_only": True}, data=share).subsample is None
    assert source_of({"type": "omega"}).subsample is None


def test_a_source_that_validates_only_trains_nobody_and_a_draw_is_among_those_named():
    only = source_of({"type": "armeni", "validation_only": True})
    assert only.validation_only and only.split.train is None
    drawn = source_of({"type": "omega", "subjects": ["a", "b"], "split": {"validation": 0.5}})
    assert not drawn.validation_only and drawn.selection.subjects == ("a", "b")


def test_the_book_that_validates_is_prepared_though_others_train():
    assert block_of({"type": "libribrain", "tasks": ["Sherlock2"]}).selection().tasks == ("Sherlock2", "Sherlock1")
