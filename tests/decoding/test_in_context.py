"""Words in the text of their group, against states computed by hand and against alignment by offsets."""

import random
from dataclasses import replace

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from tokenizers.decoders import ByteLevel

from megxl.decoding.in_context import context_identity, context_vectors, encode_in_context
from megxl.decoding.targets import TransformersEncoder, open_encoder
from megxl.errors import InputError

pytest.importorskip("transformers")
from transformers import GPT2Config, GPT2Model, PreTrainedTokenizerFast

from tests.decoding.small_text_models import LAYERS, save_bert, save_t5, t5_states

TEXT = ("the", "dog", "saw", "a", "fox's", "dog", "the", "gazelle")


@pytest.fixture(scope="module")
def t5(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny-t5"
    return folder, save_t5(folder)


def save_byte_level(folder) -> None:
    """A tokenizer that keeps the blank in front of a word in its first sub-word, as GPT-2's and RoBERTa's."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("Ġ", "d"), ("d", "o"), ("Ġ", "t"), ("t", "h"), ("Ġt", "h"), ("th", "e"), ("Ġth", "e")]
    names = [*alphabet, *("".join(pair) for pair in merges)]
    tokenizer = Tokenizer(models.BPE(vocab={name: number for number, name in enumerate(names)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    GPT2Model(GPT2Config(vocab_size=len(names), n_embd=32, n_layer=2, n_head=4)).save_pretrained(folder)


def save_sentencepiece(folder) -> None:
    """A tokenizer of the package sentencepiece, which knows no offsets."""
    sentencepiece = pytest.importorskip("sentencepiece")
    from transformers import BertGenerationConfig, BertGenerationEncoder, BertGenerationTokenizer

    rng = random.Random(0)
    lines = [" ".join(rng.choices(TEXT[:5], k=12)) for _ in range(300)]
    lines += ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=5)) for _ in range(200)]
    folder.mkdir(exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=str(folder / "pieces"), vocab_size=50, minloglevel=2,
        hard_vocab_limit=False,
    )  # fmt: skip
    tokenizer = BertGenerationTokenizer(str(folder / "pieces.model"))
    tokenizer.save_pretrained(folder)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 40}
    BertGenerationEncoder(BertGenerationConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder)


def by_offsets(encoder, words) -> torch.Tensor:
    """Mean over the tokens of the whole text that overlap a word, by the tokenizer's own offsets."""
    text, start, spans = " ".join(words), 0, []
    for word in words:
        spans.append((start, start + len(word)))
        start += len(word) + 1
    told = encoder.tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True)
    with torch.no_grad():
        states = encoder._network(torch.tensor([told["input_ids"]]), output_hidden_states=True).hidden_states
    rows = []
    for begin, end in spans:
        own = [
            number
            for number, ((first, last), special) in enumerate(
                zip(told["offset_mapping"], told["special_tokens_mask"], strict=True)
            )
            if not special and max(first, begin) < min(max(last, first + 1), end)
        ]
        rows.append(states[encoder.layer][0, own].mean(0))
    return torch.stack(rows)


