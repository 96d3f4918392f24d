import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from megxl.decoding.targets import TransformersEncoder, WordLlamaEncoder, open_encoder
from megxl.errors import InputError

pytest.importorskip("transformers")
from tests.decoding.small_text_models import LAYERS, save_bert, save_gpt2, save_t5, t5_states

WORDS = ["the", "dog", "a", "fox's", "gazelle", "the"]
PIECES = {"the": [4], "dog": [5], "a": [3, 6], "fox's": [3, 11, 20, 29, 32, 24]}

needs_wordllama = pytest.mark.skipif(find_spec("wordllama") is None, reason="needs the package wordllama")


@pytest.fixture(scope="module")
def t5(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny-t5"
    return folder, save_t5(folder)


@pytest.mark.parametrize("layer", range(LAYERS + 1))
def test_t5_is_the_mean_over_subwords_of_the_stream_after_a_block(t5, layer):
    folder, model = t5
    vectors_ND = TransformersEncoder(folder, layer=layer).encode(list(PIECES))
    for vector_D, pieces in zip(vectors_ND, PIECES.values(), strict=True):
        expected_D = t5_states(model, torch.tensor([*pieces, 1]))[layer][:-1].mean(0)
        torch.testing.assert_close(vector_D.double(), expected_D, rtol=1e-5, atol=1e-5)


def test_only_the_last_layer_of_t5_is_normalised(t5):
    before = [TransformersEncoder(t5[0], layer=layer).encode(WORDS) for layer in (LAYERS - 1, LAYERS)]
    for layer, factor, vectors_ND in ((LAYERS - 1, 1, before[0]), (-1, 2, before[1])):
        encoder = TransformersEncoder(t5[0], layer=layer)
        encoder._network.encoder.final_layer_norm.weight.data.mul_(2)
        torch.testing.assert_close(encoder.encode(WORDS), factor * vectors_ND)
    assert encoder.identity.layer == LAYERS


@pytest.mark.parametrize("save", [save_t5, save_bert, save_gpt2])
@pytest.mark.parametrize("pooling", ["mean", "first", "last"])
def test_words_together_equal_words_one_by_one(tmp_path, save, pooling):
    save(tmp_path)
    encoder = TransformersEncoder(tmp_path, layer=2, pooling=pooling)
    together = encoder.encode(WORDS)
    alone = torch.cat([encoder.encode([word]) for word in WORDS])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)
    assert together.shape == (len(WORDS), encoder.width) == (len(WORDS), 32)
    assert not torch.allclose(together[0], together[1], atol=1e-3)


def test_special_tokens_are_no_part_of_a_word(tmp_path):
    save_bert(tmp_path)
    vectors = {}
    for pooling in ("mean", "first", "last"):
        encoder = TransformersEncoder(tmp_path, layer=1, pooling=pooling)
        vectors[pooling] = encoder.encode(["dog"])[0]
    ids = encoder.tokenizer("dog")["input_ids"]
    assert encoder.tokenizer.convert_ids_to_tokens(ids) == ["[CLS]", "d", "o", "g", "[SEP]"]
    with torch.no_grad():
        states_SD = encoder._network(torch.tensor([ids]), output_hidden_states=True).hidden_states[1][0]
    torch.testing.assert_close(vectors["first"], states_SD[1])
    torch.testing.assert_close(vectors["last"], states_SD[3])
    torch.testing.assert_close(vectors["mean"], states_SD[1:4].mean(0))


def test_a_word_without_a_subword_is_refused_by_name(t5):
    with pytest.raises(InputError, match=r"2 words have no sub-word in .*tiny-t5.*\(' ', ''\)"):
        TransformersEncoder(t5[0], layer=1).encode(["the", " ", "dog", ""])


def test_vectors_serve_as_targets_of_a_loss(t5):
    vectors_ND = TransformersEncoder(t5[0], layer=1).encode(["the", "dog"])
    predicted_ND = torch.randn(2, 32, requires_grad=True)
    (predicted_ND * vectors_ND).sum().backward()
    assert torch.equal(predicted_ND.grad, vectors_ND)
    assert vectors_ND.dtype == torch.float32 and not vectors_ND.requires_grad


