"""What training minimises, and the scores of a reconstruction (definitions in the docstrings)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from facelm.motion import FaceMotion, Layout
from facelm.rig import BlendshapeRig
from facelm.tokenizer.model import MotionTokenizer


def vertex_basis(rig: BlendshapeRig, layout: Layout, lips: int = 96, face: int = 192) -> Tensor:
    """Displacement basis float32 (D, 3 * K) of some rig vertices, in mm per unit of each channel.

    Vertices are linear in the coefficients, so an error in coefficients times this matrix is the error of the
    vertices. A spread sample of K = lips + face vertices keeps the L1 norm of real vertices, which LVE and FVE
    measure (the root of the Gram matrix would give the L2 norm only), at a tenth of the cost of the whole mesh.
    Columns are weighted so that the sum of absolute errors is half the mean over lips plus half that over the face.
    Head angles move all vertices rigidly and are left to the coefficient loss: their columns are zero.
    """
    basis = np.zeros((layout.width, lips + face, 3), np.float32)
    rows = [list(rig.names).index(n) if n in rig.names else -1 for n in layout.names]
    at = 0
    for region, count in (("lips", lips), ("face", face)):
        vertices = np.flatnonzero(rig.regions[region])
        vertices = vertices[np.linspace(0, len(vertices) - 1, count).round().astype(int)]
        for channel, row in enumerate(rows):
            if row >= 0:
                basis[channel, at : at + count] = np.asarray(rig.deltas)[row, vertices] * (1000 * 0.5 / count)
        at += count
    return torch.from_numpy(basis.reshape(layout.width, -1))


def losses(
    model: Callable[..., tuple[Tensor, Tensor, Tensor]], values: Tensor, mask: Tensor, scale: Tensor, basis: Tensor
) -> dict[str, Tensor]:
    """Unweighted terms of the loss of a batch, each a scalar; masked steps count in none.

    Args:
        model: A `MotionTokenizer`, possibly wrapped for several processes.
        values: (B, F, D) in the layout's units; mask: bool (B, F / downsample).
        scale: (D,) of the channels. basis: (D, 3 K) of `vertex_basis`.
    """
    output, _, commitment = model(values, mask)
    frames = mask.repeat_interleave(values.shape[1] // mask.shape[1], 1)
    error = (output - values) / scale
    pairs = frames[:, 1:] & frames[:, :-1]
    return {
        "coefficients": functional.huber_loss(error[frames], torch.zeros_like(error[frames]), delta=0.1) * 10,
        "velocity": (error[:, 1:] - error[:, :-1])[pairs].abs().mean(),
        "geometry": ((output - values)[frames] @ basis).abs().sum(-1).mean(),
        "commitment": commitment,
    }


def reconstruction_scores(
    predicted: Sequence[np.ndarray], true: Sequence[np.ndarray], rig: BlendshapeRig, layout: Layout
) -> dict[str, float]:
    """Scores of METRICS.md of lists of (T, D) arrays, frames pooled.

    `lve_mm`: mean over frames of the largest lip-vertex distance. `fve_mm`: mean over frames and face vertices.
    `jerk_ratio`: length of the face vertices' third difference, predicted over true. `coefficient_mae`, `head_mae_rad`.
    """
    face = [c for c, n in enumerate(layout.names) if n in rig.names]
    head = [c for c, n in enumerate(layout.names) if n.startswith("head")]
    deltas = np.asarray(rig.deltas)[[list(rig.names).index(layout.names[c]) for c in face]] * 1000
    lips, skin = deltas[:, rig.regions["lips"]], deltas[:, rig.regions["face"]]

    def lengths(x: np.ndarray, region: np.ndarray) -> np.ndarray:
        moved = x[:, face].astype(np.float32) @ region.reshape(len(region), -1)
        return np.linalg.norm(moved.reshape(len(x), -1, 3), axis=2)

    lve, fve, mae, angle, jerk, jerk_true = [], [], [], [], 0.0, 0.0
    for p, t in zip(predicted, true, strict=True):
        lve.append(lengths(p - t, lips).max(1))
        fve.append(lengths(p - t, skin).mean(1))
        mae.append(np.abs(p - t)[:, face].mean(1))
        angle.append(np.abs(p - t)[:, head].mean(1) if head else np.zeros(len(t)))
        if len(t) > 3:
            jerk += float(lengths(np.diff(p, n=3, axis=0), skin).mean(1).sum())
            jerk_true += float(lengths(np.diff(t, n=3, axis=0), skin).mean(1).sum())
    cat = np.concatenate
    return {
        "lve_mm": float(cat(lve).mean()),
        "fve_mm": float(cat(fve).mean()),
        "jerk_ratio": jerk / jerk_true if jerk_true else 1.0,
        "coefficient_mae": float(cat(mae).mean()),
        "head_mae_rad": float(cat(angle).mean()),
        "frames": float(sum(len(t) for t in true)),
    }


def evaluate(model: MotionTokenizer, motions: Sequence[np.ndarray], rig: BlendshapeRig) -> dict[str, float]:
    """Encodes and decodes motions (T, D): `reconstruction_scores`, and per stream `usage_NAME` (share of the codes that
    occur) and `perplexity_NAME` (exp of the entropy of its codes)."""
    training = model.training
    model.eval()
    encoded = model.encode_batch([FaceMotion(m, model.fps, model.layout.name) for m in motions])
    decoded = [np.asarray(m.values) for m in model.decode_batch(encoded)]
    model.train(training)
    scores = reconstruction_scores(decoded, motions, rig, model.layout)
    codes = np.concatenate([e.codes for e in encoded])
    for i, stream in enumerate(model.streams):
        share = np.bincount(codes[:, i], minlength=stream.codes) / len(codes)
        scores[f"usage_{stream.name}"] = float((share > 0).mean())
        scores[f"perplexity_{stream.name}"] = float(np.exp(-(share * np.log(np.maximum(share, 1e-12))).sum()))
    return scores
