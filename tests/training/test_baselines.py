"""Guessers: equal to loops over every hidden code, and right where the answer is known."""

import json
import math
from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from megxl.data.batch import Batch
from megxl.errors import InputError
from megxl.training import baselines
from megxl.training.baselines import FOLDS, STRENGTHS, fit_guessers, nearest_visible
from megxl.training.masks import MaskedBatch
from tests.training.small_batches import CORPORA, batch, item


def masked(codes_BCTQ: Tensor, mask_BT: Tensor, *, corpora=None, good_BC=None, repeated_B=None) -> MaskedBatch:
    n_items, n_sensors = codes_BCTQ.shape[:2]
    corpora = corpora or ("armeni",) * n_items
    known: Batch = batch(*[item(number, n_sensors, corpus=corpus) for number, corpus in enumerate(corpora)])
    dtype = torch.uint8 if codes_BCTQ.max() < 256 else torch.int32
    known = replace(known, codes_BCTQ=codes_BCTQ.to(dtype), sensor_mask_BC=good_BC, repeated_B=repeated_B)
    return MaskedBatch(batch=known, mask_BT=mask_BT, seed=0)


def runs(n_items: int, tokens: int, seed: int) -> Tensor:
    """Masks of two runs of three tokens each, at any place; they may meet, or lie at the beginning."""
    generator = torch.Generator().manual_seed(seed)
    mask_BT = torch.zeros(n_items, tokens, dtype=torch.bool)
    for mask_T in mask_BT:
        for start in torch.randint(tokens - 2, (2,), generator=generator).tolist():
            mask_T[start : start + 3] = True
    return mask_BT


def persistent_codes(n_items: int, sensors: int, tokens: int, levels: int, codes: int, seed: int) -> Tensor:
    """Codes that stay as they were three times of four, and are drawn anew otherwise."""
    generator = torch.Generator().manual_seed(seed)
    new = torch.rand(n_items, sensors, tokens, levels, generator=generator) < 0.25
    drawn = torch.randint(codes, new.shape, generator=generator)
    for t in range(1, tokens):
        drawn[:, :, t] = torch.where(new[:, :, t], drawn[:, :, t], drawn[:, :, t - 1])
    return drawn


# ---- the same by loops ----


def slow_pairs(masked: MaskedBatch) -> list[tuple[str, list[tuple[int, int | None, int]]]]:
    """Corpus of each window, and (level, last visible code, hidden code) of each of its hidden codes."""
    windows = []
    for b, corpus in enumerate(masked.batch.corpora):
        if masked.batch.repeated_B is not None and bool(masked.batch.repeated_B[b]):
            continue
        codes, hidden = masked.batch.codes_BCTQ[b].tolist(), masked.mask_BT[b].tolist()
        pairs = []
        for c, rows in enumerate(codes):
            if masked.batch.sensor_mask_BC is not None and not bool(masked.batch.sensor_mask_BC[b, c]):
                continue
            for t in range(len(rows)):
                if hidden[t]:
                    before = [u for u in range(t) if not hidden[u]]
                    after = [u for u in range(t, len(rows)) if not hidden[u]]
                    source = before[-1] if before else after[0] if after else None
                    pairs += [(q, None if source is None else rows[source][q], rows[t][q]) for q in range(len(rows[t]))]
        windows.append((corpus, pairs))
    return windows


class SlowGuesser:
    def __init__(self, pairs, codes: int, strengths) -> None:
        self.codes, self.strengths = codes, strengths
        self.pairs, self.given = Counter(pairs), Counter((q, s) for q, s, _ in pairs)
        self.single, self.total = Counter((q, w) for q, _, w in pairs), Counter(q for q, _, _ in pairs)

    def unigram(self, q, s, w) -> float:
        return (self.single[q, w] + 1) / (self.total[q] + self.codes)

    def last_token(self, q, s, w) -> float:
        strength = self.strengths[q]
        return (self.pairs[q, s, w] + strength * self.unigram(q, s, w)) / (self.given[q, s] + strength)


def slow_strengths(windows, levels: int, codes: int) -> list[float]:
    folds = [
        [pair for number, (_, some) in enumerate(windows) if number % FOLDS == f for pair in some] for f in range(5)
    ]
    best = []
    for level in range(levels):
        scores = []
        for strength in STRENGTHS:
            score = 0.0
            for f, fold in enumerate(folds):
                others = [pair for g, some in enumerate(folds) if g != f for pair in some]
                guesser = SlowGuesser(others, codes, [strength] * levels)
                score += sum(math.log(guesser.last_token(*pair)) for pair in fold if pair[0] == level)
            scores.append(score)
        best.append(STRENGTHS[scores.index(max(scores))])
    return best


