"""Training of a `MotionTokenizer`: batches, losses, held-out scores, checkpoints that resume exactly."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from facelm.errors import FacelmError
from facelm.files import atomic_path
from facelm.motion import FaceMotion, Layout
from facelm.rig import BlendshapeRig, load_rig
from facelm.tokenizer.config import TokenizerConfig
from facelm.tokenizer.model import MotionTokenizer

if TYPE_CHECKING:
    from accelerate import Accelerator

CHECKPOINT_FILE = "checkpoint.safetensors"
LOG_FILE = "metrics.jsonl"


@dataclass(frozen=True)
class TokenizerTraining:
    """How a tokenizer is trained.

    Attributes:
        max_steps: Updates; 0 means `max_seconds` alone decides.
        max_seconds: Wall-clock limit of training, without loading; 0 means `max_steps` alone decides. A run limited
            by the clock is as long as the machine allows, so only runs by steps repeat exactly.
        batch: Crops in a batch (of each process).
        crop: Steps in a crop.
        learning_rate: Peak of a cosine schedule.
        encoder_share: Learning rate of the encoders, as a share. Small: the codebook is k-means in the encoder's metric
            at the start, and at full rate the latents contract faster than the codes follow (after 240 updates apex
            errors of the synthesised corpus rose from .036 to .054; at .05 they fell).
        coefficients: Weight of the Huber loss on channel values over their scale.
        velocity: Weight of the L1 loss on their difference from frame to frame: against jitter.
        geometry: Weight of the L1 loss on rig vertices, in 1/mm, lips counting as much as the rest of the face.
        commitment: Weight of the distance of latents to their codes.
        revive_until: Share of training after which unused codes are no longer moved, so that the last ones settle.
        eval_every: Updates between held-out scores.
        save_every: Updates between checkpoints.
        seed: Of weights, crops and codebooks.

    Raises:
        FacelmError: a size, rate or limit that can't be.
    """

    max_steps: int = 800
    max_seconds: float = 0.0
    batch: int = 48
    crop: int = 16
    learning_rate: float = 2e-3
    encoder_share: float = 0.05
    coefficients: float = 1.0
    velocity: float = 1.0
    geometry: float = 0.05
    commitment: float = 0.05
    revive_until: float = 0.6
    eval_every: int = 200
    save_every: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("batch", "crop", "learning_rate", "eval_every", "save_every"):
            if getattr(self, name) <= 0:
                raise FacelmError(f"tokenizer training: {name} = {getattr(self, name)} must be positive")
        for name in (
            "max_steps",
            "max_seconds",
            "encoder_share",
            "coefficients",
            "velocity",
            "geometry",
            "commitment",
            "revive_until",
        ):
            if getattr(self, name) < 0:
                raise FacelmError(f"tokenizer training: {name} = {getattr(self, name)} must not be negative")
        if not self.max_steps and not self.max_seconds:
            raise FacelmError("tokenizer training: set max_steps or max_seconds")


# ---------------------------------------------------------------------- data


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


# ---------------------------------------------------------------------- start


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


# ---------------------------------------------------------------------- losses and scores


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
        "coefficients": functional.huber_loss(error[frames], torch.zeros(()).expand_as(error[frames]), delta=0.1) * 10,
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


# ---------------------------------------------------------------------- training


def train(
    config: TokenizerConfig,
    training: TokenizerTraining,
    motions: Sequence[np.ndarray],
    held_out: Sequence[np.ndarray],
    directory: str | Path,
    accelerator: Accelerator,
    resume: bool = False,
    progress: bool = True,
    rig: BlendshapeRig | None = None,
) -> MotionTokenizer:
    """Trains a tokenizer and saves it to a folder, with `metrics.jsonl` and a checkpoint beside it.

    Every batch depends on the seed and the number of the update alone, so a run by steps that was interrupted and
    resumed equals the uninterrupted one. On several processes each draws its own crops; codebooks stay equal.

    Args:
        config: Shape of the tokenizer.
        training: Length, weights of the losses, seed.
        motions: float32 (T, D) each, in the config's layout and fps: trained on.
        held_out: The same form: scored, never trained on.
        directory: Folder to write.
        accelerator: Of `accelerate`.
        resume: Go on from the checkpoint in the folder.
        progress: Show a progress bar.
        rig: Whose vertices the geometry loss uses; default the packaged head.

    Returns:
        The trained tokenizer, in eval mode.

    Raises:
        FacelmError: no motions, no or a foreign checkpoint to resume, a folder that can't be written, or a loss that is
            not finite.
    """
    from tqdm import tqdm

    folder = Path(directory)
    rig = rig or load_rig()
    torch.manual_seed(training.seed)
    model = MotionTokenizer(config)
    clips = Clips(motions, model.layout, config.downsample)
    basis = vertex_basis(rig, model.layout)
    if not resume:
        initialise(model, clips, basis, training.seed)
    encoders = [p for network, _ in model.shared() for p in network.encoder.parameters()]
    decoders = [p for network, _ in model.shared() for p in network.decoder.parameters()]
    groups = [{"params": decoders, "share": 1.0}, {"params": encoders, "share": training.encoder_share}]
    optimizer = torch.optim.AdamW(groups, lr=training.learning_rate, weight_decay=1e-4, betas=(0.9, 0.98))
    wrapped: Any
    wrapped, optimizer = accelerator.prepare(model, optimizer)
    step, elapsed = _load_checkpoint(folder, model, optimizer, config, training, accelerator) if resume else (0, 0.0)
    basis = basis.to(accelerator.device)
    scale = torch.ones(model.layout.width, device=accelerator.device)
    for i in range(len(model.streams)):
        scale[model.columns(i)] = model.network(i).scale
    log = _Log(folder, step) if accelerator.is_main_process else None
    bar = tqdm(total=training.max_steps or None, initial=step, desc="tokenizer", unit="step",
               disable=not (progress and accelerator.is_main_process))  # fmt: skip
    began = time.monotonic() - elapsed
    share = 0.0
    model.train()
    while True:
        elapsed = time.monotonic() - began
        share = _share(training, step, elapsed, accelerator)
        if share >= 1:
            break
        rate = training.learning_rate * min(1.0, (step + 1) / 30) * (0.5 + 0.5 * math.cos(math.pi * share))
        for group in optimizer.param_groups:
            group["lr"] = rate * group["share"]
        if share > training.revive_until:
            for network, _ in model.shared():
                network.quantizer._codebook.threshold_ema_dead_code = 0
        torch.manual_seed(training.seed * 1_000_003 + step)  # the codebook draws from the global generator
        rng = np.random.default_rng((training.seed, 2, step, accelerator.process_index))
        values, mask = (x.to(accelerator.device) for x in clips.batch(rng, training.batch, training.crop))
        terms = losses(wrapped, values, mask, scale, basis)
        loss = sum(getattr(training, name) * term for name, term in terms.items())
        if not torch.isfinite(loss):
            raise FacelmError(f"the loss is not finite at step {step}: lower learning_rate ({training.learning_rate})")
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(wrapped.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        bar.update()
        if log and (step % 20 == 0 or step == 1):
            bar.set_postfix(loss=f"{loss.item():.4f}")
            log.write(step, elapsed, loss=loss.item(), **{f"loss_{k}": v.item() for k, v in terms.items()})
        if log and held_out and step % training.eval_every == 0:
            log.write(step, elapsed, **evaluate(model, held_out[:64], rig))
        if step % training.save_every == 0:
            _save_checkpoint(folder, model, optimizer, step, elapsed, config, training, accelerator)
    bar.close()
    model.eval()
    _save_checkpoint(folder, model, optimizer, step, elapsed, config, training, accelerator)
    if log:
        if held_out:
            log.write(step, elapsed, **evaluate(model, held_out, rig))
        model.save_pretrained(folder)
    accelerator.wait_for_everyone()
    return model


def _share(training: TokenizerTraining, step: int, elapsed: float, accelerator: Accelerator) -> float:
    """How much of training is done, 0 to 1 and the same on every process."""
    by_steps = step / training.max_steps if training.max_steps else 0.0
    by_clock = elapsed / training.max_seconds if training.max_seconds else 0.0
    if training.max_seconds and accelerator.num_processes > 1:
        from accelerate.utils import broadcast

        by_clock = float(broadcast(torch.tensor(by_clock, device=accelerator.device)))
    return max(by_steps, by_clock)


class _Log:
    """Appends lines to `metrics.jsonl`; on resuming, lines written after the checkpoint are dropped."""

    def __init__(self, folder: Path, step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / LOG_FILE
        lines = self.path.read_text(encoding="utf-8").splitlines() if step and self.path.is_file() else []
        kept = [line for line in lines if json.loads(line)["step"] <= step]
        with atomic_path(self.path) as path:
            path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")

    def write(self, step: int, seconds: float, **values: float) -> None:
        line = {"step": step, "seconds": round(seconds, 2)} | {k: round(v, 6) for k, v in values.items()}
        with self.path.open("a", encoding="utf-8") as f:
            f.write(json.dumps(line) + "\n")


def _identity(config: TokenizerConfig, training: TokenizerTraining) -> str:
    return json.dumps([config.to_dict(), asdict(training)], sort_keys=True)


def _save_checkpoint(
    folder: Path, model: MotionTokenizer, optimizer: Any, step: int, elapsed: float,
    config: TokenizerConfig, training: TokenizerTraining, accelerator: Accelerator,
) -> None:  # fmt: skip
    if not accelerator.is_main_process:
        return
    from safetensors.torch import save_file

    tensors = {f"model.{k}": v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    for i, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{k}": torch.as_tensor(v).detach().cpu().contiguous() for k, v in state.items()}
    about = {"step": str(step), "seconds": str(elapsed), "run": _identity(config, training)}
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / CHECKPOINT_FILE) as path:
        save_file(tensors, path, metadata=about)


def _load_checkpoint(
    folder: Path, model: MotionTokenizer, optimizer: Any,
    config: TokenizerConfig, training: TokenizerTraining, accelerator: Accelerator,
) -> tuple[int, float]:  # fmt: skip
    from safetensors import SafetensorError, safe_open

    path = folder / CHECKPOINT_FILE
    if not path.is_file():
        raise FacelmError(f"{path} does not exist: start without resume")
    try:
        with safe_open(path, "pt") as f:
            about = f.metadata()
            tensors = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118
    except SafetensorError as e:
        raise FacelmError(f"{path} is damaged: start without resume") from e
    if about["run"] != _identity(config, training):
        raise FacelmError(f"{path} is of another configuration: resume with the one it was started with")
    model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, i, name = key.split(".", 2)
            state.setdefault(int(i), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return int(about["step"]), float(about["seconds"])
