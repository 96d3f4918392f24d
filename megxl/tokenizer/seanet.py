"""SEANet: the causal convolutional encoder and decoder of BioCodec, with a recurrent middle.

Letters: N rows (one sensor each), W width (channels of a convolution), T samples or frames.
"""

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm


def pad_reflect(x_NWT: Tensor, left: int, right: int) -> Tensor:
    """Reflect both ends; a signal too short to be reflected is first extended by zeros, which are cut off again."""
    short = max(left, right) - x_NWT.shape[-1] + 1
    if short <= 0:
        return F.pad(x_NWT, (left, right), mode="reflect")
    padded = F.pad(F.pad(x_NWT, (0, short)), (left, right), mode="reflect")
    return padded[..., : padded.shape[-1] - short]


class CausalConv1d(nn.Conv1d):
    """Weight-normalised convolution that looks at the past alone and fills its last stride.

    Gives `ceil(T / stride)` frames for T samples.
    """

    def __init__(self, width_in: int, width_out: int, kernel: int, *, stride: int = 1, dilation: int = 1) -> None:
        super().__init__(width_in, width_out, kernel, stride=stride, dilation=dilation)
        self.past = (kernel - 1) * dilation + 1 - stride
        weight_norm(self)

    def forward(self, x_NWT: Tensor) -> Tensor:
        """Convolve (N, W, T) to (N, W', ceil(T / stride))."""
        stride = self.stride[0]
        missing = -x_NWT.shape[-1] % stride
        return super().forward(pad_reflect(x_NWT, self.past, missing) if self.past or missing else x_NWT)


class CausalConvTranspose1d(nn.ConvTranspose1d):
    """Weight-normalised transposed convolution; what sticks out at the right end is cut, so that nothing is late."""

    def __init__(self, width_in: int, width_out: int, kernel: int, *, stride: int) -> None:
        super().__init__(width_in, width_out, kernel, stride=stride)
        weight_norm(self)

    def forward(self, x_NWT: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Convolve (N, W, T) to (N, W', T * stride)."""
        return super().forward(x_NWT, output_size)[..., : x_NWT.shape[-1] * self.stride[0]]


class ResidualBlock(nn.Module):
    """ELU, dilated convolution, ELU, point-wise convolution; added to the input."""

    def __init__(self, width: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.dilated = CausalConv1d(width, width, kernel, dilation=dilation)
        self.pointwise = CausalConv1d(width, width, 1)

    def forward(self, x_NWT: Tensor) -> Tensor:
        """Keep the shape (N, W, T)."""
        return x_NWT + self.pointwise(F.elu(self.dilated(F.elu(x_NWT))))


class Recurrence(nn.Module):
    """LSTM over time, added to its input."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, width, layers)

    def forward(self, x_NWT: Tensor) -> Tensor:
        """Keep the shape (N, W, T)."""
        x_TNW = x_NWT.permute(2, 0, 1)
        return (self.lstm(x_TNW)[0] + x_TNW).permute(1, 2, 0)


class EncoderStage(nn.Module):
    """Residual blocks of growing dilation, then a strided convolution that doubles the width."""

    def __init__(self, width: int, stride: int, blocks: int, kernel: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(ResidualBlock(width, kernel, 2**b) for b in range(blocks)))
        self.down = CausalConv1d(width, 2 * width, 2 * stride, stride=stride)

    def forward(self, x_NWT: Tensor) -> Tensor:
        """Map (N, W, T) to (N, 2W, ceil(T / stride))."""
        return self.down(F.elu(self.blocks(x_NWT)))


class DecoderStage(nn.Module):
    """A transposed convolution that halves the width, then residual blocks of growing dilation."""

    def __init__(self, width: int, stride: int, blocks: int, kernel: int) -> None:
        super().__init__()
        self.up = CausalConvTranspose1d(width, width // 2, 2 * stride, stride=stride)
        self.blocks = nn.Sequential(*(ResidualBlock(width // 2, kernel, 2**b) for b in range(blocks)))

    def forward(self, x_NWT: Tensor) -> Tensor:
        """Map (N, W, T) to (N, W / 2, T * stride)."""
        return self.blocks(self.up(F.elu(x_NWT)))


class Encoder(nn.Module):
    """From a signal (N, 1, T) to one vector a token (N, width, ceil(T / prod(strides)))."""

    def __init__(
        self, *, filters: int, strides: Sequence[int], blocks: int, kernel: int, lstm_layers: int, width: int
    ) -> None:
        super().__init__()
        self.entry = CausalConv1d(1, filters, kernel)
        self.stages = nn.Sequential(
            *(EncoderStage(filters * 2**s, stride, blocks, kernel) for s, stride in enumerate(strides))
        )
        inner = filters * 2 ** len(strides)
        self.recurrence = Recurrence(inner, lstm_layers)
        self.exit = CausalConv1d(inner, width, kernel)

    def forward(self, x_N1T: Tensor) -> Tensor:
        """Encode; each output vector depends on past and present samples only (save for the reflected start)."""
        return self.exit(F.elu(self.recurrence(self.stages(self.entry(x_N1T)))))


class Decoder(nn.Module):
    """The mirror image: from one vector a token (N, width, T) to a signal (N, 1, T * prod(strides))."""

    def __init__(
        self, *, filters: int, strides: Sequence[int], blocks: int, kernel: int, lstm_layers: int, width: int
    ) -> None:
        super().__init__()
        inner = filters * 2 ** len(strides)
        self.entry = CausalConv1d(width, inner, kernel)
        self.recurrence = Recurrence(inner, lstm_layers)
        self.stages = nn.Sequential(
            *(DecoderStage(inner // 2**s, stride, blocks, kernel) for s, stride in enumerate(reversed(strides)))
        )
        self.exit = CausalConv1d(filters, 1, kernel)

    def forward(self, x_NWT: Tensor) -> Tensor:
        """Decode to a whole number of tokens; the caller cuts to the length of the signal."""
        return self.exit(F.elu(self.stages(self.recurrence(self.entry(x_NWT)))))


def frames(samples: int, strides: Sequence[int]) -> int:
    """Tokens that a signal of so many samples becomes."""
    return math.ceil(samples / math.prod(strides))
