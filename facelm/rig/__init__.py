"""Face rigs: from motion values to vertices, pictures and GLB files; `facelm.rig.export.export` writes any of them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from facelm.rig.base import Rig
from facelm.rig.blendshape import BlendshapeRig
from facelm.rig.flame import FlameRig, load_flame
from facelm.rig.load import load_rig

if TYPE_CHECKING:
    from facelm.rig.gltf import write_glb
    from facelm.rig.render import contact_sheet, frames, still

__all__ = [
    "BlendshapeRig",
    "FlameRig",
    "Rig",
    "contact_sheet",
    "frames",
    "load_flame",
    "load_rig",
    "still",
    "write_glb",
]

# Imported when first used: a language model that needs a rig's vertices need not load the picture libraries.
_HOMES = {
    "contact_sheet": "facelm.rig.render",
    "frames": "facelm.rig.render",
    "still": "facelm.rig.render",
    "write_glb": "facelm.rig.gltf",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'facelm.rig' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
