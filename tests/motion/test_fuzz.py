"""Whatever a file holds, reading it gives a motion or a FacelmError: never another error, a hang or gigabytes."""

import gzip
import io
import json
import pickle
import resource
import time
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facelm import FaceMotion
from facelm.errors import FacelmError
from facelm.motion import load_motion, save_motion
from facelm.motion.formats.beat import NAMES
from facelm.rig import write_glb

SECONDS = 5.0
BYTES = 1 << 30
WORDS = (b"nan", b"-1", b"1e999", b"99999999999999999999", b"0", b"null", b"[]", b"{}", b'""', b"\xff\xfe", b"\0", b",")


def npz(**arrays):
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def saved(ending, motion, **options):
    def make(folder):
        save_motion(motion, folder / f"seed{ending}", **options)
        return (folder / f"seed{ending}").read_bytes()

    return make


def scene(folder):
    """Our own GLB without its geometry, so that most of what a mutation hits is read."""
    from facelm.motion.formats.gltf_document import Document

    write_glb(ARKIT, folder / "seed.glb")
    document = Document(folder / "seed.glb").json
    for key in ("materials", "textures", "images", "samplers", "skins"):
        document.pop(key, None)
    wanted = [s[key] for s in document["animations"][0]["samplers"] for key in ("input", "output")]
    values = [Document(folder / "seed.glb").accessor(index) for index in wanted]
    raw = b"".join(v.astype("<f4").tobytes() for v in values)
    offsets = np.cumsum([0, *(4 * v.size for v in values)]).tolist()
    document["accessors"] = [
        {"bufferView": 0, "byteOffset": o, "componentType": 5126, "count": len(v), "type": t}
        for o, v, t in zip(offsets, values, ["SCALAR", "SCALAR", "SCALAR", "VEC4"], strict=False)
    ]
    document["bufferViews"] = [{"buffer": 0, "byteOffset": 0, "byteLength": len(raw)}]
    import base64

    uri = "data:application/octet-stream;base64," + base64.b64encode(raw).decode()
    document["buffers"] = [{"byteLength": len(raw), "uri": uri}]
    document["animations"][0]["samplers"] = [{"input": 0, "output": 1}, {"input": 2, "output": 3}]
    mesh = document["meshes"][0]
    mesh["primitives"] = [{"attributes": {}, "targets": [{}] * 52}]
    return json.dumps(document).encode()


RNG = np.random.default_rng(0)
ARKIT = FaceMotion(RNG.uniform(0, 1, (6, 55)), 30, start=3600)
FLAME = FaceMotion(RNG.normal(0, 0.1, (6, 56)), 25, "flame56")
EXPRESSIONS = RNG.normal(0, 1, (6, 50)).astype(np.float32)
TABLE = "time,frame,_neutral,jawOpen,eyeBlink_L\n" + "".join(f"{i / 30:.3f},{i},0,0.{i},0.5\n" for i in range(6))
CATEGORIES = [
    {"timestamp_ms": i * 33, "faceBlendshapes": [{"categories": [{"categoryName": "jawOpen", "score": i / 9}]}]}
    for i in range(6)
]
SEEDS = {
    ".csv": [saved(".csv", ARKIT), lambda _: TABLE.encode(), lambda _: TABLE.replace("time", "note").encode()],
    ".csv.gz": [saved(".csv.gz", ARKIT), lambda _: gzip.compress(TABLE.encode())],
    ".txt": [
        lambda _: b"bs,jawOpen,eyeBlink_L\n" + b"".join(b"k,%d" % (i * 33) + b",0.1" * 12 + b"\n" for i in range(6))
    ],
    ".json": [
        saved(".json", ARKIT),
        lambda _: json.dumps(CATEGORIES).encode(),
        lambda _: json.dumps({"exportFps": 30, "facsNames": NAMES[:3], "weightMat": [[0, 1, 0.5]] * 4}).encode(),
    ],
    ".npz": [
        saved(".npz", ARKIT),
        lambda _: npz(weights=np.zeros((6, 2), np.float32), names=np.array(["jawOpen", "tongueOut"]), fps=30),
        lambda _: npz(exp=EXPRESSIONS, pose=np.zeros((6, 6), np.float32), shape=np.zeros(100, np.float32)),
        lambda _: npz(values=FLAME.values, fps=25.0, layout="flame56"),
    ],
    ".glb": [lambda folder: (write_glb(ARKIT, folder / "s.glb"), (folder / "s.glb").read_bytes())[1]],
    ".gltf": [scene],
    ".pkl": [
        lambda _: pickle.dumps(FLAME.values),
        lambda _: pickle.dumps({"exp": EXPRESSIONS, "pose": EXPRESSIONS[:, :6]}),
    ],
    ".npy": [lambda _: npy(FLAME.values)],
}


