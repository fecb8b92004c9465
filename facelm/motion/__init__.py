"""Facial motion: layouts with named channels, sequences of frames, files."""

from facelm.motion.files import load_motion
from facelm.motion.layout import ARKIT, LIVELINK, Channel, Layout, convert, layout
from facelm.motion.livelink import LoadReport
from facelm.motion.sequence import FaceMotion

__all__ = ["ARKIT", "LIVELINK", "Channel", "FaceMotion", "Layout", "LoadReport", "convert", "layout", "load_motion"]