def slow_scores(pairs, probability, levels: int, codes: int) -> dict[str, float]:
    losses = [[-math.log(probability(q, s, w)) for q, s, w in pairs if q == level] for level in range(levels)]
    hits = [
        [w == max(range(codes), key=lambda code: probability(q, s, code)) for q, s, w in pairs if q == level]
        for level in range(levels)
    ]
    loss_Q, hit_Q = [sum(some) / len(some) for some in losses], [sum(some) / len(some) for some in hits]
    levelled = {f"loss_level_{q + 1}": loss for q, loss in enumerate(loss_Q)}
    levelled |= {f"accuracy_level_{q + 1}": hit for q, hit in enumerate(hit_Q)}
    return {"loss": sum(loss_Q) / levels, "accuracy": sum(hit_Q) / levels, **levelled}


def test_scores_equal_those_of_loops_over_every_hidden_code():
    levels, codes = 2, 5
    train = [masked(persistent_codes(2, 3, 12, levels, codes, seed), runs(2, 12, seed)) for seed in range(4)]
    good_BC = torch.tensor([[True, False, True], [True, True, True], [True, True, True]])
    mask_BT = runs(3, 12, 10)
    mask_BT[2] = True  # a window that shows nothing
    validation = [
        masked(
            persistent_codes(3, 3, 12, levels, codes, 11),
            mask_BT,
            corpora=("armeni", "camcan", "camcan"),
            good_BC=good_BC,
        ),
        masked(
            persistent_codes(2, 3, 12, levels, codes, 12), runs(2, 12, 13), repeated_B=torch.tensor([False, True])
        ),
    ]  # fmt: skip
    told = fit_guessers(train, levels, codes).score(validation)

    learned = [window for some in train for window in slow_pairs(some)]
    guesser = SlowGuesser([p for _, some in learned for p in some], codes, slow_strengths(learned, levels, codes))
    guessed = [window for some in validation for window in slow_pairs(some)]
    for name, probability in (("unigram", guesser.unigram), ("last_token", guesser.last_token)):
        expected = slow_scores([p for _, some in guessed for p in some], probability, levels, codes)
        for corpus in CORPORA:
            of_corpus = slow_scores([p for c, some in guessed for p in some if c == corpus], probability, levels, codes)
            expected |= {f"{corpus}_{what}": of_corpus[what] for what in ("loss", "accuracy")}
        assert told[name] == pytest.approx(expected, rel=1e-12)
    assert told["scored"]["windows"] == {"armeni": 2, "camcan": 2}
    assert told["scored"]["hidden_tokens"] == {
        corpus: sum(len(some) for c, some in guessed if c == corpus) // levels for corpus in CORPORA
    }
    assert STRENGTHS[0] not in guesser.strengths  # there was a choice to make
    assert json.loads(json.dumps(told)) == told


def test_large_code_books_are_guessed_by_frequency_alone(monkeypatch):
    train, validation = (
        [masked(persistent_codes(2, 3, 30, 2, 300, seed), runs(2, 30, seed)) for seed in seeds]
        for seeds in (range(3), range(3, 6))
    )
    both = fit_guessers(train, 2, 300).score(validation)
    monkeypatch.setattr(baselines, "MOST_PAIRED", 299)
    one = fit_guessers(train, 2, 300).score(validation)
    assert one.pop("last_token", None) is None and both.pop("last_token")["loss"] < both["unigram"]["loss"]
    assert one.pop("unigram") == pytest.approx(both.pop("unigram"), rel=1e-12)
    assert one == both and one["chance"] == math.log(300)


def test_the_largest_code_books_take_little_memory():
    some = [masked(torch.randint(65_536, (1, 2, 30, 2)), runs(1, 30, 0))]
    guessers = fit_guessers(some, 2, 65_536)
    assert guessers.last_token_QSV.shape == (2, 1, 65_536)
    assert guessers.score(some)["unigram"]["loss"] < math.log(65_536)


# ---- what is known ----

LEVELS, CODES, TOKENS = 2, 8, 40


def scored(make, n_train: int = 20) -> dict:
    train = [masked(make(seed), runs(4, TOKENS, seed)) for seed in range(n_train)]
    validation = [masked(make(seed), runs(4, TOKENS, seed)) for seed in range(100, 105)]
    return fit_guessers(train, LEVELS, CODES).score(validation)


