"""Pictures of a face, rendered off-screen with VTK: stills, contact sheets, frames of a film."""

import ctypes
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from facelm.errors import FacelmError
from facelm.motion import FaceMotion
from facelm.motion.layout import SHAPES
from facelm.rig.blendshape import BlendshapeRig
from facelm.rig.flame import FlameRig
from facelm.rig.load import default_rig, rig_for
from facelm.rig.surface import Surface, is_default_head, surfaces, texture

BACKGROUND = ((0.93, 0.935, 0.945), (0.70, 0.725, 0.76))  # top and bottom are mixed between the two, linear RGB 0..1
LIGHTS = (  # from (x, y, z), colour, strength; the camera looks along -z
    ((-0.9, 1.0, 1.5), (1.0, 0.96, 0.90), 0.85),
    ((1.4, 0.25, 0.9), (0.80, 0.88, 1.0), 0.30),
    ((0.0, -0.8, 1.2), (1.0, 0.90, 0.85), 0.12),
    ((0.8, 1.0, -1.6), (0.90, 0.95, 1.0), 0.55),
)
PAPER, INK = (226, 229, 234), (70, 76, 86)
CENTRE, HALF_HEIGHT, VIEW_ANGLE = (0.0, 0.715, 0.05), 0.158, 14.0  # of the default head
# Of other heads, in heights of the eyes above the mouth: the same view of the default head.
CENTRE_BELOW_EYES, CENTRE_BEHIND_EYES, HALF_HEIGHT_PER_EYES = 0.2, 1.1, 2.4


def _vtk() -> Any:
    """VTK; on Linux it renders through EGL, which needs no display (and no warning that there is none).

    Raises FacelmError when the machine has no EGL, which would otherwise end the process.
    """
    if sys.platform == "linux":
        _check_egl()
        os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
    import vtkmodules.all as vtk

    return vtk


