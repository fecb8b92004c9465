import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facelm import FaceMotion
from facelm.errors import FacelmError, MissingFileError
from facelm.motion import head_angles
from facelm.motion.layout import ARKIT, FLAME, FLAME56, FLAME106, LIVELINK, SHAPES
from facelm.motion.retarget import LinearMap


def motion(frames=5, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.uniform(0, 1, (frames, ARKIT.width)).astype(np.float32)
    values[:, 52:] = rng.uniform(-0.5, 0.5, (frames, 3))
    return FaceMotion(values, 30, start=7, metadata={"who": "a test"})


def a_map(source=ARKIT, target=FLAME56, seed=0):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(0, 0.3, (target.width, source.width))
    return LinearMap(source, target, matrix, rng.normal(0, 0.1, target.width), "made up")


@pytest.mark.parametrize("target", [FLAME56, FLAME106, FLAME, ARKIT, LIVELINK])
def test_a_map_keeps_time_range_and_head(target):
    source = motion()
    found = a_map(target=target).apply(source)
    assert (found.layout, found.rate, found.start, found.metadata) == (target, 30, 7, source.metadata)
    np.testing.assert_allclose(head_angles(found.values, target), source.values[:, 52:], atol=1e-5)
    for channel, column in zip(target.channels, found.values.T, strict=True):
        assert channel.low - 1e-6 <= column.min() and column.max() <= channel.high + 1e-6


def test_values_are_those_of_the_matrix():
    matrix = np.zeros((FLAME56.width, ARKIT.width))
    matrix[FLAME56.index("jawX"), ARKIT.index("jawOpen")] = 0.4
    offset = np.zeros(FLAME56.width)
    offset[FLAME56.index("expression2")] = -1
    source = motion()
    found = LinearMap(ARKIT, FLAME56, matrix, offset).apply(source)
    np.testing.assert_allclose(found.channel("jawX"), 0.4 * source.channel("jawOpen"), rtol=1e-6)
    np.testing.assert_array_equal(found.channel("expression2"), -1)


def test_another_layout_is_brought_into_the_maps_source_by_name():
    linear = a_map()
    np.testing.assert_array_equal(linear.apply(motion().to("livelink")).values, linear.apply(motion()).values)
    with pytest.raises(FacelmError, match="by names alone"):
        linear.apply(FaceMotion(np.zeros((2, 56)), 25, "flame56"))


@settings(max_examples=10, deadline=None)
@given(st.sampled_from([ARKIT, FLAME, FLAME106]), st.sampled_from([ARKIT, FLAME56, LIVELINK]), st.integers(0, 99))
def test_a_saved_map_is_the_same_map(tmp_path_factory, source, target, seed):
    path = tmp_path_factory.mktemp("maps") / "map.npz"
    linear = a_map(source, target, seed)
    linear.save(path)
    found = LinearMap.load(path)
    np.testing.assert_array_equal(found.matrix, linear.matrix)
    np.testing.assert_array_equal(found.offset, linear.offset)
    assert (found.source, found.target, found.note) == (source, target, "made up")


@pytest.mark.parametrize("rows", [50, 53, 56, 100, 103, 106, 117])
@pytest.mark.parametrize("columns", [51, 52, 55, 61])
@pytest.mark.parametrize("turned", [False, True])
def test_a_users_matrix_may_have_any_usual_size_and_either_orientation(rows, columns, turned, tmp_path):
    matrix = np.random.default_rng(0).normal(0, 1, (rows, columns)).astype(np.float32)
    np.save(tmp_path / "map.npy", matrix.T if turned else matrix)
    found = LinearMap.load(tmp_path / "map.npy")
    assert found.target == {50: FLAME56, 53: FLAME56, 56: FLAME56, 117: FLAME}.get(rows, FLAME106)
    assert found.source == (LIVELINK if columns == 61 else ARKIT)
    jaw = found.source.index("jawOpen")
    np.testing.assert_array_equal(found.matrix[:50, jaw], matrix[:50, SHAPES.index("jawOpen")])
    if rows in (53, 103):
        np.testing.assert_array_equal(found.matrix[found.target.index("jawX"), jaw], matrix[rows - 3, 17])
    if columns == 51:
        assert not found.matrix[:, found.source.index("tongueOut")].any()


def test_mediapipes_order_skips_the_neutral(tmp_path):
    names = ["_neutral", *sorted(name for name in SHAPES if name != "tongueOut")]
    matrix = np.random.default_rng(0).normal(0, 1, (50, 52)).astype(np.float32)
    np.savez(tmp_path / "map.npz", bs2exp=matrix)
    found = LinearMap.load(tmp_path / "map.npz", order="mediapipe")
    np.testing.assert_array_equal(found.matrix[:50, ARKIT.index("jawOpen")], matrix[:, names.index("jawOpen")])
    assert (found.matrix != 0).sum() == 50 * 51
    with pytest.raises(FacelmError, match="unknown order 'apple'"):
        LinearMap.load(tmp_path / "map.npz", order="apple")


def test_a_csv_may_name_rows_and_columns(tmp_path):
    text = "flame,jawOpen,eyeBlinkLeft\nexpression3,1.5,0\njawX,0.25,-1\n"
    (tmp_path / "map.csv").write_text(text)
    found = LinearMap.load(tmp_path / "map.csv")
    assert found.matrix[FLAME56.index("jawX"), ARKIT.index("jawOpen")] == 0.25
    assert found.matrix[FLAME56.index("jawX"), ARKIT.index("eyeBlinkLeft")] == -1
    assert (found.matrix != 0).sum() == 3
    (tmp_path / "turned.csv").write_text("shape,expression3,jawX\njawOpen,1.5,0.25\neyeBlinkLeft,0,-1\n")
    np.testing.assert_array_equal(LinearMap.load(tmp_path / "turned.csv").matrix, found.matrix)


def test_a_csv_with_a_header_alone_and_one_without(tmp_path):
    matrix = np.random.default_rng(0).normal(0, 1, (50, 52)).round(3)
    rows = "\n".join(",".join(map(str, row)) for row in matrix)
    (tmp_path / "plain.csv").write_text(rows)
    (tmp_path / "named.csv").write_text(",".join(reversed(SHAPES)) + "\n" + rows)
    plain, named = LinearMap.load(tmp_path / "plain.csv"), LinearMap.load(tmp_path / "named.csv")
    np.testing.assert_allclose(plain.matrix[:50, :52], matrix, atol=1e-6)
    np.testing.assert_allclose(named.matrix[:50, :52], matrix[:, ::-1], atol=1e-6)


def test_an_offset_is_kept(tmp_path):
    np.savez(tmp_path / "map.npz", matrix=np.zeros((53, 52)), offset=np.arange(53.0))
    found = LinearMap.load(tmp_path / "map.npz")
    assert found.offset[FLAME56.index("jawZ")] == 52 and found.offset[FLAME56.index("expression1")] == 1


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("map.npy", np.zeros((50, 40)), r"shape \(50, 40\)"),
        ("map.npy", np.zeros(50), r"shape \(50,\)"),
        ("map.npy", np.full((50, 52), np.nan), "not finite"),
        ("map.npy", np.array([{}]), "plain arrays"),
        ("map.npz", {"a": np.zeros((50, 52)), "b": np.zeros((6, 52))}, "2 matrices"),
        ("map.npz", {"matrix": np.zeros((50, 52)), "offset": np.zeros(3)}, "offset has the shape"),
        ("map.npz", {"source": np.array("arkit"), "target": np.array("mars"), "matrix": np.zeros((2, 2))}, "'mars'"),
        ("map.npz", {"source": np.array("arkit"), "target": np.array("flame"), "matrix": np.zeros((2, 2))}, "offset"),
        ("map.csv", "", "empty"),
        ("map.csv", "flame,jawOpen\njawX,1,2\n", "line 2"),
        ("map.csv", "flame,jawOpen\njawX,one\n", "line 2"),
        ("map.csv", "flame,jawWide\njawX,1\n", "jawWide"),
        ("map.csv", "flame,jawOpen\njawQ,1\n", "jawQ"),
        ("map.csv", b"\xff\xfe\x00", "UTF-8"),
        ("map.npz", b"no archive", "plain arrays"),
    ],
)
def test_files_that_are_no_map_are_explained(name, content, words, tmp_path):
    path = tmp_path / name
    if isinstance(content, np.ndarray):
        np.save(path, content, allow_pickle=True)
    elif isinstance(content, dict):
        np.savez(path, **content)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(FacelmError, match=words) as caught:
        LinearMap.load(path)
    assert str(path) in str(caught.value)


def test_a_missing_map_is_a_missing_file(tmp_path):
    with pytest.raises(MissingFileError):
        LinearMap.load(tmp_path / "absent.npz")


def test_arrays_of_other_layouts_are_refused():
    with pytest.raises(FacelmError, match=r"needs a matrix \(56, 55\)"):
        LinearMap(ARKIT, FLAME56, np.zeros((55, 56)), np.zeros(56))
