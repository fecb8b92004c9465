import collections
import copyreg
import ctypes
import io
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import sparse

from facelm.errors import FacelmError
from facelm.motion.formats import pickles
from facelm.motion.formats.pickles import MAX_BYTES, load_pickle, unpickle

ALL = ("chumpy", "scipy.sparse")


def loads(data: bytes, tmp_path, allow=()):
    (tmp_path / "take.pkl").write_bytes(data)
    return load_pickle(tmp_path / "take.pkl", allow)


def refuses(data: bytes, tmp_path, says: str = "", allow=ALL) -> None:
    with pytest.raises(FacelmError, match=says) as caught:
        loads(data, tmp_path, allow)
    assert "take.pkl" in str(caught.value) and "\n" not in str(caught.value)


def equal(one, other) -> bool:
    if isinstance(one, np.ndarray):
        same = isinstance(other, np.ndarray) and one.shape == other.shape and one.dtype == other.dtype.newbyteorder("=")
        return same and all(equal(a, b) for a, b in zip(one.ravel().tolist(), other.ravel().tolist(), strict=True))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and all(map(equal, one, other))
    return one == other or one != one


# ---------------------------------------------------------------- what may be loaded

ARRAYS = [
    np.arange(6.0).reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(4, dtype=">i4"),
    np.array(["jaw", "öffnen"]),
    np.array([b"jaw"]),
    np.array([True, False]),
    np.zeros((0, 3), dtype=np.float32),
    np.array(2.5),
    np.array([1 + 2j]),
    np.float16([1]),
]


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_and_plain_containers_of_every_protocol(tmp_path, protocol):
    held = {
        "arrays": ARRAYS,
        "scalars": (np.float32(1.5), np.int64(3), np.bool_(True)),
        "nested": [{"a": (1, {2, 3}, frozenset({"x"}))}, None, 2**70, 1.5, 2j, "ü", b"\xff", b""],
        "ordered": collections.OrderedDict(b=1, a=2),
        "default": collections.defaultdict(list, {"k": [1]}),
        "objects": np.array([None, ARRAYS[0], "x"], dtype=object),
    }
    got = loads(pickle.dumps(held, protocol=protocol), tmp_path)
    assert equal(got["arrays"], [a.astype(a.dtype.newbyteorder("=")) for a in ARRAYS])
    assert got["scalars"] == (1.5, 3, True) and got["nested"] == held["nested"]
    assert got["ordered"] == {"b": 1, "a": 2} and got["default"] == {"k": [1]} and type(got["default"]) is dict
    assert got["objects"].dtype == object and np.array_equal(got["objects"][1], ARRAYS[0])
    got["arrays"][0][0, 0] = 7  # an array of its own, which may be written


def test_the_names_of_numpy_1(tmp_path):
    data = pickle.dumps({"a": ARRAYS[0]}, protocol=2).replace(b"numpy._core.", b"numpy.core.")
    assert np.array_equal(loads(data, tmp_path)["a"], ARRAYS[0])


def python2(array: np.ndarray) -> bytes:
    """The array as `cPickle.dumps(array, 2)` of Python 2 writes it: its bytes as a byte string."""
    raw = array.tobytes()
    return b"".join(
        [
            b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR(K\x01",
            b"(" + b"".join(b"K" + bytes([n]) for n in array.shape) + b"t",
            b"cnumpy\ndtype\nU\x02" + array.dtype.str[1:].encode() + b"K\x00K\x01\x87R(K\x03U\x01<NNN",
            b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89",
            b"T" + len(raw).to_bytes(4, "little") + raw + b"tb",
        ]
    )


def test_pickles_of_python_2_with_chumpy_and_sparse_matrices(tmp_path):
    rest, weights = np.arange(6.0).reshape(2, 3), np.array([0.5, 0.25])
    chumpy = b"cchumpy.ch\nCh\n)\x81}(U\x01x" + python2(rest) + b"U\x0b_dirty_varsc__builtin__\nset\n]\x85RU\x04_itrNub"
    old = b"ccopy_reg\n_reconstructor\n(cchumpy.ch\nCh\nc__builtin__\nobject\nNtR}U\x01x" + python2(weights) + b"sb"
    csc = b"cscipy.sparse.csc\ncsc_matrix\n)\x81}(U\x06_shapeK\x02K\x02\x86U\x06indptr"
    csc += python2(np.array([0, 1, 2], dtype="<i4")) + b"U\x07indices" + python2(np.array([1, 0], dtype="<i4"))
    csc += b"U\x04data" + python2(weights) + b"ub"
    data = b"\x80\x02}(U\x0av_template" + chumpy + b"U\x01w" + old + b"U\x0bJ_regressor" + csc
    data += b"U\x08bs_styleU\x03lbsu."
    got = loads(data, tmp_path, ALL)
    assert np.array_equal(got["v_template"], rest) and np.array_equal(got["w"], weights)
    assert np.array_equal(got["J_regressor"], [[0, 0.25], [0.5, 0]]) and got["bs_style"] == "lbs"
    refuses(data, tmp_path, "asks for chumpy.ch.Ch", allow=())
    refuses(data, tmp_path, r"asks for scipy.sparse.csc.csc_matrix", allow=("chumpy",))


@pytest.mark.parametrize("kind", ["csc_matrix", "csr_matrix", "csc_array", "csr_array"])
def test_sparse_matrices_come_dense(tmp_path, kind):
    dense = np.diag([1.0, 0, 3])
    dense[0, 2] = 5
    matrix = getattr(sparse, kind)(dense)
    got = loads(pickle.dumps({"m": matrix}), tmp_path, ALL)["m"]
    assert np.array_equal(got, dense)


def test_the_same_array_twice_is_one_array_and_cycles_end(tmp_path):
    array, ring = ARRAYS[0], []
    ring.append(ring)
    got = loads(pickle.dumps([array, array, ring]), tmp_path)
    assert got[0] is got[1] and got[2][0] is got[2]


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    ),
    st.integers(0, 5),
)
def test_plain_values_come_back(value, protocol):
    assume(value != pickles.TORCH_MAGIC)  # alone it is the first word of a file of torch.save
    got = unpickle(pickle.dumps(value, protocol=protocol), "take.pkl")
    assert repr(got) == repr(value)