def npy(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seeds")
    return {ending: [make(folder) for make in makers] for ending, makers in SEEDS.items()}


@pytest.fixture(autouse=True)
def memory():
    """A gigabyte more than there is now, so that a reader that wants more fails."""
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def attempt(path, content):
    path.write_bytes(content)
    start = time.process_time()
    try:
        motion, report = load_motion(path)
    except FacelmError as error:
        assert str(path.name) in str(error) and len(str(error)) < 1500
    else:
        assert np.isfinite(motion.values).all() and motion.fps > 0 and report.rows > 0 and report.dialect
    assert time.process_time() - start < SECONDS


@st.composite
def mutations(draw):
    """A function of bytes: a few cuts, flips, insertions, doublings and words in place of numbers."""
    steps = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["cut", "flip", "insert", "remove", "double", "word", "word", "word"]),
                st.floats(0, 1, exclude_max=True),
                st.binary(min_size=1, max_size=6),
                st.integers(1, 40),
                st.sampled_from(WORDS),
            ),
            min_size=1,
            max_size=4,
        )
    )

    def mutate(content):
        for kind, where, raw, length, word in steps:
            at = int(where * len(content))
            if kind == "cut":
                content = content[:at]
            elif kind == "flip":
                content = content[:at] + raw + content[at + len(raw) :]
            elif kind == "insert":
                content = content[:at] + raw + content[at:]
            elif kind == "remove":
                content = content[:at] + content[at + length :]
            elif kind == "double":
                content = content[:at] + content[at : at + length] * 2 + content[at + length :]
            else:
                content = replace_number(content, at, word)
        return content

    return mutate


def replace_number(content, at, word):
    """The number (or other word) at or after a place, exchanged."""
    end = at
    while end < len(content) and content[end : end + 1] not in b"0123456789.-":
        end += 1
    start = end
    while end < len(content) and content[end : end + 1] in b"0123456789.-+e":
        end += 1
    return content[:start] + word + content[end:]


SLOW = (HealthCheck.too_slow, HealthCheck.function_scoped_fixture)


@pytest.mark.parametrize("ending", SEEDS)
def test_seeds_are_motions(seeds, tmp_path, ending):
    """Otherwise the mutations would try nothing."""
    for content in seeds[ending]:
        path = tmp_path / f"seed{ending}"
        path.write_bytes(content)
        options = {"fps": 25.0} if b"note," in content[:10] else {}
        assert len(load_motion(path, **options)[0]) >= 4


@pytest.mark.parametrize("ending", SEEDS)
def test_mutated_files(seeds, tmp_path, ending):
    @settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
    @given(index=st.integers(0, 9), mutate=mutations())
    def run(index, mutate):
        content = seeds[ending][index % len(seeds[ending])]
        attempt(tmp_path / f"mutated{ending}", mutate(content))

    run()


@pytest.mark.parametrize("ending", SEEDS)
def test_cut_off_files(seeds, tmp_path, ending):
    for content in seeds[ending]:
        for at in {0, 1, 2, 3, 8, 20, 64, *np.linspace(0, len(content) - 1, 25).astype(int).tolist()}:
            attempt(tmp_path / f"cut{ending}", content[:at])


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(
    ending=st.sampled_from([*SEEDS, "", ".bin", ".pt"]),
    start=st.sampled_from(
        [b"", b"glTF", b"PK\x03\x04", b"\x1f\x8b", b"{", b"[", b"\x93NUMPY", b"\x80\x04", b"bs,", b"k,"]
    ),
    rest=st.binary(max_size=200),
)
def test_random_bytes(tmp_path, ending, start, rest):
    attempt(tmp_path / f"random{ending}", start + rest)


@settings(max_examples=80, deadline=None, suppress_health_check=SLOW)
@given(
    document=st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(["jawOpen", "-1", "x"])),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.dictionaries(
                st.sampled_from(
                    ["names", "frames", "weights", "time", "fps", "blendshapes", "categoryName", "score", "facsNames"]
                    + ["weightMat", "asset", "animations", "nodes", "meshes", "accessors", "jawOpen", "timestamp"]
                ),
                inner,
                max_size=5,
            ),
        ),
        max_leaves=20,
    ),
    ending=st.sampled_from([".json", ".gltf"]),
)
def test_any_json(tmp_path, document, ending):
    attempt(tmp_path / f"any{ending}", json.dumps(document).encode())


@pytest.mark.parametrize("opening", [b"[", b'{"frames":', b'[{"blendshapes":', b'{"asset":', b'{"names":[],"weights":'])
@pytest.mark.parametrize("depth", [100, 900, 100_000])
def test_deep_json(tmp_path, opening, depth):
    attempt(tmp_path / "deep.json", opening * depth)
    closing = {b"[": b"]", b"{": b"}"}
    pairs = b"".join(closing[bytes([c])] for c in reversed(opening) if bytes([c]) in closing and c not in b",")
    attempt(tmp_path / "deep2.json", opening * depth + b"1" + pairs * depth)


def test_a_small_file_that_unpacks_to_gigabytes(tmp_path):
    zeros = b"\0" * (1 << 20)
    with zipfile.ZipFile(tmp_path / "b.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("values.npy", "w", force_zip64=True) as out:
            header = io.BytesIO()
            np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**7, 55)})
            out.write(header.getvalue())
            for _ in range(4):
                out.write(zeros)
        archive.writestr("layout.npy", npy(np.array("arkit")))
        archive.writestr("fps.npy", npy(np.array(30.0)))
    attempt(tmp_path / "b.npz", (tmp_path / "b.npz").read_bytes())
