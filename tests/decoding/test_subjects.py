import pytest
import torch

from megxl.decoding.subjects import SubjectEmbedding
from megxl.errors import InputError


def embedding() -> SubjectEmbedding:
    module = SubjectEmbedding(["anna", "bert", "cleo"], 4)
    with torch.no_grad():
        module.vectors_SD.copy_(torch.arange(12.0).reshape(3, 4))
    return module


def test_it_begins_as_if_it_were_not_there():
    words_BWCD = torch.randn(2, 3, 5, 4)
    assert torch.equal(SubjectEmbedding(["anna", "bert"], 4)(words_BWCD, ["bert", "zoe"]), words_BWCD)


def test_each_item_gets_the_vector_of_its_subject_and_an_unseen_one_the_mean():
    added = embedding()(torch.zeros(3, 2, 5, 4), ["cleo", "zoe", "anna"])
    assert torch.equal(added[0], torch.tensor([8.0, 9, 10, 11]).expand(2, 5, 4))
    assert torch.equal(added[1], torch.tensor([4.0, 5, 6, 7]).expand(2, 5, 4))
    assert torch.equal(added[2], torch.tensor([0.0, 1, 2, 3]).expand(2, 5, 4))


def test_only_the_subjects_that_were_there_are_trained():
    module = embedding()
    module(torch.zeros(1, 2, 5, 4), ["bert"]).sum().backward()
    assert module.vectors_SD.grad is not None
    assert module.vectors_SD.grad.any(1).tolist() == [False, True, False]


def test_wrong_numbers_of_subjects_are_refused():
    with pytest.raises(InputError, match="1 subjects were given for 2 items"):
        embedding()(torch.zeros(2, 1, 5, 4), ["anna"])
    with pytest.raises(InputError, match="each once"):
        SubjectEmbedding(["anna", "anna"], 4)
