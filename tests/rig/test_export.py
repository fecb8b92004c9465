import subprocess
import sys

import imageio.v2 as imageio
import imageio_ffmpeg
import numpy as np
import pytest
import soundfile
from PIL import Image

from facelm import FaceMotion
from facelm.errors import FacelmError
from facelm.rig import contact_sheet, frames, load_rig, still
from facelm.rig.export import ENDINGS, export, write_film
from facelm.rig.surface import subdivide, surfaces

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:imageio")


def smile(frames=10, fps=25):
    values = np.zeros((frames, 55), np.float32)
    values[:, 23:25] = np.linspace(0, 1, frames)[:, None]
    return FaceMotion(values, fps, metadata={"generator": "facelm 0.1.0", "prompt": "Smile."})


def look(**channels):
    names = smile().layout.names
    values = np.zeros(55)
    for name, value in channels.items():
        values[names.index(name)] = value
    return still(values, 192).astype(float)


def test_films_have_sound_as_long_as_their_pictures(tmp_path):
    pictures = [np.full((64, 64, 3), 8 * i, np.uint8) for i in range(25)]
    soundfile.write(tmp_path / "a.flac", np.sin(np.arange(80_000) / 10), 16_000)  # 5 s
    write_film(pictures, tmp_path / "a.mp4", 25, sound=tmp_path / "a.flac")
    told = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-i", tmp_path / "a.mp4"], capture_output=True, text=True, check=False
    ).stderr
    assert "Audio: aac" in told and "Video: h264" in told
    with imageio.get_reader(tmp_path / "a.mp4") as film:
        assert film.count_frames() == 25 and film.get_meta_data()["duration"] < 1.3


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_ending_is_written_whole(ending, tmp_path):
    export(smile(), tmp_path / f"a{ending}")
    assert [p.name for p in tmp_path.iterdir()] == [f"a{ending}"]
    assert (tmp_path / f"a{ending}").stat().st_size > 500


def test_another_ending_names_those_known(tmp_path):
    with pytest.raises(FacelmError, match=r"x\.fbx has no ending .*\.glb \(animated head\)"):
        export(smile(), tmp_path / "x.fbx")


def test_curves_come_back_from_csv_and_npz(tmp_path):
    for name in ("a.csv", "a.npz"):
        export(smile(), tmp_path / name)
        np.testing.assert_allclose(FaceMotion.load(tmp_path / name).to("arkit").values, smile().values, atol=1e-6)


def test_mp4_plays_in_browsers_and_says_that_it_is_generated(tmp_path):
    export(smile(15, 29.97), tmp_path / "a.mp4")
    with imageio.get_reader(tmp_path / "a.mp4") as film:
        facts, count = film.get_meta_data(), film.count_frames()
    assert facts["codec"] == "h264" and facts["pix_fmt"].startswith("yuv420p")
    assert count == 15 and facts["fps"] == pytest.approx(29.97, abs=0.01)
    told = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-i", tmp_path / "a.mp4"], capture_output=True, text=True, check=False
    ).stderr
    assert "generator: facelm 0.1.0; prompt: Smile." in told


def test_gif_keeps_the_duration_and_says_that_it_is_generated(tmp_path):
    export(smile(25), tmp_path / "a.gif")
    film = Image.open(tmp_path / "a.gif")
    assert film.info["comment"].startswith(b"generator: facelm")
    shown = 0
    for i in range(film.n_frames):
        film.seek(i)
        shown += film.info["duration"]
    assert shown == pytest.approx(1000, abs=80)


def test_contact_sheet_has_one_cell_a_moment():
    assert contact_sheet(smile(), count=6, size=64, columns=3).shape == (128, 192, 3)
    assert contact_sheet(smile(1), count=6, size=64).shape == (64, 64, 3)


def test_frames_follow_the_asked_rate():
    pictures = list(frames(smile(25), size=48, fps=12.5))
    assert len(pictures) == 13 and pictures[0].shape == (48, 48, 3) and pictures[0].dtype == np.uint8


