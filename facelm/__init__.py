"""facelm teaches a language model to read and write facial motion.

The names below are imported when first used, so that `import facelm` and `facelm --help` answer at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facelm.agent import FaceLM
    from facelm.motion import FaceMotion
    from facelm.rig import load_rig
    from facelm.tokenizer import MotionTokenizer

__version__ = "0.1.0"
__all__ = ["FaceLM", "FaceMotion", "MotionTokenizer", "__version__", "load_rig"]

_HOMES = {
    "FaceLM": "facelm.agent",
    "FaceMotion": "facelm.motion",
    "MotionTokenizer": "facelm.tokenizer",
    "load_rig": "facelm.rig",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'facelm' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
