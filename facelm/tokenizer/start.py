"""Where training begins: crops of the clips, and a tokenizer that is k-means on steps in a metric of the rig."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from facelm.errors import FacelmError
from facelm.motion import Layout
from facelm.tokenizer.model import MotionTokenizer


class Clips:
    """Motions of unequal length in one array, from which batches of crops are drawn.

    Args:
        motions: float32 (T, D) each, at the tokenizer's layout and fps.
        layout: Their layout, for mirroring.
        downsample: Frames in a step.

    Raises:
        FacelmError: no motions.
    """

    def __init__(self, motions: Sequence[np.ndarray], layout: Layout, downsample: int) -> None:
        if not motions:
            raise FacelmError("no motions to train on: the split of the corpus is empty")
        self.values = torch.from_numpy(np.concatenate(motions).astype(np.float32))
        self.lengths = np.array([len(m) for m in motions])
        self.starts = np.cumsum(self.lengths) - self.lengths
        permutation, sign = layout.mirror()
        self.permutation, self.sign = torch.as_tensor(permutation), torch.as_tensor(sign, dtype=torch.float32)
        self.upper = torch.tensor([n.startswith(("brow", "eye", "cheekSquint", "nose")) for n in layout.names])
        self.downsample = downsample

    def batch(self, rng: np.random.Generator, count: int, steps: int) -> tuple[Tensor, Tensor]:
        """Random crops: values (count, steps * downsample, D) and mask bool (count, steps).

        Half of them are mirrored, and half have the upper face of another crop, so that the codebooks meet pairs of
        movements which the corpus never pairs.

        A crop begins at any frame, so a code never depends on where in a clip a step lies. Shorter clips keep their
        last frame to the end of the last step; the steps after it are masked.
        """
        frames = steps * self.downsample
        clips = rng.choice(len(self.lengths), count, p=self.lengths / self.lengths.sum())
        length = np.minimum(self.lengths[clips], frames)
        first = self.starts[clips] + rng.integers(0, self.lengths[clips] - length + 1)
        index = first[:, None] + np.minimum(np.arange(frames), length[:, None] - 1)
        values = self.values[torch.from_numpy(index)]
        mirrored = torch.from_numpy(rng.random(count) < 0.5)
        values[mirrored] = values[mirrored][..., self.permutation] * self.sign
        mixed = rng.permutation(count)[: count // 2]
        values[mixed] = torch.where(self.upper, values[np.roll(mixed, 1)], values[mixed])
        mask = torch.from_numpy(np.arange(steps) * self.downsample < length[:, None])
        return values * mask.repeat_interleave(self.downsample, 1)[..., None], mask


@torch.no_grad()
def initialise(model: MotionTokenizer, clips: Clips, basis: Tensor, seed: int = 0) -> None:
    """Sets scales, linear paths and codebooks from data: the tokenizer then is k-means on steps in a vertex metric.

    The metric of a stream is the Gram matrix of its channels' vertices (a fifth) and the identity: channels that move
    no skin (gaze) or little of it (cheeks) carry facts too. With one half, one gaze in ten lost a third of its size.
    """
    model.train()
    values, mask = clips.batch(np.random.default_rng((seed, 1)), max(64, 32768 // 16), 16)
    for network, members in model.shared():
        x = torch.cat([values[..., model.columns(i)] for i in members])
        moving = x.abs() > 0.02
        rms = (x.square() * moving).sum((0, 1)) / moving.sum((0, 1)).clamp(min=1)
        units = [model.layout.channels[c].unit for c in model.columns(members[0])]
        floor = torch.tensor([0.05 if u.startswith("rad") else 0.4 for u in units])
        network.scale.copy_(torch.maximum(rms.sqrt(), floor))

        columns = basis[model.columns(members[0])] * network.scale[:, None]
        gram = columns @ columns.T
        size = len(gram)
        metric = torch.eye(size)
        if gram.trace() > 0:
            metric = 0.8 * metric + 0.2 * gram * size / gram.trace()
        roots, vectors = torch.linalg.eigh(metric)
        root, inverse = (vectors * roots.sqrt()) @ vectors.T, (vectors / roots.sqrt()) @ vectors.T
        blocks = torch.eye(network.downsample)
        network.encoder.start(torch.kron(blocks, root))
        network.decoder.start(torch.kron(blocks, inverse))

        z = network.latents(x, mask.repeat(len(members), 1))[mask.repeat(len(members), 1)]
        moving_z = z[z.norm(dim=-1) > 0.1]
        network.set_codebook(*spread_kmeans(moving_z if len(moving_z) else z, network.quantizer.codebook_size - 1))


def spread_kmeans(points: Tensor, count: int, iterations: int = 8) -> tuple[Tensor, Tensor]:
    """Codes (count, D) and how many points (N, D) each has, seeded as in k-means++ (Arthur and Vassilvitskii 2007).

    Each seed is drawn with probability proportional to its squared distance from rest and from the seeds before it.
    Uniform seeds, as the quantizer's own start draws them, nearly all fall on slight and frequent movements, and a
    faint, rare action unit then shares the code of the rest pose. Draws from torch's generator.
    """
    squares = points.square().sum(1)
    distance = squares.clone()
    codes = points.new_zeros(count, points.shape[1])
    size = points.new_zeros(count)
    for i in range(count):
        pick = points[torch.multinomial(distance + 1e-12, 1)[0]]
        codes[i] = pick
        distance = torch.minimum(distance, (squares - 2 * (points @ pick) + pick.square().sum()).clamp(min=0))
    for _ in range(iterations):
        nearest = torch.cdist(points, codes).argmin(1)
        size = torch.bincount(nearest, minlength=count).to(points.dtype)
        total = torch.zeros_like(codes).index_add_(0, nearest, points)
        codes = torch.where(size[:, None] > 0, total / size.clamp(min=1)[:, None], codes)
    return codes, size
