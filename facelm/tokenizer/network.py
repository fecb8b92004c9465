"""The network of one stream: a vector-quantized 1D convolutional autoencoder that never moves the rest pose.

It has a linear path beside its convolutions. At the start the linear path multiplies a step's frames with the root of a
metric on the rig (`facelm.tokenizer.start`), the convolutions add nothing and the codebook is k-means in that metric;
training earns its place above that. No layer has a bias and code 0 is pinned to zero: rest in, code 0, rest out.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from vector_quantize_pytorch import VectorQuantize

from facelm.tokenizer.config import TokenizerConfig

REST_RADIUS = 0.05  # latents shorter than this count as rest while training: they neither move nor revive codes


class StreamOutput(NamedTuple):
    """What a stream's network says of a batch: motion (B, S * downsample, C), codes (B, S), commitment loss."""

    motion: Tensor
    codes: Tensor
    commitment: Tensor


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.wide = nn.Conv1d(width, width, 3, padding=1, bias=False)
        self.narrow = nn.Conv1d(width, width, 1, bias=False)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return x + self.narrow(functional.silu(self.wide(functional.silu(x)))) * mask


class _Path(nn.Module):
    """A linear convolution over three steps plus residual convolutions that start at zero. (B, D, S) to (B, D, S)."""

    def __init__(self, size: int, width: int, blocks: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(size, size, 3, padding=1, bias=False)
        self.into = nn.Conv1d(size, width, 3, padding=1, bias=False)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(blocks))
        self.out = nn.Conv1d(width, size, 1, bias=False)
        self.reach = 1 + blocks  # steps seen to either side
        nn.init.zeros_(self.out.weight)
        self.start(torch.eye(size))

    @torch.no_grad()
    def start(self, matrix: Tensor) -> None:
        """Makes the linear path multiply each step (rows) with `matrix` (D, D)."""
        self.linear.weight.zero_()
        self.linear.weight[:, :, 1] = matrix.T

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = x * mask
        h = self.into(x) * mask
        for block in self.blocks:
            h = block(h, mask)
        return (self.linear(x) + self.out(functional.silu(h))) * mask


class StreamNetwork(nn.Module):
    """Encoder, codebook and decoder of one stream (or of several that share it).

    Args:
        channels: Number of channels C.
        codes: Codebook size.
        config: Sizes of the networks.
    """

    scale: Tensor

    def __init__(self, channels: int, codes: int, config: TokenizerConfig) -> None:
        super().__init__()
        self.channels, self.downsample = channels, config.downsample
        size = channels * config.downsample
        self.register_buffer("scale", torch.ones(channels))
        self.encoder = _Path(size, config.width, config.encoder_blocks)
        self.quantizer = VectorQuantize(
            dim=size,
            codebook_size=codes,
            decay=0.99,
            threshold_ema_dead_code=0.02,
            commitment_weight=1.0,
            rotation_trick=True,
        )
        self.decoder = _Path(size, config.width, config.decoder_blocks)

    def latents(self, values: Tensor, mask: Tensor) -> Tensor:
        """(B, S * downsample, C) in the layout's units and (B, S) to (B, S, D)."""
        steps = (values / self.scale).reshape(len(values), -1, self.downsample * self.channels)
        return self.encoder(steps.transpose(1, 2), mask[:, None].to(values.dtype)).transpose(1, 2)

    def motion(self, latents: Tensor, mask: Tensor) -> Tensor:
        """(B, S, D) and (B, S) to (B, S * downsample, C) in the layout's units."""
        steps = self.decoder(latents.transpose(1, 2), mask[:, None].to(latents.dtype)).transpose(1, 2)
        return steps.reshape(len(latents), -1, self.channels) * self.scale

    def forward(self, values: Tensor, mask: Tensor) -> StreamOutput:
        """Reconstructs (B, S * downsample, C); steps where the bool mask (B, S) is False take no part."""
        z = self.latents(values, mask)
        # Most steps of most streams rest; left to the codebook's average they would crowd out everything else.
        active = mask & (z.detach().norm(dim=-1) > REST_RADIUS)
        if not active.any():
            active = mask
        quantized, codes, commitment = self.quantizer(z, mask=active)
        quantized = torch.where(active[..., None], quantized, z - z.detach())
        if self.training:
            self.pin_rest()
        return StreamOutput(self.motion(quantized, mask), codes.clamp(min=0), commitment)

    @torch.no_grad()
    def set_codebook(self, codes: Tensor, share: Tensor) -> None:
        """Starts codes 1 and up at (codes - 1, D), with the share of a batch's steps each is expected to have."""
        book = self.quantizer._codebook
        book.embed[0, 1:] = codes
        book.cluster_size[0, 1:] = share
        book.embed_avg[0, 1:] = codes * share[:, None]
        self.pin_rest()

    @torch.no_grad()
    def pin_rest(self) -> None:
        """Keeps code 0 at the rest pose."""
        self.quantizer._codebook.embed[:, 0] = 0
        self.quantizer._codebook.embed_avg[:, 0] = 0

    def codebook(self) -> Tensor:
        """(codes, D)."""
        return self.quantizer.codebook

    @torch.no_grad()
    def nearest(self, latents: Tensor) -> Tensor:
        """Code of each latent: (S, D) to int64 (S,)."""
        return torch.cdist(latents[None], self.codebook()[None])[0].argmin(-1)
