"""What names of files tell."""

from pathlib import Path

from megxl.corpora.names import beside, entities, natural


def test_names_sort_as_people_count():
    names = ["run-10", "run-2", "run-1", "run-02", "a", "run-²"]
    assert sorted(names, key=natural) == ["a", "run-1", "run-02", "run-2", "run-10", "run-²"]


def test_entities_of_a_name():
    name = "sub-A2002_ses-01_task-rest_run-02_proc-bads+sss_meg.fif"
    assert entities(name) == {"sub": "A2002", "ses": "01", "task": "rest", "run": "02", "proc": "bads+sss"}


def test_the_table_of_a_split_recording_has_no_split_in_its_name():
    path = Path("x/sub-1_task-a_split-01_meg.fif")
    assert beside(path, "_events.tsv") == Path("x/sub-1_task-a_events.tsv")
    assert beside(Path("x/sub-1_task-a_meg.ds"), "_events.tsv") == Path("x/sub-1_task-a_events.tsv")
