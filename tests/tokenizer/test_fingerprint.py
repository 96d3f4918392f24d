import copy

import pytest
import torch

from megxl.errors import InputError
from megxl.sizes import BioCodecConfig
from megxl.tokenizer.biocodec import BioCodec
from megxl.tokenizer.fingerprint import codec_fingerprint

SMALL = BioCodecConfig(filters=4, width=16, code_width=4)


@pytest.fixture
def codec() -> BioCodec:
    return BioCodec(SMALL).eval()


def test_a_copy_has_the_same_fingerprint_in_any_mode(codec):
    assert codec_fingerprint(copy.deepcopy(codec).train()) == codec_fingerprint(codec)
    assert len(codec_fingerprint(codec)) == 64


def test_every_single_number_counts(codec):
    before = codec_fingerprint(codec)
    for tensor in codec.state_dict().values():
        flat = tensor.view(-1)
        kept = flat[-1].clone()
        flat[-1] = torch.nextafter(kept, torch.tensor(9.0)) if tensor.is_floating_point() else kept + 1
        assert codec_fingerprint(codec) != before
        flat[-1] = kept
    assert codec_fingerprint(codec) == before


def test_sizes_count_where_weights_do_not_tell(codec):
    other = BioCodec(SMALL)
    other.load_state_dict(codec.state_dict())
    assert codec_fingerprint(other) == codec_fingerprint(codec)
    object.__setattr__(other, "config", copy.copy(SMALL))
    object.__setattr__(other.config, "kernel", 99)
    assert codec_fingerprint(other) != codec_fingerprint(codec)


def test_a_folded_codec_is_refused(codec):
    with pytest.raises(InputError, match="folded"):
        codec_fingerprint(codec.fold_())
