"""Code search, residuals and gradients of the quantizer, against brute force in float64."""

import numpy as np
import pytest
import torch

from megxl.errors import InputError
from megxl.tokenizer.quantizer import Observed, ResidualQuantizer


def quantizer() -> ResidualQuantizer:
    return ResidualQuantizer(levels=3, width=8, code_width=4, codes=16).double()


def brute_force(model: ResidualQuantizer, x_TD: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Codes, vectors and commitment by loops over tokens, levels and codes."""
    codes = np.zeros((len(x_TD), len(model.levels)), dtype=int)
    totals, distances = np.zeros_like(x_TD), np.zeros((len(model.levels), len(x_TD)))
    for t, x in enumerate(x_TD):
        residual = x.copy()
        for q, level in enumerate(model.levels):
            parts = (level.project_in.weight, level.project_in.bias, level.project_out.weight, level.project_out.bias)
            w_in, b_in, w_out, b_out = (part.detach().numpy() for part in parts)
            book, v = level.code_book.numpy(), w_in @ residual + b_in
            cosines = [book[i] @ v / np.linalg.norm(book[i]) / np.linalg.norm(v) for i in range(len(book))]
            codes[t, q] = int(np.argmax(cosines))
            distances[q, t] = ((v - book[codes[t, q]]) ** 2).mean()
            out = w_out @ book[codes[t, q]] + b_out
            residual, totals[t] = residual - out, totals[t] + out
    return codes, totals, distances.mean()


def test_levels_code_the_residual_by_cosine():
    model = quantizer()
    for level in model.levels:
        # unequal lengths tell cosine from inner product and from distance
        level.code_book.mul_(torch.rand(16, 1, dtype=torch.float64) * 5 + 0.1)
    x = torch.randn(1, 40, 8, dtype=torch.float64)
    codes, vectors, commitment = brute_force(model, x[0].numpy())
    result = model(x)
    np.testing.assert_array_equal(result.codes_NTQ[0].numpy(), codes)
    np.testing.assert_array_equal(model.search(x)[0].numpy(), codes)
    np.testing.assert_allclose(result.vectors_NTD[0].detach().numpy(), vectors, rtol=0, atol=1e-12)
    np.testing.assert_allclose(model.decode(result.codes_NTQ)[0].detach().numpy(), vectors, rtol=0, atol=1e-12)
    np.testing.assert_allclose(result.commitment.item(), commitment, rtol=1e-12)


def test_gradients_pass_straight_through_every_level():
    model = quantizer()
    x = torch.randn(1, 5, 8, dtype=torch.float64, requires_grad=True)
    upstream = torch.randn(1, 5, 8, dtype=torch.float64)
    model(x).vectors_NTD.backward(upstream)
    # with codes held, level q sees x minus constants: d vectors / d x = sum of out_q in_q
    jacobian = sum(level.project_out.weight @ level.project_in.weight for level in model.levels)
    torch.testing.assert_close(x.grad, upstream @ jacobian, rtol=0, atol=1e-12)


def test_commitment_moves_the_encoder_and_not_the_code_books():
    model = quantizer()
    x = torch.randn(1, 5, 8, dtype=torch.float64, requires_grad=True)
    books = [level.code_book.clone() for level in model.levels]
    model(x).commitment.backward()
    assert x.grad.abs().sum() > 0
    assert all(torch.equal(book, level.code_book) for book, level in zip(books, model.levels, strict=True))
    first = model.levels[0]
    v = first.project_in(x.detach())
    code = first.code_book[first.search(v)]
    by_hand = 2 * (v - code) / v.numel() / len(model.levels) @ first.project_in.weight
    alone = quantizer()
    alone.load_state_dict(model.state_dict())
    alone.levels = alone.levels[:1]
    single = x.detach().requires_grad_()
    (alone(single).commitment / 3).backward()
    torch.testing.assert_close(single.grad, by_hand, rtol=0, atol=1e-12)


def test_gradients_of_reconstruction_and_commitment_equal_those_written_by_hand():
    model = quantizer()
    x = torch.randn(1, 30, 8, dtype=torch.float64, requires_grad=True)
    upstream = torch.randn(1, 30, 8, dtype=torch.float64)
    result = model(x)
    ((result.vectors_NTD * upstream).sum() + 0.7 * result.commitment).backward()
    residual, dx, g = x.detach().numpy()[0], np.zeros((30, 8)), upstream.numpy()[0]
    for level in model.levels:
        parts = (level.project_in.weight, level.project_in.bias, level.project_out.weight, level.project_out.bias)
        w_in, b_in, w_out, b_out = (part.detach().numpy() for part in parts)
        book, projected = level.code_book.numpy(), residual @ w_in.T + b_in
        code = book[np.argmax(projected @ (book / np.linalg.norm(book, axis=-1, keepdims=True)).T, axis=-1)]
        # straight through: as if the code were the projected input; commitment: mean over 3 levels of 30 x 4 squares
        d_projected = g @ w_out + 0.7 / 3 * 2 * (projected - code) / (30 * 4)
        for weight, expected in zip(
            parts, (d_projected.T @ residual, d_projected.sum(0), g.T @ code, g.sum(0)), strict=True
        ):
            np.testing.assert_allclose(weight.grad.numpy(), expected, rtol=0, atol=1e-12)
        dx += d_projected @ w_in
        residual = residual - (code @ w_out.T + b_out)
    np.testing.assert_allclose(x.grad.numpy()[0], dx, rtol=0, atol=1e-12)


def test_an_observer_is_told_what_each_level_saw_and_changes_nothing():
    model = quantizer()
    x = torch.randn(2, 7, 8, dtype=torch.float64, requires_grad=True)
    before = [buffer.clone() for buffer in model.buffers()]
    seen: list[Observed] = []
    result, alone = model(x, seen.append), model(x)
    residual = x.detach()
    for q, (observed, level) in enumerate(zip(seen, model.levels, strict=True)):
        assert observed.level == q and not observed.inputs_NTK.requires_grad
        torch.testing.assert_close(observed.inputs_NTK, level.project_in(residual), rtol=0, atol=1e-12)
        assert torch.equal(observed.codes_NT, result.codes_NTQ[..., q])
        residual = residual - level.vectors(observed.codes_NT)
    assert all(torch.equal(*pair) for pair in zip(result, alone, strict=True))
    assert all(torch.equal(*pair) for pair in zip(before, model.buffers(), strict=True))


def test_autocast_changes_neither_codes_nor_commitment():
    model = ResidualQuantizer(levels=3, width=8, code_width=4, codes=64)
    x = torch.randn(4, 50, 8).bfloat16().float().requires_grad_()
    plain = model(x)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model(x.bfloat16())
    assert mixed.vectors_NTD.dtype == mixed.commitment.dtype == torch.float32
    assert all(torch.equal(*pair) for pair in zip(plain, mixed, strict=True))


def test_random_code_books_say_that_they_are_not_initialised():
    assert all(level.initialised.item() == 0 and level.counts.sum() == 0 for level in quantizer().levels)


def test_codes_of_more_levels_than_there_are_are_refused():
    model = quantizer()
    codes_NTQ = torch.zeros(1, 5, 4, dtype=torch.long)
    with pytest.raises(InputError, match="4 levels cannot be decoded by 3"):
        model.decode(codes_NTQ)
    assert torch.equal(model.decode(codes_NTQ[..., :1]), model.levels[0].vectors(codes_NTQ[..., 0]))