@pytest.mark.parametrize("layer", range(LAYERS + 1))
def test_t5_is_the_mean_over_a_word_s_own_subwords_of_the_stream_of_the_text(t5, layer):
    folder, model = t5
    states_SD = t5_states(model, torch.tensor([4, 5, 3, 6, 4, 1]))[layer]  # ▁the ▁dog ▁ a ▁the </s>
    expected = torch.stack([states_SD[0], states_SD[1], states_SD[2:4].mean(0), states_SD[4]])
    vectors_WD = encode_in_context(["the", "dog", "a", "the"], TransformersEncoder(folder, layer=layer))
    torch.testing.assert_close(vectors_WD.double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("save", [save_bert, save_byte_level])
def test_words_are_aligned_as_offsets_say(tmp_path, save):
    save(tmp_path)
    encoder = TransformersEncoder(tmp_path, layer=2)
    words = [word.replace("'s", "") for word in TEXT]
    torch.testing.assert_close(encode_in_context(words, encoder), by_offsets(encoder, words), rtol=1e-5, atol=1e-5)


def test_a_tokenizer_without_offsets_is_aligned_by_its_marks_of_a_blank(tmp_path):
    save_sentencepiece(tmp_path)
    encoder = TransformersEncoder(tmp_path, layer=1)
    assert not encoder.tokenizer.is_fast
    words = [*TEXT, "ßtrange"]  # its first letter is unknown
    ids = encoder.tokenizer(" ".join(words))["input_ids"]
    names = encoder.tokenizer.convert_ids_to_tokens(ids)
    word_S = torch.tensor([name.startswith("▁") for name in names]).cumsum(0) - 1
    assert word_S[-1] + 1 == len(words) < len(ids)
    with torch.no_grad():
        states_SD = encoder._network(torch.tensor([ids]), output_hidden_states=True).hidden_states[1][0]
    expected = torch.stack([states_SD[word_S == number].mean(0) for number in range(len(words))])
    torch.testing.assert_close(encode_in_context(words, encoder), expected, rtol=1e-5, atol=1e-5)


def test_only_the_embedding_of_subwords_knows_no_context(t5):
    for layer, same in ((0, True), (1, False)):
        encoder = TransformersEncoder(t5[0], layer=layer)
        alone_WD, vectors_WD = encoder.encode(list(TEXT)), encode_in_context(TEXT, encoder)
        assert torch.allclose(alone_WD, vectors_WD, atol=1e-5) == same
        assert torch.allclose(vectors_WD[1], vectors_WD[5], atol=1e-5) == same


@pytest.mark.parametrize("pooling", ["first", "last"])
def test_pooling_takes_the_first_or_last_subword(t5, pooling):
    folder, model = t5
    states_SD = t5_states(model, torch.tensor([4, 3, 6, 5, 1]))[2]
    vectors_WD = encode_in_context(["the", "a", "dog"], TransformersEncoder(folder, layer=2, pooling=pooling))
    expected_D = states_SD[1 if pooling == "first" else 2]
    torch.testing.assert_close(vectors_WD[1].double(), expected_D, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("longest", [8, 9, 13, 24])
def test_a_long_text_is_read_in_pieces_each_subword_far_from_a_cut(t5, longest):
    encoder = TransformersEncoder(t5[0], layer=2)
    words = ("gazelle", "dog", "saw", "the", "fox's", "a", "the", "dog")
    ids_S = encoder.tokens([" ".join(words)])[0][0][:-1]  # without </s>
    lengths = [len(ids) - 1 for ids in encoder.tokens(words)[0]]
    encoder.tokenizer.model_max_length = longest
    room, length = longest - 1, len(ids_S)
    starts = [start for start in range(0, length, room // 2) if start + room < length] + [max(length - room, 0)]
    best: dict[int, tuple[float, torch.Tensor]] = {}
    for start in starts:
        piece = torch.cat([ids_S[start : start + room], torch.tensor([1])])
        with torch.no_grad():
            states_SD = encoder._network(piece[None], output_hidden_states=True).hidden_states[2][0]
        stop = min(start + room, length)
        for place in range(start, stop):
            far = min(place - start if start else 99, stop - 1 - place if stop < length else 99)
            if place not in best or far > best[place][0]:
                best[place] = (far, states_SD[place - start])
    parts = torch.stack([best[place][1] for place in range(length)]).split(lengths)
    expected = torch.stack([part.mean(0) for part in parts])
    assert len(starts) > 1 and min(far for far, _ in best.values()) >= (room - 1) // 4
    torch.testing.assert_close(encode_in_context(words, encoder), expected, rtol=1e-5, atol=1e-5)


def test_a_text_has_the_same_vectors_to_the_bit_whatever_else_is_encoded(t5):
    encoder = TransformersEncoder(t5[0], layer=2)
    alone = context_vectors([TEXT], encoder)
    among = context_vectors([("a", "dog"), tuple(map(str.upper, TEXT)), ("the",)], encoder)
    assert set(among) == {TEXT, ("a", "dog"), ("the",)}
    assert torch.equal(among[TEXT], alone[TEXT])


def test_the_cache_gives_every_text_its_own_words_vectors(t5, tmp_path, monkeypatch):
    encoder = TransformersEncoder(t5[0], layer=2)
    texts = [tuple(random.Random(seed).choices(TEXT, k=4 + seed)) for seed in range(7)]
    fresh = {text: encode_in_context(text, encoder) for text in texts}
    told = []
    context_vectors(
        texts[:5], encoder, cache=tmp_path, at_once=2, progress=lambda done, total: told.append((done, total))
    )
    assert told == [(number, 5) for number in range(1, 6)]
    asked = []

    def counted(text, encoder):
        asked.append(text)
        return encode_in_context(text, encoder)

    monkeypatch.setattr("megxl.decoding.in_context.encode_in_context", counted)
    for cached in (context_vectors(texts, encoder, cache=tmp_path), context_vectors(texts, encoder, cache=tmp_path)):
        assert all(torch.equal(cached[text], fresh[text]) for text in texts)
    assert sorted(asked) == sorted(texts[5:])
    other = TransformersEncoder(t5[0], layer=1)
    assert not torch.allclose(context_vectors(texts[:1], other, cache=tmp_path)[texts[0]], fresh[texts[0]])


def test_an_interruption_keeps_what_was_computed_and_damage_is_named(t5, tmp_path):
    encoder = TransformersEncoder(t5[0], layer=1)

    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        context_vectors([("a", "dog"), ("the", "dog"), ("the", "fox")], encoder, cache=tmp_path, progress=stop)
    told = []
    context_vectors([("a", "dog"), ("the", "dog"), ("the", "fox")], encoder, cache=tmp_path,
                    progress=lambda done, total: told.append(total))  # fmt: skip
    assert told == [1]
    path = next(tmp_path.rglob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(InputError, match=r"cannot be read as word vectors .* delete it to compute them again"):
        context_vectors([("a", "dog")], encoder, cache=tmp_path)


def test_identity_says_that_there_is_a_context(t5):
    encoder = TransformersEncoder(t5[0], layer=1)
    assert encoder.identity.context == "none"
    assert context_identity(encoder) == replace(encoder.identity, context="group")


def test_words_without_a_subword_or_a_finite_vector_are_refused_by_name(t5, tmp_path):
    encoder = TransformersEncoder(t5[0], layer=1)
    with pytest.raises(InputError, match=r"1 words have no sub-word in tiny-t5 .*\(' '\)"):
        context_vectors([("the", " ", "dog")], encoder)
    encoder._network.encoder.embed_tokens.weight.data[5] = torch.nan
    with pytest.raises(InputError, match=r"tiny-t5, layer 1: the vector of 2 words is zero or not finite"):
        context_vectors([("the", "dog")], encoder, cache=tmp_path)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_blank_alone_is_no_word(tmp_path):
    save_byte_level(tmp_path)
    with pytest.raises(InputError, match=r"1 words have no sub-word in .* \(''\)"):
        encode_in_context(("the", "", "dog"), TransformersEncoder(tmp_path, layer=1))


def test_an_encoder_without_context_is_refused():
    pytest.importorskip("wordllama")
    with pytest.raises(InputError, match=r"'wordllama' gives a word the same vector in every text.*t5.context=none"):
        context_vectors([("the", "dog")], open_encoder("wordllama"))
