"""Facial motion: layouts with named channels, sequences of frames, files."""

from facelm.motion.files import load_motion, save_motion
from facelm.motion.layout import (
    ARKIT,
    FLAME,
    FLAME56,
    FLAME106,
    LIVELINK,
    Channel,
    Layout,
    convert,
    head_angles,
    layout,
)
from facelm.motion.report import LoadReport
from facelm.motion.retarget import LinearMap
from facelm.motion.sequence import FaceMotion

__all__ = [
    "ARKIT",
    "FLAME",
    "FLAME56",
    "FLAME106",
    "LIVELINK",
    "Channel",
    "FaceMotion",
    "Layout",
    "LinearMap",
    "LoadReport",
    "convert",
    "head_angles",
    "layout",
    "load_motion",
    "save_motion",
]
