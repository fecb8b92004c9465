"""Training of judges: contrastive updates, held-out retrieval, checkpoints that resume exactly."""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from facelm.errors import FacelmError
from facelm.evaluate.judge.base import Judge
from facelm.fields import check_positive
from facelm.files import atomic_path
from facelm.steplog import StepLog

CHECKPOINT_FILE = "checkpoint.safetensors"
LOG_FILE = "metrics.jsonl"


@dataclass(frozen=True)
class JudgeTraining:
    """How a judge is trained. Raises FacelmError for a value that can't be.

    max_steps: updates. batch: pairs in one; each is told from all others in it. learning_rate: peak of a cosine.
    temperature: of the softmax over similarities. noise: standard deviation of noise on the motions, in units of
    a channel's spread, so that generated motions are judged by what they show and not by their jitter. eval_every,
    save_every: updates between held-out scores and between checkpoints. seed: of weights and batches.
    """

    max_steps: int = 600
    batch: int = 128
    learning_rate: float = 1e-3
    temperature: float = 0.07
    noise: float = 0.05
    eval_every: int = 100
    save_every: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        check_positive(self, "judge training", "max_steps", "learning_rate", "temperature", "eval_every", "save_every")
        if self.batch < 2:
            raise FacelmError(f"judge training: batch = {self.batch} must be 2 or more: a pair is told from the others")
        if self.noise < 0:
            raise FacelmError(f"judge training: noise = {self.noise} must not be negative")


class Pairs(Protocol):
    """Where a judge's training pairs come from."""

    def batch(self, step: int, size: int) -> tuple[list[np.ndarray], list[Tensor], np.ndarray]:
        """Prepared motions, what belongs to them, and bool (B, B): which of them are as good as the same.

        It depends on the step alone. At most `size` pairs.
        """
        ...


def contrast(one: Tensor, other: Tensor, same: Tensor, temperature: float) -> Tensor:
    """InfoNCE in both directions of embeddings (B, D) of length 1: each row is to find its own among all others.

    same: bool (B, B); pairs that are as good as the same are no negatives of each other (TMR filters them by the
    likeness of their texts), the diagonal is always counted.
    """
    logits = one @ other.T / temperature
    own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    logits = logits.masked_fill(same & ~own, -torch.inf)
    target = torch.arange(len(logits), device=logits.device)
    return (torch.nn.functional.cross_entropy(logits, target) + torch.nn.functional.cross_entropy(logits.T, target)) / 2


def train(
    judge: Judge,
    training: JudgeTraining,
    pairs: Pairs,
    held_out: Sequence[tuple[np.ndarray, Tensor]],
    directory: str | Path,
    resume: bool = False,
    progress: bool = True,
) -> Judge:
    """Trains a judge, whose scale of channels is set, and saves it to a folder with `metrics.jsonl` and a checkpoint.

    Every batch depends on the seed and the number of the update alone, so a run that was interrupted and resumed
    equals the uninterrupted one.

    Args:
        judge: on the device to train on; its weights are drawn by who makes it.
        training: length, rates, seed.
        pairs: to learn from.
        held_out: prepared motion and what belongs to it, each: the share of them that finds its own among all is
            logged, never trained on.
        directory: folder to write.
        resume: go on from the checkpoint in the folder.
        progress: show a progress bar.

    Returns:
        The trained judge, in eval mode.

    Raises:
        FacelmError: no or a foreign checkpoint to resume, a folder that can't be written, or a loss that is not finite.
    """
    from tqdm import trange

    folder = Path(directory)
    optimizer = torch.optim.AdamW(judge.parameters(), lr=training.learning_rate, weight_decay=0.01, betas=(0.9, 0.98))
    start, before = _load_checkpoint(folder, judge, optimizer, training) if resume else (0, 0.0)
    folder.mkdir(parents=True, exist_ok=True)
    log = StepLog(folder / LOG_FILE, start)
    began = time.monotonic() - before
    warmup = min(50, training.max_steps // 10 + 1)
    judge.train()
    bar = trange(start, training.max_steps, initial=start, total=training.max_steps, desc=f"{judge.kind} judge",
                 unit="step", disable=not progress)  # fmt: skip
    for step in bar:
        share = step / training.max_steps
        rate = training.learning_rate * min(1.0, (step + 1) / warmup) * (0.5 + 0.5 * math.cos(math.pi * share))
        for group in optimizer.param_groups:
            group["lr"] = rate
        values, others, same = pairs.batch(step, training.batch)
        motions, mask = judge.pad(values)
        noise = torch.randn(motions.shape, generator=torch.Generator().manual_seed(training.seed * 1_000_003 + step))
        one = judge.motion_side(motions + training.noise * noise.to(motions), mask)
        loss = contrast(judge.other_side(others), one, torch.from_numpy(same).to(one.device), training.temperature)
        if not torch.isfinite(loss):
            raise FacelmError(f"the loss is not finite at step {step}: lower learning_rate ({training.learning_rate})")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(judge.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        done, seconds = step + 1, round(time.monotonic() - began, 2)
        if done % 20 == 0 or done == training.max_steps:
            bar.set_postfix(loss=f"{loss.item():.3f}")
            log.write(done, seconds=seconds, loss=round(loss.item(), 6))
        if held_out and (done % training.eval_every == 0 or done == training.max_steps):
            log.write(done, seconds=seconds, held_out=round(found_share(judge, held_out), 6), among=len(held_out))
        if done % training.save_every == 0 or done == training.max_steps:
            _save_checkpoint(folder, judge, optimizer, done, seconds, training)
    judge.eval()
    judge.save_pretrained(folder)
    return judge


@torch.inference_mode()
def found_share(judge: Judge, held_out: Sequence[tuple[np.ndarray, Tensor]]) -> float:
    """The share of held-out pairs of which the other side finds its motion among all motions."""
    motions = judge._in_batches([values for values, _ in held_out], judge.embed_values)
    others = judge._in_batches([other for _, other in held_out], judge.other_side)
    return float(((others @ motions.T).argmax(1) == np.arange(len(motions))).mean())


# ---------------------------------------------------------------- checkpoints


def _identity(judge: Judge, training: JudgeTraining) -> str:
    return json.dumps([judge._about(), asdict(training)], sort_keys=True)


def _save_checkpoint(
    folder: Path, judge: Judge, optimizer: Any, step: int, seconds: float, training: JudgeTraining
) -> None:
    from safetensors.torch import save_file

    tensors = {f"judge.{k}": v.detach().cpu().contiguous() for k, v in judge.state_dict().items()}
    for i, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{k}": torch.as_tensor(v).detach().cpu().contiguous() for k, v in state.items()}
    about = {"step": str(step), "seconds": str(seconds), "run": _identity(judge, training)}
    with atomic_path(folder / CHECKPOINT_FILE) as path:
        save_file(tensors, path, metadata=about)


def _load_checkpoint(folder: Path, judge: Judge, optimizer: Any, training: JudgeTraining) -> tuple[int, float]:
    from safetensors import SafetensorError, safe_open

    path = folder / CHECKPOINT_FILE
    if not path.is_file():
        raise FacelmError(f"{path} does not exist: start without resume")
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise FacelmError(f"{path} is damaged: start without resume") from error
    if about.get("run") != _identity(judge, training):
        raise FacelmError(f"{path} is of another configuration or corpus: resume with the one it was started with")
    judge.load_state_dict({k.removeprefix("judge."): v for k, v in tensors.items() if k.startswith("judge.")})
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, i, name = key.split(".", 2)
            state.setdefault(int(i), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return int(about["step"]), float(about["seconds"])
