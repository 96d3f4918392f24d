"""Tiny text models with random weights, saved as `save_pretrained` leaves them, and T5 written out by hand."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor
from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2Model,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
    T5Tokenizer,
)

LETTERS = "abcdefghijklmnopqrstuvwxyz'"
HEADS, HEAD_WIDTH, LAYERS = 4, 8, 3


def save_t5(folder: Path) -> T5ForConditionalGeneration:
    """Encoder and decoder, as the published T5 lies on the hub; some words are one piece, others as many as letters."""
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -2.0), ("▁", -3.0), ("▁the", -2.0), ("▁dog", -2.5)]
    T5Tokenizer(vocab=[*vocab, *((letter, -4.0) for letter in LETTERS)], extra_ids=0).save_pretrained(folder)
    config = T5Config(
        vocab_size=len(vocab) + len(LETTERS),
        d_model=32,
        d_kv=HEAD_WIDTH,
        d_ff=48,
        num_layers=LAYERS,
        num_heads=HEADS,
        feed_forward_proj="relu",
    )
    torch.manual_seed(3)
    model = T5ForConditionalGeneration(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    return model


def t5_states(model: T5ForConditionalGeneration, ids_S: Tensor) -> list[Tensor]:
    """Residual stream of the encoder before the first block and after each, in float64; of at most eight sub-words."""
    state = {name: tensor.double() for name, tensor in model.state_dict().items()}

    def norm(x_SD: Tensor, name: str) -> Tensor:
        return x_SD / (x_SD.square().mean(-1, keepdim=True) + 1e-6).sqrt() * state[f"{name}.weight"]

    x_SD = state["shared.weight"][ids_S]
    places_S = torch.arange(len(ids_S))
    apart_SS = places_S[None] - places_S[:, None]
    assert len(ids_S) <= 8, "farther apart, T5 counts in steps that grow"
    table = state["encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
    bias_HSS = table[apart_SS.abs() + 16 * (apart_SS > 0)].permute(2, 0, 1)
    states = [x_SD]
    for number in range(LAYERS):
        block = f"encoder.block.{number}.layer"
        y_SD = norm(x_SD, f"{block}.0.layer_norm")
        q, k, v = (
            (y_SD @ state[f"{block}.0.SelfAttention.{name}.weight"].T).unflatten(1, (HEADS, -1)).transpose(0, 1)
            for name in "qkv"
        )
        mixed_SD = ((q @ k.mT + bias_HSS).softmax(-1) @ v).transpose(0, 1).flatten(1)  # T5 does not divide by sqrt(K)
        x_SD = x_SD + mixed_SD @ state[f"{block}.0.SelfAttention.o.weight"].T
        y_SD = norm(x_SD, f"{block}.1.layer_norm")
        y_SD = (y_SD @ state[f"{block}.1.DenseReluDense.wi.weight"].T).relu()
        x_SD = x_SD + y_SD @ state[f"{block}.1.DenseReluDense.wo.weight"].T
        states.append(x_SD)
    return [*states[:-1], norm(states[-1], "encoder.final_layer_norm")]


def save_bert(folder: Path) -> None:
    """An encoder with a special token on either side."""
    tokenizer = _letters(["[PAD]", "[CLS]", "[SEP]"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 40}
    BertModel(BertConfig(vocab_size=tokenizer.get_vocab_size(), **sizes)).save_pretrained(folder)


def save_gpt2(folder: Path) -> None:
    """A decoder alone, with no special token and so none to fill up with."""
    tokenizer = _letters([])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    GPT2Model(GPT2Config(vocab_size=tokenizer.get_vocab_size(), n_embd=32, n_layer=2, n_head=4)).save_pretrained(folder)


def _letters(special: list[str]) -> Tokenizer:
    names = [*special, *LETTERS]
    tokenizer = Tokenizer(models.WordLevel({name: number for number, name in enumerate(names)}, unk_token=names[-1]))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return tokenizer
