"""The judge of speech: do a sound and a face belong together? The head's pose is not looked at, as in paper 000.

Both sides become a few curves over time, and what is compared is whether these move together: a face that speaks other
words, or the right ones at another moment, does not match. That needs little data; a network that pools a whole window
into one vector, as for texts, learns nothing of use from ten minutes of speech.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facelm.errors import FacelmError
from facelm.evaluate.judge.base import Judge
from facelm.evaluate.judge.networks import Tracks
from facelm.evaluate.judge.sound import BANDS, HOP, RATE, log_mel
from facelm.fields import check_positive
from facelm.motion.layout import layout as named_layout


@dataclass(frozen=True)
class AudioJudgeConfig:
    """Sizes of an `AudioJudge`. Raises FacelmError for one that can't be.

    layout, fps: of the motions. seconds: of a window, the longest that is looked at. patch: frames a step. width,
    layers: of the convolutions of both sides. tracks: curves that are compared; D = steps of a window * tracks.
    """

    layout: str = "arkit"
    fps: float = 25.0
    seconds: float = 4.0
    patch: int = 1
    width: int = 64
    layers: int = 3
    tracks: int = 16

    def __post_init__(self) -> None:
        named_layout(self.layout)
        check_positive(self, "judge", "fps", "seconds", "patch", "width", "layers", "tracks")
        if (RATE / HOP * self.patch / self.fps) % 1:
            raise FacelmError(
                f"judge: {self.patch} frames at {self.fps:g} fps are no whole number of the sound's 10 ms; "
                "choose fps 25 or 50, or another patch"
            )
        if self.seconds * self.fps < 4 * self.patch:
            raise FacelmError(f"judge: a window of {self.seconds:g} s is too short to compare anything")


class AudioJudge(Judge):
    """Judge of sounds and motions; see `Judge`. Sounds are mono at 16 kHz and begin with their motion."""

    kind = "audio"
    head = False

    def __init__(self, config: AudioJudgeConfig, corpus: str = "") -> None:
        super().__init__(config, corpus)
        sizes = (config.width, config.layers, config.tracks)
        self.ticks = round(RATE / HOP * config.patch / config.fps)  # of 10 ms in a step
        self.motion_tracks = Tracks(len(self._columns), config.patch, *sizes)
        self.sound_tracks = Tracks(BANDS, self.ticks, *sizes)

    def motion_side(self, values: Tensor, mask: Tensor) -> Tensor:
        """(B, S * patch, C) normalised and bool (B, S) to (B, D)."""
        return self.motion_tracks(values, mask)

    def other_side(self, items: Sequence[Tensor]) -> Tensor:
        """(B, D) of sounds as `listen` gives them."""
        steps = self._steps(0)
        batch = torch.zeros(len(items), steps * self.ticks, BANDS)
        for row, bands in enumerate(items):
            batch[row, : len(bands)] = bands
        lengths = torch.tensor([-(-len(bands) // self.ticks) for bands in items])
        mask = torch.arange(steps) < lengths[:, None]
        return self.sound_tracks(batch.to(self.device), mask.to(self.device))

    def listen(self, samples: np.ndarray) -> Tensor:
        """The log-mel bands (frames, 64) of samples (N,), each less its mean, so that loudness does not matter."""
        bands = log_mel(samples[: round(self.config.seconds * RATE)])
        return bands - bands.mean(0)

    def embed_audio(self, sounds: Sequence[np.ndarray]) -> np.ndarray:
        """Embeddings (N, D) float32 of mono sounds (samples,) at 16 kHz.

        Of a sound longer than `config.seconds` only the beginning counts, and a warning says so; cut long ones and
        their motions into windows. Raises FacelmError for a sound that is empty, not mono or not finite, naming it.
        """
        for index, sound in enumerate(sounds):
            if np.ndim(sound) != 1 or not len(sound):
                raise FacelmError(f"sound {index} has the shape {np.shape(sound)}; give mono samples (N,) at 16 kHz")
            if not np.isfinite(sound).all():
                raise FacelmError(f"sound {index} holds a value that is not finite; mend the file")
        longest = round(self.config.seconds * RATE)
        self._warn("sounds", sum(len(sound) > longest + RATE / self.fps for sound in sounds), len(sounds))
        return self._in_batches([self.listen(np.asarray(sound)) for sound in sounds], self.other_side)

    @classmethod
    def from_about(cls, about: dict[str, Any], encoder: str | None) -> "AudioJudge":
        """An untrained judge of the shape that a config.json tells."""
        return cls(AudioJudgeConfig(**about["config"]), about["corpus"])

    def _about(self) -> dict[str, Any]:
        return {"kind": self.kind, "config": asdict(self.config), "corpus": self.corpus}

    def _steps(self, most: int) -> int:
        """Always those of a whole window, so that every embedding has one width."""
        return self._frames() // self.config.patch
