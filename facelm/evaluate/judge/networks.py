"""The two networks of a judge's sides: one that pools a sequence into a vector, one that keeps its steps."""

import math

import torch
from torch import Tensor, nn


class Pooled(nn.Module):
    """A transformer over a sequence of any length, pooled into one vector of length 1.

    Positions are sinusoids; what is pooled is the mean and the maximum over the steps that are no padding.
    """

    def __init__(self, width: int, layers: int, heads: int, embedding: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(2 * width, embedding)

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """(B, S, width) and bool (B, S), True where there is something, at least once a row, to (B, embedding)."""
        x = steps + positions(steps.shape[1], steps.shape[2]).to(steps)
        for block in self.blocks:
            x = block(x, mask)
        x = self.norm(x)
        kept = mask[..., None]
        mean = (x * kept).sum(1) / kept.sum(1)
        most = x.masked_fill(~kept, -torch.inf).amax(1)
        return nn.functional.normalize(self.out(torch.cat([mean, most], 1)), dim=1)


class _Block(nn.Module):
    """Attention and a feed-forward layer, each after a norm and beside a shortcut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.qkv = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.feed = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        b, s, width = x.shape
        q, k, v = self.qkv(self.norms[0](x)).view(b, s, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # (B, heads, S, .)
        seen = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None])
        x = x + self.mix(seen.transpose(1, 2).reshape(b, s, width))
        return x + self.feed(self.norms[1](x))


def positions(steps: int, width: int) -> Tensor:
    """Sinusoids (steps, width), of wavelengths from 2 pi to 2,000 pi steps."""
    rates = torch.exp(-math.log(1000.0) * torch.arange(0, width, 2) / width)
    angles = torch.arange(steps)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)[:, :width]


class Tracks(nn.Module):
    """Convolutions that turn a sequence into `tracks` curves over time, and those into one vector of length 1.

    Every curve is centred over the steps that are no padding, so that the inner product of the vectors of a sound and a
    motion is a correlation over time: what counts is that both move together.
    """

    def __init__(self, channels: int, stride: int, width: int, layers: int, tracks: int) -> None:
        """`stride`: samples of the sequence in a step."""
        super().__init__()
        self.start = nn.Conv1d(channels, width, stride, stride)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))
        self.layers = nn.ModuleList(nn.Conv1d(width, width, 3, padding=1) for _ in range(layers))
        self.out = nn.Linear(width, tracks)

    def forward(self, sequence: Tensor, mask: Tensor) -> Tensor:
        """(B, S * stride, channels) and bool (B, S), True where there is something, to (B, S * tracks)."""
        kept = mask[..., None].to(sequence.dtype)
        x = self.start(sequence.transpose(1, 2)).transpose(1, 2) * kept  # (B, S, width)
        for norm, layer in zip(self.norms, self.layers, strict=True):
            seen = layer((norm(x) * kept).transpose(1, 2)).transpose(1, 2)
            x = (x + nn.functional.gelu(seen)) * kept
        curves = self.out(x)
        curves = (curves - (curves * kept).sum(1, keepdim=True) / kept.sum(1, keepdim=True)) * kept
        return nn.functional.normalize(curves.flatten(1), dim=1)
