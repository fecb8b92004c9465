"""Write a motion in the form its file ending asks for."""

import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import imageio.v2 as imageio
import numpy as np
from PIL import Image, PngImagePlugin

from facelm.errors import FacelmError
from facelm.files import atomic_path
from facelm.motion import FaceMotion
from facelm.rig.blendshape import BlendshapeRig
from facelm.rig.flame import FlameRig
from facelm.rig.gltf import write_glb
from facelm.rig.render import contact_sheet, frames
from facelm.rig.surface import texture

ENDINGS = {
    ".csv": "Live Link Face curves",
    ".csv.gz": "the same, compressed",
    ".json": "BEAT curves",
    ".npz": "arrays with everything kept",
    ".glb": "animated head",
    ".png": "contact sheet",
    ".gif": "film",
    ".mp4": "film",
}
GIF_FPS, GIF_SIZE, MP4_SIZE = 12.5, 320, 512


def export(motion: FaceMotion, path: str | os.PathLike[str], rig: BlendshapeRig | FlameRig | None = None) -> None:
    """Write the motion as Live Link Face CSV (.csv, .csv.gz), BEAT JSON (.json), arrays (.npz), animated GLB, contact
    sheet (.png) or film (.gif at 12.5 frames/s, .mp4 at the motion's rate), by the ending of `path`.

    The file appears when it is complete. Pictures and films carry the motion's metadata as text or comment.
    Raises FacelmError for another ending, naming those known, or a folder that cannot be written.
    """
    ending = check_ending(path)
    if ending in (".csv", ".csv.gz", ".json", ".npz"):
        motion.save(path)
    elif ending == ".glb":
        write_glb(motion, path, rig)
    elif ending == ".png":
        with atomic_path(path) as temporary:
            notes = PngImagePlugin.PngInfo()
            for key, value in motion.metadata.items():
                notes.add_itxt(key, value)
            Image.fromarray(contact_sheet(motion, rig=rig)).save(temporary, pnginfo=notes)
    elif ending == ".gif":
        _write_gif(motion, path, rig)
    else:
        write_film(frames(motion, MP4_SIZE, rig=rig), path, motion.rate, _comment(motion))


def check_ending(path: str | os.PathLike[str]) -> str:
    """The ending of `path` when `export` knows it. Raises FacelmError naming those it knows."""
    name = Path(path).name.lower()
    for ending in sorted(ENDINGS, key=len, reverse=True):
        if name.endswith(ending):
            return ending
    known = ", ".join(f"{ending} ({what})" for ending, what in ENDINGS.items())
    raise FacelmError(f"{path} has no ending a motion can be written as; use {known}")


def _write_gif(motion: FaceMotion, path: str | os.PathLike[str], rig: BlendshapeRig | FlameRig | None) -> None:
    slow = motion.fps > GIF_FPS and len(motion) > 1
    pictures = [Image.fromarray(f) for f in frames(motion, GIF_SIZE, GIF_FPS if slow else None, rig)]
    # One palette for all frames, so that colours do not flicker.
    # The eyes are small: they are added once more, so that it keeps a place for their colours.
    sample = np.concatenate([np.asarray(p) for p in pictures[:: max(1, len(pictures) // 6)]], axis=1)
    eyes = Image.fromarray(texture("eye.png")).resize((GIF_SIZE, GIF_SIZE))
    sample = np.concatenate([sample, np.asarray(eyes)], axis=1)
    palette = Image.fromarray(sample).quantize(255, dither=Image.Dither.NONE)
    indexed = [p.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for p in pictures]
    milliseconds = round(1000 / (GIF_FPS if slow else motion.fps))
    with atomic_path(path) as temporary:
        indexed[0].save(
            temporary,
            save_all=True,
            append_images=indexed[1:],
            duration=max(20, milliseconds),
            loop=0,
            comment=_comment(motion).encode(),
        )


def write_film(
    pictures: Iterable[np.ndarray],
    path: str | os.PathLike[str],
    fps: float | Fraction,
    comment: str = "",
    sound: str | os.PathLike[str] | None = None,
) -> None:
    """Write pictures uint8 (height, width, 3) as a film (.mp4, H.264) that browsers play.

    sound: a sound file, heard as long as there are pictures.
    """
    options = {} if sound is None else {"audio_path": str(sound), "audio_codec": "aac"}
    ending = [] if sound is None else ["-shortest"]
    with atomic_path(path) as temporary:
        writer = imageio.get_writer(
            temporary,
            fps=fps,
            codec="libx264",
            pixelformat="yuv420p",
            macro_block_size=2,
            ffmpeg_log_level="error",
            output_params=["-crf", "20", "-movflags", "+faststart", "-metadata", f"comment={comment}", *ending],
            **options,
        )
        with writer:
            for picture in pictures:
                writer.append_data(picture)


def _comment(motion: FaceMotion) -> str:
    return "; ".join(f"{key}: {value}" for key, value in motion.metadata.items())
