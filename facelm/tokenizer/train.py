"""Training of a `MotionTokenizer`: updates, held-out scores, checkpoints that resume exactly."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from facelm.errors import FacelmError
from facelm.fields import check_positive
from facelm.files import atomic_path
from facelm.rig import BlendshapeRig, load_rig
from facelm.steplog import StepLog
from facelm.tokenizer.config import TokenizerConfig
from facelm.tokenizer.model import MotionTokenizer
from facelm.tokenizer.objective import evaluate, losses, vertex_basis
from facelm.tokenizer.start import Clips, initialise

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
            errors on the synthesised corpus rose from .036 to .054; at .05 and below they stay and jitter falls).
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
    encoder_share: float = 0.01
    coefficients: float = 1.0
    velocity: float = 1.0
    geometry: float = 0.05
    commitment: float = 0.05
    revive_until: float = 0.6
    eval_every: int = 200
    save_every: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        check_positive(self, "tokenizer training", "batch", "crop", "learning_rate", "eval_every", "save_every")
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
    log = StepLog(folder / LOG_FILE, step) if accelerator.is_main_process else None
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
            _log_line(log, step, elapsed, loss=loss.item(), **{f"loss_{k}": v.item() for k, v in terms.items()})
        if log and held_out and step % training.eval_every == 0:
            _log_line(log, step, elapsed, **evaluate(model, held_out[:64], rig))
        if step % training.save_every == 0:
            _save_checkpoint(folder, model, optimizer, step, elapsed, config, training, accelerator)
    bar.close()
    model.eval()
    _save_checkpoint(folder, model, optimizer, step, elapsed, config, training, accelerator)
    if log:
        if held_out:
            _log_line(log, step, elapsed, **evaluate(model, held_out, rig))
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


def _log_line(log: StepLog, step: int, seconds: float, **values: float) -> None:
    log.write(step, seconds=round(seconds, 2), **{name: round(value, 6) for name, value in values.items()})


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
