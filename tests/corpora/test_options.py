"""Options arrive as text, numbers or lists and become what their fields hold, or are refused by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from megxl.corpora.camcan import CamCAN
from megxl.corpora.corpus import Corpus, corpus_named
from megxl.errors import InputError


@dataclass(frozen=True)
class Optional(Corpus):
    """A corpus with an option of each kind."""

    name: ClassVar[str] = "optional"
    truth: bool = False
    count: int = 1
    share: float = 0.5
    label: str = "a"
    maybe: str | None = "b"
    codes: tuple[int, ...] = ()
    texts: Sequence[str] = ()
    rule: Mapping[str, str | Sequence[str]] = field(default_factory=dict, hash=False)
    other: object = None

    def recordings(self, root):
        return []


PLACE = f"{__name__}:Optional"


@pytest.mark.parametrize(
    ("name", "given", "held"),
    [
        ("truth", "False", False),
        ("truth", "no", False),
        ("truth", 0, False),
        ("truth", "YES", True),
        ("truth", 1, True),
        ("count", "12", 12),
        ("count", 3.0, 3),
        ("share", "0,04", 0.04),
        ("share", 2, 2.0),
        ("label", 1, "1"),
        ("label", "null", "null"),
        ("maybe", "null", None),
        ("maybe", "", None),
        ("maybe", None, None),
        ("codes", "1,2", (1, 2)),
        ("codes", "1 2", (1, 2)),
        ("codes", 7, (7,)),
        ("codes", [1, "2"], (1, 2)),
        ("texts", "a b, c", ("a b", "c")),
        ("texts", 1, ("1",)),
        ("texts", "", ()),
        ("rule", {"trial_type": 1}, {"trial_type": "1"}),
        ("rule", {"trial_type": ["a", 2]}, {"trial_type": ("a", "2")}),
        ("rule", "trial_type:word,noun", {"trial_type": "word,noun"}),
        ("other", [1], [1]),
    ],
)
def test_values_are_converted_by_the_annotation(name, given, held):
    found = getattr(corpus_named(PLACE, {name: given}), name)
    assert found == held and type(found) is type(held)


@pytest.mark.parametrize(
    ("name", "given", "allowed"),
    [
        ("truth", "maybe", "yes, no"),
        ("truth", None, "yes, no"),
        ("count", 1.5, "whole numbers"),
        ("count", True, "whole numbers"),
        ("share", None, "a number"),
        ("share", "35ms", "a number"),
        ("share", "nan", "a number"),
        ("label", None, "text"),
        ("label", ["a"], "text"),
        ("maybe", {"a": 1}, "text, or nothing"),
        ("codes", "1,x", "whole numbers"),
        ("codes", None, "a list"),
        ("rule", "word", "NAME:VALUE"),
        ("rule", 3, "NAME:VALUE"),
    ],
)
def test_what_a_field_cannot_hold_is_refused_in_a_sentence(name, given, allowed):
    with pytest.raises(InputError, match=rf"^{name} = .*; allowed: {allowed}.*\.$"):
        corpus_named(PLACE, {name: given})


@pytest.mark.parametrize(
    ("corpus", "options"),
    [
        ("bids", {"words_where": 3, "words_column": "a"}),
        ("files", {"audio_delay_s": None}),
        ("camcan", {"allow_maxshield": "perhaps"}),
        ("smn4lang", {"allow_maxshield": "perhaps"}),
    ],
)
def test_options_of_real_corpora_are_refused_by_name(corpus, options):
    with pytest.raises(InputError, match=f"^{next(iter(options))} = "):
        corpus_named(corpus, options)


@pytest.mark.parametrize("corpus", ["camcan", "smn4lang", "bids", "files"])
def test_no_means_no_in_every_corpus_of_fif_files(corpus):
    for text in ("False", "no", "0"):
        assert corpus_named(corpus, {"allow_maxshield": text}).allow_maxshield is False


def test_options_given_in_python_are_converted_too():
    assert CamCAN(allow_maxshield="no") == CamCAN()  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True)
class Hidden(Optional):
    thing: "OfNoModule" = None  # noqa: F821  # pyright: ignore


def test_a_type_that_cannot_be_looked_up_is_told():
    with pytest.raises(InputError, match=r"options of Hidden cannot be told \(name 'OfNoModule' is not defined\)"):
        Hidden()