# ---------------------------------------------------------------- what may not


class Call:
    """Pickles as a call of `function(*arguments)`, with a state to build onto the result if given."""

    def __init__(self, function, *arguments, state=None):
        self.call = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.call


def crafted(tmp_path) -> list:
    trap = tmp_path / "sprung"
    shell = f"touch {trap}"
    return [
        Call(os.system, shell),
        Call(eval, f"open({str(trap)!r}, 'w')"),
        Call(exec, f"open({str(trap)!r}, 'w')"),
        Call(getattr, "", "join"),
        Call(subprocess.call, ["touch", str(trap)]),
        Call(open, str(trap), "w"),
        Call(os.mkdir, str(trap)),
        Call(__import__, "antigravity"),
        Call(copyreg._reconstructor, io.StringIO, object, None),
        Call(np.load, str(trap)),
        Call(np.fromfile, str(trap)),
        Call(np.memmap, str(trap), np.float32, "w+"),
        Call(np.save, str(trap), 1),
        Call(np.vectorize, len),
        Call(ctypes.CDLL, None),
        Call(bytes, 10**12),
        Call(bytearray, 10**12),
        Call(range, 10**12),
        Call(np.zeros, 10**12),
        Call(np.ndarray, (10**12,)),
        {"exp": np.zeros((2, 50)), "hook": [Call(os.system, shell)]},
        np.array([Call(os.system, shell)], dtype=object),
    ]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("which", range(22))
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_code_in_a_pickle_is_refused_and_never_runs(tmp_path, which, protocol):
    evil = crafted(tmp_path)[which]
    data = pickle.dumps(evil, protocol=protocol)
    refuses(data, tmp_path)
    assert not (tmp_path / "sprung").exists() and "antigravity" not in sys.modules


@pytest.mark.parametrize(
    "name",
    [
        "numpy.testing._private.utils runstring",
        "numpy.testing runstring",
        "numpy.core.multiarray fromfile",
        "numpy._core.multiarray _vec_string",
        "numpy.core.multiarray os.system",
        "numpy load",
        "numpy.lib.npyio load",
        "numpy.f2py.crackfortran myeval",
        "scipy.sparse csr_matrix.__init__",
        "scipy.sparse._csc os",
        "scipy.sparse.linalg eigs",
        "chumpy.ch depends_on",
        "chumpy os.system",
        "builtins eval",
        "builtins set.__class__",
        "builtins getattr",
        "collections namedtuple",
        "collections OrderedDict.__class__",
        "_codecs decode",
        "facelm.motion.formats.pickles load_pickle",
        "os system",
        "posix system",
    ],
)
def test_names_outside_the_list_are_not_even_looked_up(tmp_path, name):
    module, function = name.split(" ")
    for data in (
        f"c{module}\n{function}\n(V1\ntR.".encode(),
        b"\x80\x04\x8c"
        + bytes([len(module)])
        + module.encode()
        + b"\x8c"
        + bytes([len(function)])
        + function.encode()
        + b"\x93.",
        f"(V1\ni{module}\n{function}\n.".encode(),
    ):
        refuses(data, tmp_path, f"asks for {module}.{function}")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"cchumpy.ch\nCh\n(N}V__setstate__\ncbuiltins\nset\nstb.", "change a class|damaged"),  # sets it on the class
        (b"cnumpy\nndarray\n(N}Vresolve\nNstb.", "change a class|damaged"),
        (b"cbuiltins\nset\n(N}Vadd\nNstb.", "damaged"),
        (b"cnumpy\nndarray\n.", "classes rather than values"),
        (b"cnumpy\nndarray\n)\x81.", "without values"),
        (b"cnumpy._core.multiarray\n_reconstruct\n(cbuiltins\nset\n(I0\ntVb\ntR.", "class of its own"),
        (b"Pid\n.", "outside"),
        (b"\x82\x01.", "extension codes"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n.", "torch tensors; save"),
        (pickle.dumps(pickles.TORCH_MAGIC), "torch.save"),
        (b"r\xff\xff\xff\x7f.", "damaged"),
        (b"\x96\xff\xff\xff\xff\xff\x00\x00\x00x", "ends too early"),
        (b"(cnumpy\nndarray\no.", "old objects"),
        (b"(icollections\nOrderedDict\n.", "old objects"),
        (b"cnumpy\nndarray\n)}\x92.", "old objects"),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f", "damaged"),
        (b"cnumpy\ndtype\n(VV8\ntR.", "numbers and words"),
        (b"", "damaged"),
        (b"hello", "damaged"),
    ],
)
def test_tampered_pickles(tmp_path, data, says):
    refuses(data, tmp_path, says)
    assert np.array_equal(loads(pickle.dumps(ARRAYS[0]), tmp_path), ARRAYS[0])  # nothing was left changed


