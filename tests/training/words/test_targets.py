"""Targets of words, alone and in context, against vectors encoded one by one."""

import pytest
import torch

from megxl.decoding.in_context import encode_in_context
from megxl.decoding.targets import TransformersEncoder, open_encoder
from megxl.errors import InputError
from megxl.training.words import targets as module
from megxl.training.words.config import WordsConfig
from megxl.training.words.sections import TargetSection
from megxl.training.words.targets import EncodingTold, WordTargets, width_note

pytest.importorskip("transformers")
from tests.decoding.small_text_models import save_t5

GROUPS = [("the", "dog", "saw", "a"), ("a", "fox", "saw", "the"), ("the", "dog", "saw", "the")]
TEXTS = ("the", "dog", "saw", "a", "fox")


@pytest.fixture(scope="module")
def t5(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny-t5"
    save_t5(folder)
    return folder


def section(t5, tmp_path, **options) -> TargetSection:
    return TargetSection(**{"model_name": str(t5), "layer": 2, "cache_dir": str(tmp_path / "cache")} | options)


def make(*arguments, **options) -> WordTargets:
    return WordTargets.make(*arguments, device="cpu", **options)


def test_long_encoding_is_told_every_half_a_minute(monkeypatch):
    now, told = [100.0], []
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    encoding = EncodingTold(told.append)
    for done, now[0] in ((1, 101.0), (2, 129.0), (3, 131.0), (4, 140.0), (5, 162.0)):
        encoding(done, 5)
    assert [note.split()[1] for note in told] == ["3", "5"]


def test_words_alone_are_the_encoder_s_item_after_item(t5, tmp_path):
    told = []
    targets = make(TEXTS, GROUPS, section(t5, tmp_path), progress=lambda done, total: told.append((done, total)))
    words = [("the", "Dog"), ("fox", "the")]
    expected = TransformersEncoder(t5, layer=2).encode(["the", "dog", "fox", "the"])
    torch.testing.assert_close(targets.of(words), expected, rtol=1e-5, atol=1e-5)
    assert targets.width == 32 and targets.identity.context == "none" and told == [(5, 5)]
    assert torch.equal(targets.candidates(["fox", "the"], GROUPS), targets.of([("fox", "the")]))
    again = []
    make(TEXTS, GROUPS, section(t5, tmp_path), progress=lambda done, total: again.append(done))
    assert again == []  # from the cache


def test_the_same_word_has_the_same_number_whatever_the_order(t5, tmp_path):
    targets = make(TEXTS, GROUPS, section(t5, tmp_path))
    numbers = targets.numbers([("the", "dog"), ("THE", "fox")])
    assert numbers.dtype == torch.int64 and numbers[0] == numbers[2] and len(set(numbers.tolist())) == 3
    other = make(tuple(reversed(TEXTS)), GROUPS, section(t5, tmp_path))
    assert torch.equal(other.numbers(GROUPS), targets.numbers(GROUPS))


def test_in_context_a_word_has_the_vector_of_its_place_in_its_group(t5, tmp_path):
    told = []
    targets = make(TEXTS, GROUPS, section(t5, tmp_path, context="group"), progress=lambda *some: told.append(some))
    encoder = TransformersEncoder(t5, layer=2)
    for items in ([GROUPS[1]], [GROUPS[2], GROUPS[0]]):
        expected = torch.cat([encode_in_context(item, encoder) for item in items])
        assert torch.equal(targets.of(items), expected)
    assert torch.equal(targets.of([tuple(map(str.upper, GROUPS[1]))]), targets.of([GROUPS[1]]))
    assert targets.identity.context == "group" and told == [(5, 5), (1, 3), (2, 3), (3, 3)]
    of_the = targets.of([GROUPS[2]])
    assert targets.numbers([GROUPS[2]])[0] == targets.numbers([GROUPS[2]])[3]
    assert not torch.allclose(of_the[0], of_the[3], atol=1e-3)


def test_in_context_candidates_are_means_over_training_occurrences(t5, tmp_path):
    targets = make(TEXTS, GROUPS, section(t5, tmp_path, context="group"))
    encoder = TransformersEncoder(t5, layer=2)
    train = [GROUPS[0], GROUPS[2], GROUPS[0]]  # the same text for two listeners counts twice
    candidates_VE = targets.candidates(["saw", "fox", "the"], train)
    occurrences = {word: [] for word in TEXTS}
    for group in train:
        for word, vector in zip(group, encode_in_context(group, encoder), strict=True):
            occurrences[word].append(vector.double())
    for row, word in ((0, "saw"), (2, "the")):
        expected = torch.stack(occurrences[word]).mean(0).float()
        torch.testing.assert_close(candidates_VE[row], expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(candidates_VE[1], encoder.encode(["fox"])[0], rtol=1e-5, atol=1e-5)
    assert targets.notes == [
        "1 words of the vocabulary do not occur in the training part (first: 'fox'): as candidates they have the "
        "vectors of words alone."
    ]


def test_what_was_not_encoded_is_refused(t5, tmp_path):
    alone, in_context = (make(TEXTS, GROUPS, section(t5, tmp_path, context=context)) for context in ("none", "group"))
    with pytest.raises(InputError, match=r"1 words were not encoded \(first: 'gazelle'\)"):
        alone.of([("the", "gazelle")])
    with pytest.raises(
        InputError, match=r"The group 'the dog' was not encoded; targets in context are of whole groups"
    ):
        in_context.of([("the", "dog")])


@pytest.mark.parametrize("context", ["none", "group"])
def test_a_vector_that_is_not_finite_is_refused(t5, tmp_path, monkeypatch, context):
    states = TransformersEncoder.states

    def spoilt(self, ids):
        result = states(self, ids)
        result[:, 0] = torch.nan
        return result

    monkeypatch.setattr(TransformersEncoder, "states", spoilt)
    with pytest.raises(InputError, match=r"tiny-t5, layer 2: the vector of \d words is zero or not finite"):
        make(TEXTS, GROUPS, section(t5, tmp_path, context=context))


def test_wordllama_works_offline_and_has_no_context(tmp_path):
    pytest.importorskip("wordllama")
    targets = make(TEXTS, GROUPS, section("wordllama", tmp_path))
    assert torch.equal(targets.of([("fox", "a")]), open_encoder("wordllama").encode(["fox", "a"]))
    assert targets.width == 256
    with pytest.raises(InputError, match=r"'wordllama' gives a word the same vector in every text"):
        make(TEXTS, GROUPS, section("wordllama", tmp_path, context="group"))


def test_a_model_that_cannot_be_fetched_names_the_offline_choice(t5, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"cannot be loaded .*; without a network 'wordllama' works"):
        make(TEXTS, GROUPS, section(tmp_path / "empty", tmp_path))


@pytest.mark.parametrize(("command", "key"), [("finetune", "word_mlp"), ("probe", "linear_probe")])
def test_another_width_in_the_configuration_is_a_note(command, key):
    def config(**sizes) -> WordsConfig:
        return WordsConfig.from_dict({"command": command, "data": {"dataset_type": "armeni"}, "model": sizes})

    assert width_note(256, config()) is width_note(256, config(**{key: {"embed_dim": 256}})) is None
    note = width_note(256, config(**{key: {"embed_dim": 1024}}))
    assert note == f"model.{key}.embed_dim = 1024 is not used: the vectors of t5-large have 256 numbers."