def test_pictures_show_the_face_and_its_movement():
    rest = look()
    corner, middle = rest[4:20, 4:20].mean((0, 1)), rest[90:110, 90:102].mean((0, 1))
    assert corner[2] >= corner[0] and middle[0] > middle[2] + 30  # cool background, warm skin
    np.testing.assert_array_equal(look(), rest)
    changed = np.abs(look(mouthSmileLeft=1.0) - rest).sum(2)
    assert changed[:, 96:].sum() > 2 * changed[:, :96].sum()  # the person's left is on the right of the picture
    assert np.abs(look(eyeLookUpLeft=0.8, eyeLookUpRight=0.8) - rest).max() > 60  # gaze is seen
    turned = np.abs(look(headYaw=0.5) - rest).sum(2)
    assert turned.max() > 60


def test_a_single_frame_can_be_written_as_film(tmp_path):
    for name in ("one.gif", "one.mp4", "one.png"):
        export(smile(1), tmp_path / name)
        assert (tmp_path / name).stat().st_size > 500


def test_the_shown_head_ends_in_a_plane_at_the_neck():
    rig = load_rig()
    for smooth in (False, True):
        skin = surfaces(rig, smooth)[0]
        points = skin.place(rig.rest)
        np.testing.assert_allclose(skin.points.sum(1), 1, atol=1e-5)
        sides = np.sort(skin.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), 1)
        edges, count = np.unique(sides, axis=0, return_counts=True)
        rim = points[np.unique(edges[count == 1])]
        rim = rim[rim[:, 1] < rig.neck_pivot[1] - 0.03] - rig.neck_pivot
        np.testing.assert_allclose(rim[:, 1] + 0.25 * rim[:, 2], -0.05, atol=1e-5)
        assert len(rim) > 20 and np.abs(points[:, 0]).max() < 0.12  # no shoulders


def test_subdivision_keeps_a_plane_and_fixed_points():
    from scipy import sparse

    x, y = np.meshgrid(np.arange(4.0), np.arange(4.0))
    places = np.column_stack([x.ravel(), y.ravel(), np.zeros(16)])
    quads = np.array([[r * 4 + c, r * 4 + c + 1, r * 4 + c + 5, r * 4 + c + 4] for r in range(3) for c in range(3)])
    fixed = np.zeros(16, bool)
    fixed[[0, 5]] = True
    points, finer = subdivide(sparse.identity(16, format="csr"), quads, fixed)
    assert finer.shape == (36, 4)
    moved = points @ places
    assert np.abs(moved[:, 2]).max() == 0
    np.testing.assert_array_equal(moved[[0, 5]], places[[0, 5]])
    np.testing.assert_allclose(moved[10], places[10])  # a regular grid stays where it is
    area = np.cross(moved[finer[:, 1]] - moved[finer[:, 0]], moved[finer[:, 3]] - moved[finer[:, 0]])[:, 2]
    assert (area > 0).all()


def test_nothing_is_printed_about_displays(tmp_path):
    script = "import numpy as np; from facelm.rig import still; still(np.zeros(52), 32)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""


def test_a_machine_without_egl_gets_a_sentence(monkeypatch):
    from facelm.rig import render

    def absent(name):
        raise OSError(name)

    render._check_egl.cache_clear()
    monkeypatch.setattr(render.ctypes, "CDLL", absent)
    monkeypatch.setattr(render.sys, "platform", "linux")
    with pytest.raises(FacelmError, match="apt-get install libegl1 libgl1-mesa-dri"):
        still(np.zeros(52), 32)
    render._check_egl.cache_clear()


def test_an_own_rig_without_parts_is_shown_in_plain_skin(tmp_path):
    head = load_rig()
    own = type(head)(head.rest, head.deltas, head.faces)
    (skin,) = surfaces(own, smooth=True)
    assert skin.texture is None and skin.uv is None
    export(smile(2), tmp_path / "own.glb", own)
    assert still(smile(), 48, own).std() > 10
