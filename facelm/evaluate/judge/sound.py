"""Sound as the judge of speech hears it: log-mel bands at 100 frames a second."""

from functools import cache

import numpy as np
import torch
from torch import Tensor

RATE = 16_000  # samples/s
HOP = 160  # samples, 10 ms
WINDOW = 400  # samples, 25 ms
BANDS = 64
_FFT = 512
_FLOOR = 1e-6  # of a band's power, -60 dB of full scale


def log_mel(samples: np.ndarray) -> Tensor:
    """Log10 of the power in mel bands, float32 (frames, 64), of samples (N,) at 16 kHz; N // 160 frames, at least 1.

    Frame i is centred on i * 10 ms; beyond the ends there is silence.
    """
    sound = torch.from_numpy(np.ascontiguousarray(samples, np.float32))
    spectrum = torch.stft(
        sound, _FFT, HOP, WINDOW, torch.hann_window(WINDOW), center=True, pad_mode="constant", return_complex=True
    )
    power = spectrum.abs().square() / WINDOW
    bands = (_filters() @ power).clamp(min=_FLOOR).log10()
    return bands.T[: max(1, len(sound) // HOP)].contiguous()


@cache
def _filters() -> Tensor:
    """Triangles of equal width on the mel scale (HTK's), float32 (BANDS, bins), from 0 to 8 kHz."""
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1)
    bins = np.linspace(0, RATE / 2, _FFT // 2 + 1)
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    return torch.from_numpy(np.maximum(0, np.minimum(rising, falling)).astype(np.float32))
