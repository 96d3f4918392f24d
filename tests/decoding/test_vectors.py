import hashlib
import random
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from megxl.decoding.targets import EncoderIdentity
from megxl.decoding.vectors import cache_file, read_vectors, word_vectors
from megxl.errors import InputError

WORDS = ["the", "dog", "saw", "a", "fox", "extraordinarily", "'tis", "über"]


class Letters:
    """An encoder by arithmetic: the digest of the word as numbers. It counts what it is asked for."""

    def __init__(self, revision: str = "1", spoilt: dict[str, float] | None = None) -> None:
        self.identity = EncoderIdentity(model="letters/x", revision=revision, layer=2, pooling="mean")
        self.width, self.asked, self.spoilt = 8, [], spoilt or {}

    def encode(self, words):
        self.asked += words
        rows = torch.stack([vector(word) for word in words])
        for row, word in enumerate(words):
            if word in self.spoilt:
                rows[row] = self.spoilt[word]
        return rows


def vector(word: str) -> torch.Tensor:
    return torch.tensor(list(hashlib.sha256(word.encode()).digest()[:8]), dtype=torch.float32)


def expected(words) -> torch.Tensor:
    return torch.stack([vector(word.lower()) for word in words])


def test_every_word_gets_its_own_vector_whatever_the_order(tmp_path):
    assert torch.equal(word_vectors(WORDS, Letters(), cache=tmp_path), expected(WORDS))
    for seed in range(5):
        mixed = random.Random(seed).choices(WORDS, k=20)
        encoder = Letters()
        assert torch.equal(word_vectors(mixed, encoder, cache=tmp_path, batch_size=3), expected(mixed))
        assert encoder.asked == []


def test_only_new_words_are_computed_and_all_are_kept(tmp_path):
    word_vectors(WORDS[:3], Letters(), cache=tmp_path)
    encoder = Letters()
    assert torch.equal(word_vectors(["Cat", "DOG", "the"], encoder, cache=tmp_path), expected(["cat", "dog", "the"]))
    assert encoder.asked == ["cat"]
    kept = read_vectors(cache_file(tmp_path, encoder.identity), encoder.identity)
    assert sorted(kept) == sorted([*WORDS[:3], "cat"])
    assert all(torch.equal(kept[word], vector(word)) for word in kept)


def test_the_order_of_the_words_does_not_choose_the_batches():
    asked = []
    for seed in range(3):
        encoder = Letters()
        word_vectors(random.Random(seed).sample(WORDS, len(WORDS)), encoder, batch_size=3)
        asked.append(encoder.asked)
    assert asked[0] == asked[1] == asked[2] and len(asked[0]) == len(WORDS)


@pytest.mark.parametrize("part", ["model", "revision", "layer", "pooling"])
def test_another_encoder_never_finds_these_vectors(tmp_path, part):
    first, other = Letters(), Letters()
    other.identity = replace(other.identity, **{part: 3 if part == "layer" else "other"})
    word_vectors(WORDS, first, cache=tmp_path)
    word_vectors(WORDS, other, cache=tmp_path)
    assert len(other.asked) == len(WORDS)
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(InputError, match="does not hold the word vectors that its name says"):
        read_vectors(cache_file(tmp_path, first.identity), other.identity)


def test_what_another_run_added_meanwhile_is_kept(tmp_path):
    encoder = Letters()
    word_vectors(["the"], encoder, cache=tmp_path)

    def other_run(done: int, total: int) -> None:
        word_vectors(["meanwhile"], Letters(), cache=tmp_path)

    word_vectors(["dog"], encoder, cache=tmp_path, progress=other_run)
    assert set(read_vectors(cache_file(tmp_path, encoder.identity), encoder.identity)) == {"the", "meanwhile", "dog"}


def test_progress_is_told_and_an_interruption_loses_nothing(tmp_path):
    told = []

    def stop(done: int, total: int) -> None:
        told.append((done, total))
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        word_vectors(WORDS, Letters(), cache=tmp_path, batch_size=3, progress=stop)
    assert told == [(3, 8), (6, 8)]
    encoder = Letters()
    assert torch.equal(word_vectors(WORDS, encoder, cache=tmp_path), expected(WORDS))
    assert len(encoder.asked) == 2


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0])
def test_vectors_that_mean_nothing_are_refused_and_not_kept(tmp_path, value):
    with pytest.raises(InputError, match=r"letters/x, layer 2: the vector of 1 words is zero or not finite .*'fox'"):
        word_vectors(WORDS, Letters(spoilt={"fox": value}), cache=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_damaged_cache_is_named(tmp_path):
    encoder = Letters()
    word_vectors(WORDS, encoder, cache=tmp_path)
    path = cache_file(tmp_path, encoder.identity)
    content = path.read_bytes()
    path.write_bytes(content[:-5])
    with pytest.raises(InputError, match=r"letters-x-layer2-mean-.*delete it to compute them again"):
        word_vectors(WORDS, Letters(), cache=tmp_path)
    save_file({"vectors_ND": torch.zeros(1, 8)}, path)
    with pytest.raises(InputError, match="delete it"):
        word_vectors(WORDS, Letters(), cache=tmp_path)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    encoder = Letters()
    word_vectors(["the"], encoder, cache=tmp_path)
    before = cache_file(tmp_path, encoder.identity).read_bytes()

    def full_disk(tensors, part, facts):
        part.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr("megxl.decoding.vectors.save_file", full_disk)
    with pytest.raises(OSError, match="No space"):
        word_vectors(["dog"], encoder, cache=tmp_path)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


def test_a_place_that_cannot_be_written_is_refused_before_the_work(tmp_path):
    encoder, place = Letters(), tmp_path / "file"
    place.write_text("")
    with pytest.raises(InputError, match="for word vectors cannot be made"):
        word_vectors(WORDS, encoder, cache=place)
    assert encoder.asked == []


def test_no_words_are_refused():
    with pytest.raises(InputError, match="vocabulary is empty"):
        word_vectors([], Letters())