def test_codes_that_stay_are_known_from_the_last_token_and_not_from_their_frequency():
    def constant(seed):
        generator = torch.Generator().manual_seed(seed)
        return torch.randint(CODES, (4, 10, 1, LEVELS), generator=generator).expand(-1, -1, TOKENS, -1)

    told = scored(constant)
    assert told["last_token"]["accuracy"] == 1
    assert told["last_token"]["loss"] < 0.01
    assert told["unigram"]["loss"] == pytest.approx(math.log(CODES), abs=0.03)


def test_codes_that_never_stay_are_guessed_by_what_follows_which():
    """Behind each code hides its successor: who says the last token again is never right."""

    def counting(seed):
        generator = torch.Generator().manual_seed(seed)
        first = torch.randint(CODES, (4, 10, 1, LEVELS), generator=generator)
        return (first + torch.arange(TOKENS)[:, None]) % CODES

    def singles(seed):
        mask_BT = torch.zeros(4, TOKENS, dtype=torch.bool)
        mask_BT[:, 1 + seed % 7 :: 4] = True
        return mask_BT

    train = [masked(counting(seed), singles(seed)) for seed in range(10)]
    validation = [masked(counting(seed), singles(seed)) for seed in range(100, 103)]
    for some in validation:
        shown = some.batch.codes_BCTQ.gather(
            2, nearest_visible(some.mask_BT)[:, None, :, None].expand(-1, 10, -1, LEVELS)
        )
        same = (shown == some.batch.codes_BCTQ).permute(0, 2, 1, 3)[some.mask_BT]
        assert not same.any()
    told = fit_guessers(train, LEVELS, CODES).score(validation)
    assert told["last_token"]["accuracy"] == 1
    assert told["last_token"]["loss"] < 0.01
    assert told["unigram"]["accuracy"] < 0.3


def test_nobody_guesses_noise():
    def noise(seed):
        return torch.randint(CODES, (4, 10, TOKENS, LEVELS), generator=torch.Generator().manual_seed(seed))

    told = scored(noise)
    assert told["chance"] == pytest.approx(math.log(CODES), rel=1e-12)
    for name in ("unigram", "last_token"):
        assert told[name]["loss"] == pytest.approx(math.log(CODES), abs=0.01)
        assert told[name]["accuracy"] == pytest.approx(1 / CODES, abs=0.02)


def test_a_loss_is_what_was_never_seen_allows():
    """A code that training never showed costs a finite number of nats."""
    train = [masked(torch.zeros(1, 2, 12, 1), runs(1, 12, 0))]
    told = fit_guessers(train, 1, 4).score([masked(torch.full((1, 2, 12, 1), 3), runs(1, 12, 1))])
    hidden = 2 * int(runs(1, 12, 0).sum())
    assert told["unigram"]["loss"] == pytest.approx(math.log(hidden + 4), rel=1e-12)
    assert math.isfinite(told["last_token"]["loss"])
    assert told["last_token"]["accuracy"] == 0


def test_what_is_visible_is_the_last_before_or_the_first_after():
    hidden = torch.tensor(
        [[1, 1, 0, 1, 1, 0, 0, 1], [0, 1, 1, 1, 0, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1, 1]], dtype=torch.bool
    )
    assert nearest_visible(hidden).tolist() == [[2, 2, 2, 2, 2, 5, 6, 6], [0, 0, 0, 0, 4, 4, 4, 4], [-1] * 8]


def test_the_amounts_that_were_learned_from_are_told():
    train = [
        masked(persistent_codes(2, 3, 12, 2, 5, seed), runs(2, 12, seed), corpora=("armeni", "camcan"))
        for seed in range(3)
    ]
    fitted = fit_guessers(train, 2, 5).fitted
    assert fitted["windows"] == {"armeni": 3, "camcan": 3}
    assert fitted["hidden_tokens"]["camcan"] == 3 * sum(int(runs(2, 12, seed)[1].sum()) for seed in range(3))
    assert all(strength in STRENGTHS for strength in fitted["last_token_strength"])
    assert json.loads(json.dumps(dict(fitted))) == fitted


def test_nothing_hidden_is_refused():
    visible = masked(torch.zeros(1, 2, 12, 1), torch.zeros(1, 12, dtype=torch.bool))
    with pytest.raises(InputError, match="training windows hide no token"):
        fit_guessers([visible], 1, 4)
    with pytest.raises(InputError, match="validation windows hide no token"):
        fit_guessers([masked(torch.zeros(1, 2, 12, 1), runs(1, 12, 0))], 1, 4).score([visible])
