"""What judges have in common: preparing motions, embedding in batches, saving and loading."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from facelm.errors import FacelmError
from facelm.files import atomic_folder
from facelm.motion import FaceMotion
from facelm.motion.layout import HEAD, Channel
from facelm.motion.layout import layout as named_layout

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
FORMAT_VERSION = 1
BATCH = 128
LEAST_SCALE = {"weight": 0.05, "rad": 0.02}  # a channel that hardly moves in training is not blown up


class Judge(nn.Module):
    """Puts motions, and what belongs to them, into one space: what belongs together lies near.

    `Judge.from_pretrained` gives a `TextJudge` or an `AudioJudge`. Embeddings are float32 rows of length 1, so that
    ranks by Euclidean distance are ranks by cosine, and a distance is between 0 (the same) and 2.

    Attributes:
        kind: "text" or "audio".
        corpus: fingerprint of the corpus it was trained on, from its corpus.json.
        layout: name of the layout of the motions it takes.
    """

    mean: Tensor
    scale: Tensor
    kind = ""
    head = True  # whether it sees the head's pose

    def __init__(self, config: Any, corpus: str) -> None:
        super().__init__()
        self.config = config
        self.corpus = corpus
        self.layout: str = config.layout
        self.fps = float(config.fps)
        channels = named_layout(self.layout).channels
        self._columns = [i for i, c in enumerate(channels) if self.head or not _of_head(c)]
        self.register_buffer("mean", torch.zeros(len(self._columns)))
        self.register_buffer("scale", torch.ones(len(self._columns)))

    @property
    def fingerprint(self) -> str:
        """First 16 hex digits of the SHA-256 of config, corpus, encoder and weights: figures of a judge name it."""
        digest = hashlib.sha256(json.dumps(self._about(), sort_keys=True).encode())
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.mean.device

    # ------------------------------------------------------------------ what subclasses define

    def motion_side(self, values: Tensor, mask: Tensor) -> Tensor:
        """(B, S * patch, C) normalised and bool (B, S) to (B, D)."""
        raise NotImplementedError

    def other_side(self, items: list[Tensor]) -> Tensor:
        """What belongs to motions, as the judge reads it, to (B, D)."""
        raise NotImplementedError

    def _about(self) -> dict[str, Any]:
        """What config.json holds besides the version and the fingerprint."""
        raise NotImplementedError

    # ------------------------------------------------------------------ motions

    def fit_scale(self, motions: Sequence[np.ndarray]) -> None:
        """Take mean and scale of the channels from prepared motions (T, C)."""
        count = sum(map(len, motions))
        mean = sum(values.sum(0, dtype=np.float64) for values in motions) / count
        square = sum(((values - mean) ** 2).sum(0) for values in motions) / count
        channels = [named_layout(self.layout).channels[i] for i in self._columns]
        least = np.array([LEAST_SCALE[c.unit] for c in channels])
        self.mean.copy_(torch.from_numpy(mean))
        self.scale.copy_(torch.from_numpy(np.maximum(np.sqrt(square), least)))

    def prepare(self, motion: FaceMotion, name: str = "the motion") -> np.ndarray:
        """The values (T, C) of a motion at the judge's rate, without the channels it does not look at.

        Raises FacelmError for a motion of another layout.
        """
        if motion.layout.name != self.layout:
            raise FacelmError(
                f"{name} is a {motion.layout.name} motion, but this judge was trained on {self.layout} ones; "
                f"convert it with .to('{self.layout}') or train a judge for it with recipes/judge.py"
            )
        return np.asarray(motion.resample(self.fps).values[:, self._columns])

    def embed_motions(self, motions: Sequence[FaceMotion]) -> np.ndarray:
        """Embeddings (N, D) float32 of motions of any rate.

        Of a motion longer than `config.seconds` only the beginning counts, and a warning says so. Raises FacelmError
        for a motion of another layout, naming it by its place.
        """
        values = [self.prepare(motion, f"motion {index}") for index, motion in enumerate(motions)]
        longest = self._frames()
        self._warn("motions", sum(len(v) > longest for v in values), len(values))
        return self._in_batches([v[:longest] for v in values], self.embed_values)

    def embed_values(self, values: Sequence[np.ndarray]) -> Tensor:
        """(B, D) of a batch of prepared motions; gradients flow."""
        return self.motion_side(*self.pad(values))

    def pad(self, values: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
        """Normalised values (B, S * patch, C) and bool (B, S); the last frame fills the last step, zeros the rest."""
        patch = self.config.patch
        steps = [-(-len(v) // patch) for v in values]
        batch = torch.zeros(len(values), self._steps(max(steps)) * patch, len(self._columns))
        for row, (v, count) in enumerate(zip(values, steps, strict=True)):
            filled = np.pad(v, ((0, count * patch - len(v)), (0, 0)), "edge")
            batch[row, : len(filled)] = torch.from_numpy(filled)
        mask = torch.arange(batch.shape[1] // patch) < torch.tensor(steps)[:, None]
        normal = (batch.to(self.device) - self.mean) / self.scale
        mask = mask.to(self.device)
        return normal * mask.repeat_interleave(patch, 1)[..., None], mask

    def _steps(self, most: int) -> int:
        """Steps of a padded batch whose longest row has `most`."""
        return most

    def _frames(self) -> int:
        return int(self.config.seconds * self.fps)

    def _warn(self, what: str, count: int, of: int) -> None:
        if count:
            warnings.warn(
                f"{count} of {of} {what} are longer than {self.config.seconds:g} s; the judge looks at the beginning",
                stacklevel=3,
            )

    @torch.inference_mode()
    def _in_batches(self, items: list[Any], embed: Any) -> np.ndarray:
        """Rows of `embed` in the order of the items, which go through it in batches of like length."""
        if not items:
            raise FacelmError("there is nothing to embed; give one item at least")
        training, _ = self.training, self.eval()
        out: np.ndarray | None = None
        for group in _groups([len(item) for item in items]):
            rows = embed([items[index] for index in group]).float().cpu().numpy()
            if out is None:
                out = np.empty((len(items), rows.shape[1]), np.float32)
            out[group] = rows
        self.train(training)
        assert out is not None
        return out

    # ------------------------------------------------------------------ files

    def save_pretrained(self, directory: str | Path) -> None:
        """Write `config.json` and `model.safetensors` to a folder, all or nothing.

        Raises FacelmError when the folder cannot be written.
        """
        from safetensors.torch import save_file

        with atomic_folder(directory) as folder:
            save_file({k: v.detach().cpu().contiguous() for k, v in self.state_dict().items()}, folder / WEIGHTS_FILE)
            about = {"format": "facelm-judge", "version": FORMAT_VERSION, "fingerprint": self.fingerprint}
            (folder / CONFIG_FILE).write_text(
                json.dumps({**about, **self._about()}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
            )

    @staticmethod
    def from_pretrained(directory: str | Path, encoder: str | None = None) -> Judge:
        """The judge in a folder.

        Args:
            directory: written by `save_pretrained` or recipes/judge.py.
            encoder: folder of the text encoder, where it is no longer where it was in training.

        Raises:
            FacelmError: a file is missing or damaged, of another version, or they do not belong together.
        """
        from facelm.evaluate.judge.audio import AudioJudge
        from facelm.evaluate.judge.text import TextJudge

        folder = Path(directory)
        about = _read_config(folder)
        kinds: dict[str, Any] = {"text": TextJudge, "audio": AudioJudge}
        try:
            judge: Judge = kinds[about["kind"]].from_about(about, encoder)
        except (KeyError, TypeError, AttributeError) as error:
            raise FacelmError(f"{folder / CONFIG_FILE} is damaged ({error!r}); train or copy the judge anew") from error
        judge._load_weights(folder / WEIGHTS_FILE)
        if judge.fingerprint != about.get("fingerprint"):
            raise FacelmError(f"{folder}: weights and config do not belong together; train or copy the judge anew")
        return judge.eval()

    def _load_weights(self, path: Path) -> None:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            self.load_state_dict(load_file(path))
        except (SafetensorError, RuntimeError) as error:
            raise FacelmError(f"{path} is damaged or not of its config; train or copy the judge anew") from error


def _of_head(channel: Channel) -> bool:
    """Whether a channel moves the head as a whole."""
    return channel.name.lower().startswith(("global", "neck")) or channel.name.lower() in map(str.lower, HEAD)


def _read_config(folder: Path) -> dict[str, Any]:
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise FacelmError(f"{folder} has no {name}; give a judge's folder, as recipes/judge.py writes it")
    path = folder / CONFIG_FILE
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        form, version = about["format"], about["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise FacelmError(f"{path} is no judge's config; give a folder that recipes/judge.py wrote") from error
    if form != "facelm-judge" or version != FORMAT_VERSION:
        raise FacelmError(
            f"{path} is of the form {form} {version}, and this facelm reads facelm-judge {FORMAT_VERSION}; "
            "train it anew"
        )
    return dict(about)


def _groups(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indices in groups of at most BATCH, of like lengths."""
    order = sorted(range(len(lengths)), key=lambda index: (lengths[index], index))
    for first in range(0, len(order), BATCH):
        yield order[first : first + BATCH]
