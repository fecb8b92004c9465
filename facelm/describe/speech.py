"""Where a mouth talks, and what of its movement speech explains."""

import numpy as np
from scipy.ndimage import gaussian_filter1d, grey_opening
from scipy.signal import find_peaks

from facelm.describe.tracks import COLUMNS, FPS, KEYS, Tracks

SYLLABLE = 0.04  # of the mouth's opening: rise and fall that make a syllable
LONGEST_SYLLABLE = 0.5  # s at half its height; slower movements are expressions
SLOWEST = 1.0  # s from syllable to syllable; words said one by one leave that much
SYLLABLES = 3  # in a row, at least
LONGEST_PAUSE = 1.0  # s between two stretches of talk that still belong together
HELD = 0.9  # s for which a mouth unit goes on through speech to count as held
SPEECH_UNITS = frozenset(
    (
        "AU10",
        "AU14",
        "AU15",
        "AU16",
        "AU17",
        "AU18",
        "AU19",
        "AU20",
        "AU22",
        "AU24",
        "AU26",
        "AU28",
        "AU29",
        "AU30",
        "M60",
    )
)
_SPOKEN = [COLUMNS[key] for key in KEYS if key[0] in SPEECH_UNITS]


def talking(curves: Tracks) -> list[tuple[int, int]]:
    """Frame ranges in which the mouth opens shortly three times or more in a row, each time for under 0.5 s.

    Lips apart and lower lip down together make the opening, so that speech with a still jaw is seen too.
    """
    if len(curves) < 3:
        return []
    lower = curves.levels[:, [COLUMNS["AU16", "left"], COLUMNS["AU16", "right"]]].mean(axis=1)
    opening = gaussian_filter1d(curves.mouth + 0.5 * lower, 0.7)
    peaks, _ = find_peaks(opening, prominence=SYLLABLE, width=(None, LONGEST_SYLLABLE * FPS))
    runs: list[list[int]] = []
    for peak in peaks.tolist():
        if runs and peak - runs[-1][-1] <= SLOWEST * FPS:
            runs[-1].append(peak)
        else:
            runs.append([peak])
    margin = round(0.16 * FPS)
    stretches: list[tuple[int, int]] = []
    for run in runs:
        if len(run) < SYLLABLES:
            continue
        begin, end = max(0, run[0] - margin), min(len(opening), run[-1] + margin + 1)
        if stretches and begin - stretches[-1][1] <= LONGEST_PAUSE * FPS:
            stretches[-1] = (stretches[-1][0], end)
        else:
            stretches.append((begin, end))
    return stretches


def held_through_speech(levels: np.ndarray, speech: list[tuple[int, int]]) -> np.ndarray:
    """Unit levels (T, K) in which, while the mouth talks, mouth units keep only what lasts 0.9 s."""
    if not speech:
        return levels
    kept = levels.copy()
    size = (min(len(levels), round(HELD * FPS)), 1)
    for begin, end in speech:
        around = slice(max(0, begin - size[0]), min(len(levels), end + size[0]))
        opened = grey_opening(levels[around][:, _SPOKEN], size=size)
        kept[begin:end, _SPOKEN] = opened[begin - around.start : end - around.start]
    return kept
