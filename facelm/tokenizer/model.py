"""The motion tokenizer: one vector-quantized 1D convolutional autoencoder per stream.

The rest pose encodes to code 0 and code 0 decodes to the rest pose, whatever was learnt (see `network`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from facelm.errors import FacelmError
from facelm.files import atomic_folder
from facelm.motion import FaceMotion, Layout
from facelm.motion import layout as named_layout
from facelm.tokenizer.config import TokenizerConfig
from facelm.tokenizer.network import StreamNetwork

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
FORMAT_VERSION = 1
CHUNK_STEPS = 4096  # 11 minutes at 6.25 steps/s; memory is bounded by this, whatever the length


class Stream(NamedTuple):
    """Name and codebook size of a stream, as the vocabulary needs them."""

    name: str
    codes: int


@dataclass(frozen=True)
class EncodedMotion:
    """A tokenized motion.

    Attributes:
        codes: int64 (steps, streams).
        frames: Frames of the motion at the tokenizer's fps; at most steps * downsample. None: all of them.
    """

    codes: np.ndarray
    frames: int | None = None


class MotionTokenizer(nn.Module):
    """Turns a `FaceMotion` into one code per step and stream, and back.

    Args:
        config: Streams and sizes; the default is the `arkit` layout at 25 fps, 4 frames a step, five streams.

    Example:
        >>> tokenizer = MotionTokenizer.from_pretrained("outputs/tokenizer")  # doctest: +SKIP
        >>> again = tokenizer.decode(tokenizer.encode(motion))                # doctest: +SKIP
    """

    def __init__(self, config: TokenizerConfig | None = None) -> None:
        super().__init__()
        self.config = config or TokenizerConfig()
        self.layout: Layout = named_layout(self.config.layout)
        self.fps = float(self.config.fps)
        self.downsample = self.config.downsample
        self.streams = tuple(Stream(s.name, s.codes) for s in self.config.streams)
        self.networks = nn.ModuleDict(
            {s.name: StreamNetwork(len(s.channels), s.codes, self.config) for s in self.config.streams if not s.weights}
        )
        self._columns = [list(self.layout.indices(s.channels)) for s in self.config.streams]
        self._low = np.array([c.low for c in self.layout.channels], np.float32)
        self._high = np.array([c.high for c in self.layout.channels], np.float32)
        self.eval()

    @property
    def rate(self) -> float:
        """Steps per second."""
        return self.fps / self.downsample

    @property
    def fingerprint(self) -> str:
        """First 16 hex digits of the SHA-256 of config and weights: a language model records it."""
        digest = hashlib.sha256(json.dumps(self.config.to_dict(), sort_keys=True).encode())
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def network(self, stream: str | int) -> StreamNetwork:
        """The network of a stream, by name or position.

        Raises:
            FacelmError: unknown stream.
        """
        for i, s in enumerate(self.config.streams):
            if stream in (s.name, i):
                network = self.networks[s.weights or s.name]
                assert isinstance(network, StreamNetwork)
                return network
        raise FacelmError(f"no stream {stream!r}: the streams are {', '.join(s.name for s in self.streams)}")

    def shared(self) -> Iterator[tuple[StreamNetwork, list[int]]]:
        """Each network with the positions of the streams that use it."""
        for name in self.networks:
            yield self.network(name), [i for i, s in enumerate(self.config.streams) if (s.weights or s.name) == name]

    def codebook(self, stream: str) -> Tensor:
        """Codebook (codes, D) of a stream, D = downsample * channels; entry 0 (rest) is zero.

        Raises:
            FacelmError: unknown stream.
        """
        return self.network(stream).codebook().detach()

    def columns(self, stream: int) -> list[int]:
        """Columns of the layout that the stream at this position has, in the network's order."""
        return self._columns[stream]

    # ------------------------------------------------------------------ training

    def forward(self, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstructs a padded batch.

        Args:
            values: float32 (B, S * downsample, D) in the layout's units.
            mask: bool (B, S); steps that are False are padding: no codes, no loss, no influence.

        Returns:
            reconstruction (B, S * downsample, D); codes int64 (B, S, streams); commitment loss, mean over networks.
        """
        out = torch.zeros_like(values)
        codes: list[Tensor] = [torch.empty(0)] * len(self.streams)
        losses = []
        for network, members in self.shared():
            # Streams that share a network go through it as one batch, so that its codebook learns from both at once.
            x = torch.cat([values[..., self._columns[i]] for i in members])
            result = network(x, mask.repeat(len(members), 1))
            losses.append(result.commitment)
            parts = zip(members, result.motion.chunk(len(members)), result.codes.chunk(len(members)), strict=True)
            for i, motion, code in parts:
                out[..., self._columns[i]] = motion
                codes[i] = code
        return out, torch.stack(codes, -1), torch.stack(losses).mean()

    # ------------------------------------------------------------------ encoding and decoding

    def prepare(self, motion: FaceMotion) -> np.ndarray:
        """Values (T, D) of a motion in this tokenizer's layout and rate; angles in radians."""
        if motion.layout.name != self.layout.name:
            motion = motion.to(self.layout.name)
        if float(motion.fps) != self.fps:
            motion = motion.resample(self.fps)
        return np.asarray(motion.values)

    def encode(self, motion: FaceMotion) -> EncodedMotion:
        """Codes of a motion of any length, layout and rate; the last frame is repeated to fill the last step.

        Raises:
            FacelmError: the motion's layout can't be converted to the tokenizer's.
        """
        return self.encode_batch([motion])[0]

    def encode_batch(self, motions: Sequence[FaceMotion]) -> list[EncodedMotion]:
        """Codes of several motions; many short ones go through the networks together."""
        values = [self.prepare(m) for m in motions]
        steps = [-(-len(v) // self.downsample) for v in values]
        padded = [
            np.pad(v, ((0, n * self.downsample - len(v)), (0, 0)), "edge") for v, n in zip(values, steps, strict=True)
        ]
        out: list[EncodedMotion] = [EncodedMotion(np.empty(0))] * len(values)
        for group in _groups(steps):
            batch = torch.zeros(len(group), max(steps[i] for i in group) * self.downsample, self.layout.width)
            for row, i in enumerate(group):
                batch[row, : len(padded[i])] = torch.from_numpy(padded[i])
            codes = self._codes(batch, [steps[i] for i in group])
            for row, i in enumerate(group):
                out[i] = EncodedMotion(codes[row, : steps[i]], frames=len(values[i]))
        return out

    @torch.inference_mode()
    def _codes(self, batch: Tensor, steps: list[int]) -> np.ndarray:
        """(B, S * downsample, D) and lengths in steps to int64 (B, S, streams)."""
        device = next(self.parameters()).device
        total = batch.shape[1] // self.downsample
        mask = torch.arange(total) < torch.tensor(steps)[:, None]
        out = np.zeros((len(batch), total, len(self.streams)), np.int64)
        for i in range(len(self.streams)):
            network = self.network(i)
            for lo, start, end, hi in _chunks(total, network.encoder.reach):
                frames = batch[:, lo * self.downsample : hi * self.downsample, self._columns[i]].to(device)
                z = network.latents(frames, mask[:, lo:hi].to(device))[:, start - lo : end - lo]
                out[:, start:end, i] = network.nearest(z.flatten(0, 1)).reshape(len(z), -1).cpu().numpy()
        return out

    def decode(self, tokens: EncodedMotion | np.ndarray) -> FaceMotion:
        """The motion of an `EncodedMotion` or of codes (steps, streams), at the tokenizer's fps, within the channels'
        ranges.

        Raises:
            FacelmError: wrong shape, no steps, or a code out of range (names step and stream).
        """
        return self.decode_batch([tokens])[0]

    def decode_batch(self, tokens: Iterable[EncodedMotion | np.ndarray]) -> list[FaceMotion]:
        """The motions of several token arrays; many short ones go through the networks together."""
        encoded = [t if isinstance(t, EncodedMotion) else EncodedMotion(np.asarray(t)) for t in tokens]
        codes = [self._checked(e) for e in encoded]
        steps = [len(c) for c in codes]
        out: list[FaceMotion | None] = [None] * len(codes)
        for group in _groups(steps):
            batch = torch.zeros(len(group), max(steps[i] for i in group), len(self.streams), dtype=torch.long)
            for row, i in enumerate(group):
                batch[row, : steps[i]] = torch.from_numpy(codes[i])
            values = self._values(batch, [steps[i] for i in group])
            for row, i in enumerate(group):
                frames = encoded[i].frames or steps[i] * self.downsample
                out[i] = FaceMotion(np.clip(values[row, :frames], self._low, self._high), self.fps, self.layout.name)
        return [m for m in out if m is not None]

    @torch.inference_mode()
    def _values(self, codes: Tensor, steps: list[int]) -> np.ndarray:
        """int64 (B, S, streams) and lengths in steps to float32 (B, S * downsample, D)."""
        device = next(self.parameters()).device
        total, r = codes.shape[1], self.downsample
        mask = torch.arange(total) < torch.tensor(steps)[:, None]
        out = np.zeros((len(codes), total * r, self.layout.width), np.float32)
        for i, columns in enumerate(self._columns):
            network = self.network(i)
            for lo, start, end, hi in _chunks(total, network.decoder.reach):
                z = network.codebook()[codes[:, lo:hi, i].to(device)]
                x = network.motion(z, mask[:, lo:hi].to(device))[:, (start - lo) * r : (end - lo) * r]
                out[:, start * r : end * r, columns] = x.cpu().numpy()
        return out

    def _checked(self, encoded: EncodedMotion) -> np.ndarray:
        codes = np.asarray(encoded.codes)
        names = ", ".join(s.name for s in self.streams)
        if codes.ndim != 2 or codes.shape[1] != len(self.streams) or len(codes) == 0:
            raise FacelmError(
                f"codes have shape {codes.shape}: give (steps, {len(self.streams)}), at least one step of {names}"
            )
        if codes.dtype.kind not in "iu":
            raise FacelmError(f"codes are {codes.dtype}: give whole numbers")
        sizes = np.array([s.codes for s in self.streams])
        bad = np.argwhere((codes < 0) | (codes >= sizes))
        if len(bad):
            step, stream = bad[0]
            s = self.streams[stream]
            raise FacelmError(f"step {step}: code {codes[step, stream]} of {s.name} is not in 0..{s.codes - 1}")
        frames = encoded.frames
        if frames is not None and not (len(codes) - 1) * self.downsample < frames <= len(codes) * self.downsample:
            raise FacelmError(f"{len(codes)} steps of {self.downsample} frames can't make {frames} frames")
        return codes.astype(np.int64)

    # ------------------------------------------------------------------ files

    def save_pretrained(self, directory: str | Path) -> None:
        """Writes `config.json` and `model.safetensors` (weights, codebooks, scales) to a folder, all or nothing.

        Raises:
            FacelmError: the folder can't be written.
        """
        from safetensors.torch import save_file

        with atomic_folder(directory) as folder:
            tensors = {k: v.detach().cpu().contiguous() for k, v in self.state_dict().items()}
            save_file(tensors, folder / WEIGHTS_FILE)
            text = {"format": "facelm-motion-tokenizer", "version": FORMAT_VERSION, "fingerprint": self.fingerprint}
            text["config"] = self.config.to_dict()
            (folder / CONFIG_FILE).write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def from_pretrained(cls, directory: str | Path) -> MotionTokenizer:
        """Reads a folder written by `save_pretrained`.

        Raises:
            FacelmError: the folder or a file is missing, of another version, or damaged.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        folder = Path(directory)
        for name in (CONFIG_FILE, WEIGHTS_FILE):
            if not (folder / name).is_file():
                raise FacelmError(
                    f"{folder} has no {name}: give a motion tokenizer's folder, as recipes/tokenizer.py writes it"
                )
        try:
            text = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
            version, config = text["version"], text["config"]
        except (ValueError, KeyError, TypeError) as e:
            raise FacelmError(
                f"{folder / CONFIG_FILE}: not a motion tokenizer's config, save the tokenizer again"
            ) from e
        if version != FORMAT_VERSION:
            raise FacelmError(
                f"{folder} is of tokenizer format {version}, this facelm reads {FORMAT_VERSION}: train it anew"
            )
        model = cls(TokenizerConfig.from_dict(config))
        try:
            model.load_state_dict(load_file(folder / WEIGHTS_FILE))
        except (SafetensorError, RuntimeError) as e:
            raise FacelmError(
                f"{folder / WEIGHTS_FILE}: damaged or not of this config, save the tokenizer again"
            ) from e
        if model.fingerprint != text.get("fingerprint"):
            raise FacelmError(f"{folder}: weights and config do not belong together, save the tokenizer again")
        return model.eval()


def _chunks(total: int, halo: int) -> Iterator[tuple[int, int, int, int]]:
    """Pieces [start, end) of `total` steps with the context [lo, hi) that makes them equal to the whole."""
    for start in range(0, total, CHUNK_STEPS):
        end = min(total, start + CHUNK_STEPS)
        yield max(0, start - halo), start, end, min(total, end + halo)


def _groups(steps: list[int]) -> Iterator[list[int]]:
    """Indices of similar lengths together, at most 64 and CHUNK_STEPS padded steps in a group (or one long motion)."""
    group: list[int] = []
    for i in sorted(range(len(steps)), key=lambda i: steps[i]):
        if group and (len(group) == 64 or steps[i] * (len(group) + 1) > CHUNK_STEPS):
            yield group
            group = []
        group.append(i)
    if group:
        yield group