def test_identity_goes_with_what_is_in_the_folder_not_with_its_place(t5, tmp_path):
    moved = tmp_path / "elsewhere" / "tiny-t5"
    shutil.copytree(t5[0], moved)
    first = TransformersEncoder(t5[0], layer=2).identity
    assert TransformersEncoder(moved, layer=2).identity == first
    assert TransformersEncoder(moved, layer=1).identity != first
    assert TransformersEncoder(moved, layer=2, pooling="last").identity != first
    weights = load_file(moved / "model.safetensors")
    weights["shared.weight"][7, 3] += 1e-3
    save_file(weights, moved / "model.safetensors", {"format": "pt"})
    assert TransformersEncoder(moved, layer=2).identity.revision != first.revision


def test_weights_that_lack_something_are_refused_rather_than_drawn(t5, tmp_path):
    folder = shutil.copytree(t5[0], tmp_path / "tiny-t5")
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.block.1.layer.0.SelfAttention.q.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"lack 1 tensors \(first: encoder.block.1.layer.0.SelfAttention.q.weight\)"):
        TransformersEncoder(folder, layer=2).encode(["the"])


def test_weights_of_another_size_are_refused(t5, tmp_path):
    folder = shutil.copytree(t5[0], tmp_path / "tiny-t5")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"d_ff": 64}))
    with pytest.raises(InputError, match="tiny-t5' cannot be loaded"):
        TransformersEncoder(folder, layer=2).encode(["the"])


@pytest.mark.parametrize("layer", [-2, LAYERS + 1, True, 1.0])
def test_a_layer_that_is_not_there_is_refused(t5, layer):
    with pytest.raises(InputError, match=rf"layer = {layer}; .* has the layers 0 \(sub-words\) to {LAYERS}"):
        TransformersEncoder(t5[0], layer=layer)


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"cannot be loaded .* 'wordllama' works"):
        TransformersEncoder(tmp_path, layer=1)
    with pytest.raises(InputError, match="pooling = 'max'; allowed: mean, first, last"):
        TransformersEncoder(tmp_path, pooling="max")


@pytest.mark.slow
def test_a_branch_on_the_hub_is_kept_as_the_commit_that_it_was(t5, tmp_path):
    """The hub's own cache stands in for the hub."""
    commit, repository = "0123456789abcdef" * 2 + "01234567", tmp_path / "hub" / "models--some--t5"
    shutil.copytree(t5[0], repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    program = (
        "from megxl.decoding.targets import TransformersEncoder as E; e = E('some/t5', layer=1)\n"
        "print(e.identity.to_json(), e.encode(['dog']).shape)"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / "hub")}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert f'"model": "some/t5", "pooling": "mean", "revision": "{commit}"' in done.stdout
    assert "torch.Size([1, 32])" in done.stdout


@needs_wordllama
def test_wordllama_is_the_mean_of_the_rows_in_its_package():
    import wordllama
    from tokenizers import Tokenizer

    folder = Path(wordllama.__file__).parent
    table_VD = load_file(folder / "weights" / "l2_supercat_256.safetensors")["embedding.weight"].float()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizers" / "l2_supercat_tokenizer_config.json"))
    words = ["dog", "extraordinarily", "it's", "dog"]
    encoder = open_encoder("wordllama")
    vectors_ND = encoder.encode(words)
    assert vectors_ND.shape == (4, encoder.width) == (4, 256)
    for word, vector_D in zip(words, vectors_ND, strict=True):
        pieces = tokenizer.encode(word, add_special_tokens=False).ids
        torch.testing.assert_close(vector_D, table_VD[pieces].mean(0), rtol=1e-5, atol=1e-6)
    assert len(tokenizer.encode("extraordinarily", add_special_tokens=False).ids) > 1


@needs_wordllama
def test_wordllama_refuses_a_word_without_a_piece():
    with pytest.raises(InputError, match=r"1 words have no sub-word in wordllama .*\(''\)"):
        WordLlamaEncoder().encode(["dog", ""])


@pytest.mark.parametrize(("package", "name"), [("wordllama", "wordllama"), ("transformers", "t5-large")])
def test_a_package_that_is_missing_is_named(monkeypatch, package, name):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match="pip install"):
        open_encoder(name)