@lru_cache(maxsize=1)
def _check_egl() -> None:
    count = ctypes.c_int(0)
    try:
        library = ctypes.CDLL("libEGL.so.1")
        library.eglGetProcAddress.restype = ctypes.c_void_p
        address = library.eglGetProcAddress(b"eglQueryDevicesEXT")
        if address:
            ctypes.CFUNCTYPE(ctypes.c_uint, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(address)(
                0, None, ctypes.addressof(count)
            )
    except OSError:
        pass
    if not count.value:
        raise FacelmError(
            "pictures need the system's EGL library, which this machine lacks: "
            "`apt-get install libegl1 libgl1-mesa-dri` (or write .glb, .csv or .npz instead)"
        )


def _texture(name: str) -> Any:
    vtk = _vtk()
    from vtkmodules.util.numpy_support import numpy_to_vtk

    pixels = texture(name)
    image = vtk.vtkImageData()
    image.SetDimensions(pixels.shape[1], pixels.shape[0], 1)
    image.GetPointData().SetScalars(numpy_to_vtk(pixels[::-1].reshape(-1, 3), deep=1))
    out = vtk.vtkTexture()
    out.SetInputData(image)
    out.InterpolateOn()
    out.MipmapOn()
    out.SetMaximumAnisotropicFiltering(1.0)
    out.SetWrap(out.ClampToEdge)
    return out


@dataclass(frozen=True)
class View:
    """What a picture shows: `half_height` metres up and down from `centre` (x, y, z)."""

    centre: tuple[float, float, float] = CENTRE
    half_height: float = HALF_HEIGHT


def view_of(rig: BlendshapeRig | FlameRig) -> View:
    """The view that shows the head of a rig from the front, with some space around it."""
    if is_default_head(rig):
        return View()
    if rig.centres is None:
        low, high = rig.rest.min(0), rig.rest.max(0)
        x, y, z = (float(part) for part in (low + high) / 2)
        return View((x, y, z), 0.55 * float((high - low)[:2].max()))
    eyes, mouth = rig.centres
    height = float(eyes[1] - mouth[1])
    x, y, z = (float(part) for part in eyes - height * np.array([0, CENTRE_BELOW_EYES, CENTRE_BEHIND_EYES]))
    return View((x, y, z), HALF_HEIGHT_PER_EYES * height)


class Stage:
    """Surfaces of a rig before a camera with soft lights, size x size pixels; use it in a `with` block."""

    def __init__(self, parts: tuple[Surface, ...], size: int, view: View = View()):  # noqa: B008  (frozen)
        vtk = _vtk()
        self.size = size
        self.renderer = vtk.vtkRenderer()
        self.renderer.SetBackground(*BACKGROUND[1])
        self.renderer.SetBackground2(*BACKGROUND[0])
        self.renderer.GradientBackgroundOn()
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.SetMultiSamples(0)
        self.window.SetSize(size, size)
        self.window.AddRenderer(self.renderer)
        self.renderer.UseFXAAOn()
        self.parts = [(surface, *self._add(surface)) for surface in parts]
        self.renderer.RemoveAllLights()
        self.renderer.AutomaticLightCreationOff()
        for position, color, strength in LIGHTS:
            light = vtk.vtkLight()
            light.SetLightTypeToSceneLight()
            light.SetPosition(*(c + p for c, p in zip(view.centre, position, strict=True)))
            light.SetFocalPoint(*view.centre)
            light.SetColor(*color)
            light.SetIntensity(strength)
            self.renderer.AddLight(light)
        camera = self.renderer.GetActiveCamera()
        camera.SetViewAngle(VIEW_ANGLE)
        distance = view.half_height / np.tan(np.deg2rad(VIEW_ANGLE / 2))
        x, y, z = view.centre
        camera.SetFocalPoint(x, y, z)
        camera.SetPosition(x, y, z + distance)
        camera.SetViewUp(0, 1, 0)
        camera.SetClippingRange(distance - 0.5, distance + 0.5)

    def _add(self, surface: Surface) -> tuple[Any, np.ndarray, np.ndarray]:
        vtk = _vtk()
        from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray

        count = surface.points.shape[0]
        data, places, normals = vtk.vtkPolyData(), np.zeros((count, 3), np.float32), np.zeros((count, 3), np.float32)
        points = vtk.vtkPoints()
        points.SetData(numpy_to_vtk(places))
        data.SetPoints(points)
        data.GetPointData().SetNormals(numpy_to_vtk(normals))
        cells = vtk.vtkCellArray()
        offsets = np.arange(0, surface.triangles.size + 1, 3, dtype=np.int64)
        cells.SetData(
            numpy_to_vtkIdTypeArray(offsets, deep=1),
            numpy_to_vtkIdTypeArray(surface.triangles.ravel().astype(np.int64), deep=1),
        )
        data.SetPolys(cells)
        mapper = vtk.vtkPolyDataMapper()
        mapper.SetInputData(data)
        actor = vtk.vtkActor()
        actor.SetMapper(mapper)
        look = actor.GetProperty()
        look.SetInterpolationToPhong()
        look.SetAmbient(0.30)
        look.SetDiffuse(0.80)
        look.SetSpecular(surface.gloss)
        look.SetSpecularPower(18 if surface.gloss < 0.5 else 70)
        look.SetColor(*(c / 255 for c in surface.color))
        if surface.shade is not None:
            colors = np.ascontiguousarray(surface.shade)
            data.GetPointData().SetScalars(numpy_to_vtk(colors, deep=1))
            mapper.SetColorModeToDirectScalars()
        if surface.texture and surface.uv is not None:
            data.GetPointData().SetTCoords(numpy_to_vtk(surface.uv * [1, -1] + [0, 1], deep=1))
            actor.SetTexture(_texture(surface.texture))
            look.SetColor(1, 1, 1)
        self.renderer.AddActor(actor)
        return data, places, normals

    def picture(self, vertices: np.ndarray) -> np.ndarray:
        """The picture uint8 (size, size, 3) of vertices (V, 3)."""
        from vtkmodules.util.numpy_support import vtk_to_numpy

        for surface, data, places, normals in self.parts:
            places[:] = surface.place(vertices)
            normals[:] = surface.normals(places)
            data.GetPoints().Modified()
            data.GetPointData().GetNormals().Modified()
            data.Modified()
        self.window.Render()
        pixels = _vtk().vtkUnsignedCharArray()
        self.window.GetRGBACharPixelData(0, 0, self.size - 1, self.size - 1, 0, pixels)
        return vtk_to_numpy(pixels).reshape(self.size, self.size, 4)[::-1, :, :3].copy()

    def close(self) -> None:
        """Free the window and the textures in it."""
        self.renderer.ReleaseGraphicsResources(self.window)
        self.window.Finalize()

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def still(motion: FaceMotion | np.ndarray, size: int = 512, rig: BlendshapeRig | FlameRig | None = None) -> np.ndarray:
    """A picture uint8 (size, size, 3) of one frame: the first of a motion, or an array of values (D,) as the `vertices`
    of the rig take them, 52 or 55 of the `arkit` layout for the default head.

    Without a rig, `facelm.rig.load.rig_for` says which is shown. Raises FacelmError for values of another width.
    """
    if isinstance(motion, FaceMotion):
        rig = rig or rig_for(motion.layout.name)
        posed = _posed(rig, motion, 0)
    else:
        rig = rig or default_rig()
        posed = rig.vertices(np.asarray(motion, np.float32), head=motion.shape[-1] != len(SHAPES))
    with Stage(surfaces(rig, smooth=True), size, view_of(rig)) as stage:
        return stage.picture(posed)


def frames(
    motion: FaceMotion,
    size: int = 512,
    fps: float | None = None,
    rig: BlendshapeRig | FlameRig | None = None,
    smooth: bool = True,
) -> Iterator[np.ndarray]:
    """Pictures uint8 (size, size, 3), one a frame, of a motion at its own rate or resampled to `fps`.

    smooth=False takes half the time, and nobody sees it in pictures of up to 256 pixels.
    """
    if fps is not None:
        motion = motion.resample(fps)
    rig = rig or rig_for(motion.layout.name)
    with Stage(surfaces(rig, smooth), size, view_of(rig)) as stage:
        for i in range(len(motion)):
            yield stage.picture(_posed(rig, motion, i))


def contact_sheet(
    motion: FaceMotion,
    count: int = 8,
    size: int = 256,
    columns: int = 4,
    rig: BlendshapeRig | FlameRig | None = None,
) -> np.ndarray:
    """A picture uint8 (rows * size, columns * size, 3): `count` moments from the first frame to the last, evenly
    spaced, each with its time in seconds. Fewer where the motion has fewer frames.
    """
    chosen = np.unique(np.linspace(0, len(motion) - 1, max(1, min(count, len(motion)))).round().astype(int))
    columns = min(columns, len(chosen))
    times, rig = motion.times()[chosen], rig or rig_for(motion.layout.name)
    sheet = Image.new("RGB", (columns * size, -(-len(chosen) // columns) * size), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size * 0.065)
    with Stage(surfaces(rig, smooth=True), size, view_of(rig)) as stage:
        for i, (frame, time) in enumerate(zip(chosen, times, strict=True)):
            corner = (i % columns * size, i // columns * size)
            sheet.paste(Image.fromarray(stage.picture(_posed(rig, motion, int(frame)))), corner)
            place = (corner[0] + size * 0.045, corner[1] + size * 0.035)
            draw.text(place, f"{time:.2f} s", fill=INK, font=font)
    return np.asarray(sheet)


def _posed(rig: BlendshapeRig | FlameRig, motion: FaceMotion, frame: int) -> np.ndarray:
    posed: np.ndarray = rig.vertices(motion[frame : frame + 1], head=True)
    return posed[0]
