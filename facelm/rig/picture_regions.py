"""The picture of the regions in the documentation: `python -m facelm.rig.picture_regions docs/regions.png`."""

import sys
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from facelm.files import atomic_path
from facelm.rig.load import load_rig
from facelm.rig.render import INK, PAPER, Stage
from facelm.rig.surface import Surface, surfaces

PLAIN, MARKED = np.array([214, 208, 202]), np.array([222, 96, 72])
SIZE = 300


def main(path: str) -> None:
    """Write a picture with the four regions of the default head side by side, each with its number of vertices."""
    rig = load_rig()
    names = ("lips", "upper_face", "face", "eyes")
    sheet = Image.new("RGB", (SIZE * len(names), SIZE + 30), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(17)
    for i, name in enumerate(names):
        region = rig.regions[name]

        def painted(surface: Surface, region: np.ndarray = region) -> Surface:
            share = np.clip((surface.points @ region.astype(np.float32))[:, None], 0, 1)
            color = PLAIN + share * (MARKED - PLAIN)
            shade = np.column_stack([color, np.full(len(color), 255)]).astype(np.uint8)
            return replace(surface, texture=None, uv=None, shade=shade)

        parts = tuple(painted(s) for s in surfaces(rig, smooth=True) if s.name != "lashes")
        with Stage(parts, SIZE) as stage:
            sheet.paste(Image.fromarray(stage.picture(rig.rest)), (i * SIZE, 0))
        draw.text((i * SIZE + 12, SIZE + 4), f"{name}: {region.sum():,} vertices", fill=INK, font=font)
    with atomic_path(path) as temporary:
        sheet.quantize(128).save(temporary, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "docs/regions.png")