def array_with(shape=(2, 3), code="f8", raw=bytes(48), dtype_state=(3, "<", None, None, None, -1, -1, 0)) -> bytes:
    dtype = pickle.dumps(dtype_state, 2)[2:-1]
    state = pickle.dumps(shape, 2)[2:-1]
    return (
        b"\x80\x03cnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01"
        + state
        + b"cnumpy\ndtype\nX\x02\x00\x00\x00"
        + code.encode()
        + b"\x89\x88\x87R"
        + dtype
        + b"b\x89B"
        + len(raw).to_bytes(4, "little")
        + raw
        + b"tb."
    )


def test_crafted_shapes_and_types_of_arrays(tmp_path):
    assert np.array_equal(loads(array_with(), tmp_path), np.zeros((2, 3)))
    refuses(array_with(shape=(2, 4)), tmp_path, "wrong size")
    refuses(array_with(shape=(10**9, 10**9)), tmp_path, "without a shape|wrong size")
    refuses(array_with(shape=(-2, -3)), tmp_path, "without a shape")
    refuses(array_with(code="O8"), tmp_path, "wrong size")
    refuses(array_with(dtype_state=(3, "<", None, ("a",), {"a": 1}, 8, 1, 0)), tmp_path, "records")
    refuses(array_with(dtype_state=(3, "<", ("f8", (2,)), None, None, 8, 1, 0)), tmp_path, "records")


def test_a_small_file_that_unpacks_to_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(pickles, "MAX_BYTES", 2**22)
    raw = bytes(2**16)
    head = b"\x80\x03(B" + len(raw).to_bytes(4, "little") + raw + b"q\x000cnumpy._core.numeric\n_frombuffer\nq\x010"
    one = b"h\x01(h\x00cnumpy\ndtype\nX\x02\x00\x00\x00f8\x85RJ" + (len(raw) // 8).to_bytes(4, "little")
    one += b"\x85X\x01\x00\x00\x00CtR"
    assert [len(a) for a in loads(head + one + one + b"l.", tmp_path)] == [len(raw) // 8] * 2
    refuses(head + (one + b"0") * (2 * 2**22 // len(raw) + 1) + b"l.", tmp_path, "unpacks to too much")
    wide = {"_shape": (10**6, 10**6), "indptr": np.zeros(1, "i4"), "indices": np.zeros(0, "i4"), "data": np.zeros(0)}
    refuses(b"\x80\x02cscipy.sparse\ncsc_matrix\n)\x81" + pickle.dumps(wide, 2)[2:-1] + b"b.", tmp_path, "too large")
    outside = {"_shape": (2, 2), "indptr": np.int32([0, 1, 2]), "indices": np.int32([0, 99]), "data": np.ones(2)}
    refuses(b"\x80\x02cscipy.sparse\ncsc_matrix\n)\x81" + pickle.dumps(outside, 2)[2:-1] + b"b.", tmp_path, "damaged")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_pickles_are_one_sentence(data):
    whole = pickle.dumps({"exp": ARRAYS[0], "n": [1, {"a": np.float32(2)}]}, protocol=data.draw(st.integers(0, 5)))
    cut = data.draw(st.integers(0, len(whole) - 1))
    broken = whole[:cut] + bytes([data.draw(st.integers(0, 255))]) + whole[cut + 1 :]
    for bad in (whole[:cut], broken):
        try:
            unpickle(bad, "take.pkl")
        except FacelmError as error:
            assert str(error).startswith("take.pkl ") and "\n" not in str(error)


def test_a_file_too_large_is_not_even_read(tmp_path):
    with open(tmp_path / "huge.pkl", "wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(FacelmError, match="at most"):
        load_pickle(tmp_path / "huge.pkl")
