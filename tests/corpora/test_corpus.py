"""The contract of corpora: names, selections, options, and what they refuse."""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megxl.corpora.corpus import (
    CORPORA,
    PUBLISHED_NAMES,
    Corpus,
    RecordingFile,
    Selection,
    Word,
    corpus_named,
    natural,
)
from megxl.corpora.names import entity
from megxl.errors import InputError


def file(subject: str, run: str | None = None, task: str | None = "story", session: str | None = None) -> RecordingFile:
    return RecordingFile(
        corpus="toy", path=Path("x"), root=Path(), subject=subject, session=session, task=task, run=run
    )


@dataclass(frozen=True)
class Toy(Corpus):
    """A corpus without files."""

    name: ClassVar[str] = "toy"
    tasks: ClassVar[tuple[str, ...]] = ("story",)
    layout: ClassVar[str] = "Looked for: nothing."
    found: tuple[RecordingFile, ...] = ()

    def recordings(self, root):
        return list(self.found)

    def read(self, file):
        raise NotImplementedError


def test_two_runs_of_a_session_have_different_keys():
    assert file("sub-1", "run-1").key == "toy/sub-1_task-story_run-1"
    assert file("sub-1", "run-1").key != file("sub-1", "run-2").key


def test_select_keeps_usual_tasks_unless_others_are_asked_for(tmp_path):
    corpus = Toy(found=(file("sub-1"), file("sub-1", task="rest")))
    assert [found.task for found in corpus.select(tmp_path)] == ["story"]
    assert [found.task for found in corpus.select(tmp_path, Selection(tasks=("rest",)))] == ["rest"]


def test_select_refuses_two_recordings_of_one_id(tmp_path):
    with pytest.raises(InputError, match="both be stored as toy/sub-1_task-story"):
        Toy(found=(file("sub-1"), file("sub-1"))).select(tmp_path)


def test_select_refuses_a_name_that_no_recording_has(tmp_path):
    with pytest.raises(InputError, match=r"subject 'sub-2'; there are: sub-1"):
        Toy(found=(file("sub-1"),)).select(tmp_path, Selection(subjects=("sub-1", "sub-2")))


def test_select_says_where_it_looked_when_there_is_nothing(tmp_path):
    with pytest.raises(InputError, match="Looked for: nothing"):
        Toy().select(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        Toy().select(tmp_path / "absent")


def test_selection_refuses_a_single_text_as_list():
    with pytest.raises(InputError, match="allowed: a list"):
        Selection(subjects="sub-1")  # pyright: ignore[reportArgumentType]


def test_selections_match_on_every_level():
    chosen = Selection(subjects=("sub-1",), runs=("run-2",))
    assert [chosen.matches(file(*name)) for name in (("sub-1", "run-2"), ("sub-1", "run-1"), ("sub-2", "run-2"))] == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("name", [*CORPORA, *PUBLISHED_NAMES])
def test_every_corpus_can_be_made_by_name(name):
    pytest.importorskip("h5py")
    corpus = corpus_named(name)
    assert corpus.name == PUBLISHED_NAMES.get(name, name)
    assert hash(corpus) == hash(corpus_named(name))


def test_an_unknown_corpus_or_option_is_refused_with_the_nearest_name():
    with pytest.raises(InputError, match="did you mean 'armeni'"):
        corpus_named("armenia")
    with pytest.raises(InputError, match="no option 'colour'"):
        corpus_named("armeni", {"colour": "red"})
    with pytest.raises(InputError, match="cannot be imported"):
        corpus_named("no_such_module:Thing")


def test_ones_own_corpus_is_found_by_module_and_class():
    assert isinstance(corpus_named(f"{__name__}:Toy"), Toy)


OWN = "from dataclasses import dataclass\nfrom typing import ClassVar\nfrom megxl.corpora.corpus import Corpus\n"
FIND = "    def recordings(self, root):\n        return []\n"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def (", "cannot be imported: SyntaxError: "),
        ("from megxl.corpora.corpus import Corpuss", "cannot be imported: ImportError: "),
        ("1 / 0", "cannot be imported: ZeroDivisionError: division by zero"),
        ("x = 1", "cannot be imported: AttributeError: .*has no attribute 'Lab'"),
        ("class Lab:\n    name = 'lab'", "is no corpus: derive its class from"),
        ("Lab = 3", "is no corpus: derive its class from"),
        (f"{OWN}class Lab(Corpus):\n    name = 'lab'\n{FIND}", "is no dataclass: write @dataclass"),
        (f"{OWN}@dataclass\nclass Lab(Corpus):\n    a: int = 1", "cannot inherit non-frozen dataclass"),
        (f"{OWN}@dataclass(frozen=True)\nclass Lab(Corpus):\n    name: ClassVar[str] = 'lab'", "lacks .*: recordings"),
        (f"{OWN}@dataclass(frozen=True)\nclass Lab(Corpus):\n{FIND}", "needs a name for its folder"),
        (f"{OWN}@dataclass(frozen=True)\nclass Lab(Corpus):\n    name: ClassVar[str] = 'a/b'\n{FIND}", "needs a name"),
        (
            f"{OWN}@dataclass(frozen=True)\nclass Lab(Corpus):\n    name: ClassVar[str] = 'lab'\n    a: int\n{FIND}",
            "The corpus 'lab' needs the option 'a'",
        ),
    ],
)
def test_what_is_wrong_with_ones_own_corpus_is_told_in_a_sentence(tmp_path, monkeypatch, source, said):
    module = f"own_{abs(hash(source))}"
    (tmp_path / f"{module}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=said) as caught:
        corpus_named(f"{module}:Lab")
    assert "\n" not in str(caught.value)


def test_recordings_of_an_unknown_person_are_named_without_one():
    assert file("unknown", "story", task=None).key == "toy/story"
    assert file("unknown", task=None).key == "toy/unknown"


def test_simulated_recordings_have_a_licence_of_their_own(tmp_path):
    real = RecordingFile(corpus="toy", path=tmp_path / "x", root=tmp_path, subject="sub-1")
    corpus = corpus_named("libribrain")
    assert corpus.licence_of(real) == "CC BY-NC 4.0"
    (tmp_path / "ground_truth").mkdir()
    (tmp_path / "ground_truth" / "simulation.json").touch()
    assert corpus.licence_of(real) == "MIT"


def test_natural_order_counts():
    names = [f"run-{number}" for number in range(1, 31)]
    shuffled = random.Random(0).sample(names, len(names))
    assert sorted(shuffled, key=natural) == names


def test_entities_are_read_from_names():
    name = "sub-01_ses-2_task-a_run-03_meg.fif"
    assert [entity(name, key) for key in ("sub", "ses", "task", "run", "acq")] == ["01", "2", "a", "03", None]


@given(
    st.builds(
        Word,
        text=st.text(),
        onset_s=st.floats(-1e3, 1e6),
        duration_s=st.none() | st.floats(0, 10),
        sentence=st.none() | st.text(),
        labels=st.dictionaries(st.text(), st.text() | st.booleans()),
    )
)
def test_words_survive_being_plain_rows(word):
    assert Word.from_row(word.to_row()) == word
