"""What Unreal's LiveLinkFaceImporter does with a file, re-stated from reading its source; Unreal itself is not here."""

import re

import numpy as np
import pytest

from facelm import FaceMotion
from facelm.motion import load_motion, save_motion


def unreal_import(text):
    """Curve names, seconds (T,) and values (T, D) of the rows up to the first that does not fit the header."""
    header, *lines = [line for line in text.splitlines() if line]
    names = header.split(",")
    assert len(names) >= 3 and [name.lower() for name in names[:2]] == ["timecode", "blendshapecount"]
    seconds, values = [], []
    for line in lines:
        cells = [cell for cell in line.split(",") if cell]
        if len(cells) != len(names):
            break
        hours, minutes, second, frames = cells[0].split(":")
        seconds.append(int(hours) * 3600 + int(minutes) * 60 + int(second) + float(frames) / 60)
        values.append([float(re.match(r"[-+\d.]+", cell)[0]) for cell in cells[2:]])  # atof: no exponent is lost
        assert "e" not in line.lower()
    return names[2:], np.array(seconds), np.array(values)


@pytest.mark.parametrize("rate", [24, 25, 29.97, 30, 50, 59.94, 60])
def test_unreal_would_import_every_frame(tmp_path, rate):
    values = np.random.default_rng(0).normal(0, 0.5, (200, 61)).astype(np.float32)
    values[0, 0] = 1e-12
    motion = FaceMotion(values, rate, "livelink", start=3600.25)
    save_motion(motion, tmp_path / "Slate_1_Me.csv")
    names, seconds, read = unreal_import((tmp_path / "Slate_1_Me.csv").read_text())
    assert tuple(names) == motion.layout.names
    np.testing.assert_allclose(read, values, rtol=1e-6)
    np.testing.assert_allclose(seconds, 3600.25 + motion.times(), atol=1 / 60_000)


def test_a_take_with_short_rows_arrives_whole_only_after_conversion(tmp_path, fixtures):
    take = fixtures / "take_30fps_short_rows.csv"
    assert len(unreal_import(take.read_text())[1]) == 7
    save_motion(load_motion(take)[0], tmp_path / "whole.csv")
    assert len(unreal_import((tmp_path / "whole.csv").read_text())[1]) == 30
