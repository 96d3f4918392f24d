"""BioCodec under its published name (alias of `megxl.BioCodec`)."""

from torch import Tensor

from brainstorm._released import Released
from megxl.tokenizer.biocodec import BioCodec, CodecOutput


class BioCodecModel(Released):
    """The codec; its state has the released key names."""

    module: BioCodec

    def __init__(self, module: BioCodec | None = None) -> None:
        super().__init__(module or BioCodec())

    @classmethod
    def _get_optimized_model(cls) -> "BioCodecModel":
        """Codec of the published sizes, with random weights."""
        return cls()

    def forward(self, x_N1T: Tensor) -> CodecOutput:
        """See `megxl.BioCodec.forward`."""
        return self.module(x_N1T)

    def encode(self, x_N1T: Tensor) -> tuple[Tensor, Tensor]:
        """See `megxl.BioCodec.encode`."""
        return self.module.encode(x_N1T)

    def decode(self, codes_NQT: Tensor, scale_N: Tensor | None = None, length: int | None = None) -> Tensor:
        """See `megxl.BioCodec.decode`."""
        return self.module.decode(codes_NQT, scale_N, length)
