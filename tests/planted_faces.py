"""Motions with planted events, for the tests of what is read from motion."""

import numpy as np

from facelm.motion import FaceMotion
from facelm.motion.layout import ARKIT

FPS = 25


class Face:
    """A face at rest for some seconds, on which events are planted."""

    def __init__(self, seconds: float = 6.0) -> None:
        self.values = np.zeros((round(seconds * FPS), ARKIT.width))
        self.times = np.arange(len(self.values)) / FPS

    def raised(
        self, channels: str, level: float, onset: float, offset: float, rise: float = 0.4, fall: float = 0.4
    ) -> "Face":
        """Channels ("mouthSmile" means both sides) rise from `onset`, hold, and are back at `offset`."""
        names = [name for name in ARKIT.names if name in (channels, channels + "Left", channels + "Right")]
        curve = _step((self.times - onset) / rise) - _step((self.times - offset + fall) / fall)
        for name in names:
            self.values[:, ARKIT.index(name)] += level * curve
        return self

    def blinking(self, *times: float, depth: float = 0.95) -> "Face":
        for time in times:
            self.raised("eyeBlink", depth, time - 0.12, time + 0.2, rise=0.12, fall=0.16)
        return self

    def moving(self, channel: str, size: float, begin: float, rate: float, cycles: float) -> "Face":
        """A sine on a channel; half cycles make a dip."""
        x = (self.times - begin) * rate
        self.values[:, ARKIT.index(channel)] += np.where((x >= 0) & (x <= cycles), size * np.sin(2 * np.pi * x), 0)
        return self

    def talking(self, begin: float, end: float, rate: float = 4.0, size: float = 0.4) -> "Face":
        """The jaw opens `rate` times a second, with the lower lip and a funnel now and then."""
        inside = (self.times >= begin) & (self.times < end)
        syllables = np.clip(np.sin(2 * np.pi * rate * (self.times - begin)), 0, None) ** 2 * inside
        slow = 0.7 + 0.3 * np.sin(2 * np.pi * 0.9 * self.times)
        for channel, share in (("jawOpen", 1), ("mouthLowerDownLeft", 0.8), ("mouthLowerDownRight", 0.8)):
            self.values[:, ARKIT.index(channel)] += size * share * syllables * slow
        self.values[:, ARKIT.index("mouthFunnel")] += size * np.roll(syllables, 4) * (1 - slow)
        return self

    def resting(self, channel: str, level: float) -> "Face":
        self.values[:, ARKIT.index(channel)] += level
        return self

    def noisy(self, size: float, seed: int = 0) -> "Face":
        self.values += np.random.default_rng(seed).normal(0, size, self.values.shape)
        return self

    def motion(self) -> FaceMotion:
        values = self.values.copy()
        values[:, :52] = values[:, :52].clip(0, 1)
        return FaceMotion(values, FPS)


def _step(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * x * (10 + x * (6 * x - 15))
