"""Face rigs: from motion values to vertices, pictures and GLB files."""

from facelm.rig.blendshape import BlendshapeRig, load_rig

__all__ = ["BlendshapeRig", "load_rig"]
