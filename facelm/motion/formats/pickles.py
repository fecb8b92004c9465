"""Pickles without running anything in them: numbers, words, plain containers and numpy arrays, nothing else.

A pickle is a program that may call whatever it names. Here every name that is not in a short list of (module, name)
pairs is refused before it is imported, and what stands for the listed ones are classes of this file that only hold
state: not even numpy's own reconstruction sees what the file says, because a crafted dtype or shape can break it.
"""

import io
import pickle
import re
from collections.abc import Callable, Collection
from math import prod
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from facelm.errors import FacelmError

MAX_BYTES = 2**29  # of a pickle or of the arrays in a file: hours of motion, several face models
KINDS = ("chumpy", "scipy.sparse")  # what `allow` may name

_DTYPE = re.compile(r"[<>|=]?(?:[?biufc]\d{0,2}|[SUa]\d{1,6}|O\d?)")
TORCH_MAGIC = 0x1950A86A20F9469CFC6C  # the first item of files of torch.save before 1.6


def load_pickle(path: Path, allow: Collection[str] = ()) -> Any:
    """What a pickle file holds; nothing in it is run.

    Numbers, words, None, lists, tuples, sets and dicts come as they are (ordered and default dicts as dicts, those of
    Python 2 too), numpy scalars as numbers, numpy arrays as arrays in this machine's byte order.
    allow: also "chumpy" (Ch objects, which come as the array they hold) and "scipy.sparse" (matrices, which come
    as dense arrays), as files of the FLAME model need.
    Raises FacelmError naming what the pickle asks for when it is anything else, or that it is damaged or too large.
    """
    if (size := path.stat().st_size) > MAX_BYTES:
        raise FacelmError(f"{path} is a pickle of {size:,} bytes; facelm reads at most {MAX_BYTES:,}")
    return unpickle(path.read_bytes(), path, allow)


def unpickle(data: bytes, path: Path, allow: Collection[str] = ()) -> Any:
    """What a pickle in memory holds, as `load_pickle` gives it; `path` is for the errors."""
    unknown = set(allow) - set(KINDS)
    if unknown:
        raise ValueError(f"allow may name {', '.join(KINDS)}, not {', '.join(sorted(unknown))}")
    try:
        held = _Unpickler(data, allow).load()
        if isinstance(held, int) and held == TORCH_MAGIC:
            raise _Refused("is a file of torch.save; save its tensors as arrays with tensor.numpy()")
        return _resolve(held, {})
    except FacelmError:
        raise
    except _Refused as error:
        raise FacelmError(f"{path} {error}") from None
    except Exception as error:  # a damaged pickle raises nearly anything
        said = " ".join(str(error).split()) or type(error).__name__
        raise FacelmError(f"{path} is a damaged pickle ({said}); get or save it again") from None


class _Refused(Exception):
    """Says what is wrong with a pickle, to be put after its name."""


_AS_IT_IS: dict[int, Callable[[Any], None]] = pickle._Unpickler.dispatch


class _Unpickler(pickle._Unpickler):  # the one written in Python: the C one allocates whatever memo size a file names
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(_AS_IT_IS)
    stack: list[Any]
    read: Callable[[int], bytes]
    append: Callable[[Any], None]

    def __init__(self, data: bytes, allow: Collection[str]) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")  # as numpy arrays in pickles of Python 2 need
        self._allow, self._size, self._made = allow, len(data), 0

    def _reduce(self) -> None:
        self._charge()
        _AS_IT_IS[pickle.REDUCE[0]](self)

    def _build(self) -> None:
        self._charge()
        _AS_IT_IS[pickle.BUILD[0]](self)

    def _newobj(self) -> None:
        self._charge()
        _AS_IT_IS[pickle.NEWOBJ[0]](self)

    def _newobj_ex(self) -> None:
        self._instantiate(None, ())

    def _instantiate(self, kind: Any, arguments: Any) -> None:
        raise _Refused("is a pickle of old objects, which facelm does not read; save its arrays with numpy.savez")

    def _bytearray8(self) -> None:
        size = int.from_bytes(self.read(8), "little")
        content = self.read(min(size, self._size))  # the inherited one makes room for whatever the file says
        if len(content) != size:
            raise _Refused("is a damaged pickle (it ends too early); get or save it again")
        self.append(bytearray(content))

    dispatch |= {
        pickle.REDUCE[0]: _reduce,
        pickle.BUILD[0]: _build,
        pickle.NEWOBJ[0]: _newobj,
        pickle.NEWOBJ_EX[0]: _newobj_ex,
        pickle.BYTEARRAY8[0]: _bytearray8,
    }

    def _charge(self) -> None:
        """Count what is made of the last item: a small file can ask for the same large array many times."""
        last = self.stack[-1]
        parts = last if isinstance(last, tuple) else ()
        self._made += sum(len(part) for part in parts if isinstance(part, str | bytes | bytearray | list | tuple))
        if self._made > 2 * MAX_BYTES:  # bytes in pickles of protocol 2 are made twice
            raise _Refused("is a pickle that unpacks to too much; save its arrays with numpy.savez")

    def find_class(self, module: str, name: str) -> Any:
        known = _GLOBALS.get((module, name))
        if known is not None:
            return known
        package = str(module).split(".")[0]
        if package == "chumpy" and "chumpy" in self._allow and name == "Ch":
            return _Chumpy
        if str(module).startswith("scipy.sparse") and "scipy.sparse" in self._allow and name in _SPARSE:
            return _SPARSE[name]
        if package == "torch":
            raise _Refused("holds torch tensors; save them as arrays with tensor.numpy()")
        asked = " ".join(f"{module}.{name}".split())[:100]
        raise _Refused(
            f"is a pickle that asks for {asked}, which is not loaded because a pickle can run code; "
            "save its arrays with numpy.savez"
        )

    def persistent_load(self, pid: Any) -> Any:
        raise _Refused(
            "is a pickle that points to data outside of it (a torch file?); save its arrays with numpy.savez"
        )

    def get_extension(self, code: int) -> None:
        raise _Refused("is a pickle with extension codes, which are not loaded; save its arrays with numpy.savez")


class _Sealed(type):
    """Classes whose attributes a pickle cannot set."""

    def __setattr__(cls, name: str, value: Any) -> None:
        raise _Refused("is a pickle that tries to change a class")


class _Dtype(metaclass=_Sealed):
    __slots__ = ("code", "order")
    order: Literal["<", ">", "|", "="]

    def __init__(self, code: str, *_: Any) -> None:
        if not isinstance(code, str) or not _DTYPE.fullmatch(code):
            raise _Refused(f"is a pickle with an array of {code!r}; facelm reads arrays of numbers and words")
        self.code, self.order = code, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.order, subtype, names, fields = state[:5]
        if not (subtype is names is fields is None) or self.order not in ("<", ">", "|", "="):
            raise _Refused("is a pickle with an array of records; facelm reads arrays of numbers and words")

    def numpy(self) -> np.dtype:
        return np.dtype(self.code).newbyteorder(self.order)


class _NdArray(metaclass=_Sealed):
    """Stands for numpy.ndarray where a pickle names the class, and for each array until it is resolved."""

    __slots__ = ("array",)

    array: np.ndarray | None

    def __new__(cls, *_: Any) -> Any:
        made = object.__new__(cls)
        made.array = None
        return made

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        shape, dtype, fortran, raw = state[-4:]
        self.array = _array(raw, dtype, shape, "F" if fortran else "C")


class _Reconstruct(metaclass=_Sealed):
    __slots__ = ()

    def __new__(cls, subtype: Any, shape: Any, dtype: Any) -> Any:
        if subtype is not _NdArray:
            raise _Refused("is a pickle with an array of a class of its own; save it as a plain numpy array")
        return _NdArray()


class _FromBuffer(metaclass=_Sealed):
    __slots__ = ()

    def __new__(cls, raw: Any, dtype: Any, shape: Any, order: str) -> Any:
        made = _NdArray()
        made.array = _array(raw, dtype, shape, order)
        return made


class _Scalar(metaclass=_Sealed):
    __slots__ = ()

    def __new__(cls, dtype: Any, raw: Any = b"") -> Any:
        return _array(raw, dtype, (1,), "C")[0].item()


def _array(raw: Any, dtype: Any, shape: Any, order: str) -> np.ndarray:
    if not isinstance(dtype, _Dtype) or not all(type(n) is int and 0 <= n <= MAX_BYTES for n in shape):
        raise _Refused("is a damaged pickle (an array without a shape or type)")
    kind = dtype.numpy()
    if kind.hasobject:
        if not isinstance(raw, list) or len(raw) != prod(shape):
            raise _Refused("is a damaged pickle (an array of objects of the wrong size)")
        objects = np.empty(len(raw), dtype=object)
        objects[:] = raw
        return objects.reshape(shape, order="F" if order == "F" else "C")
    raw = raw.encode("latin1") if isinstance(raw, str) else bytes(raw) if isinstance(raw, bytearray) else raw
    if not isinstance(raw, bytes) or len(raw) != prod(shape) * kind.itemsize:
        raise _Refused("is a damaged pickle (an array of the wrong size)")
    if kind.itemsize == 0:
        return np.zeros(shape, dtype=kind)
    flat = np.frombuffer(raw, dtype=kind).astype(kind.newbyteorder("="))
    return flat.reshape(shape, order="F" if order == "F" else "C")


class _DefaultDict(metaclass=_Sealed):
    __slots__ = ()

    def __new__(cls, factory: Any = None, *pairs: Any) -> Any:
        return dict(*pairs)


class _Bytes(metaclass=_Sealed):
    __slots__ = ()

    def __new__(cls, *content: Any) -> Any:
        """bytes(), bytes(list of numbers) and bytearray(bytes or words), but never bytes(size)."""
        if not content:
            return b""
        if isinstance(content[0], str):
            return content[0].encode("latin1")
        if isinstance(content[0], bytes | bytearray | list | tuple):
            return bytes(content[0])
        raise _Refused("is a damaged pickle (bytes of nothing)")


class _Encode(metaclass=_Sealed):
    __slots__ = ()

    def __new__(cls, text: str, encoding: str = "latin1") -> Any:
        if encoding not in ("latin1", "latin-1", "utf-8", "utf8", "ascii"):
            raise _Refused(f"is a pickle with text in the encoding {encoding!r}")
        return text.encode(encoding)


class _Named(metaclass=_Sealed):
    """Stands for a class that is named but never made: the kind of a default dict, the base of an old object."""

    __slots__ = ()

    def __new__(cls, *_: Any) -> Any:
        raise _Refused("is a pickle of classes rather than values; save its arrays with numpy.savez")


class _CopyReg(metaclass=_Sealed):
    __slots__ = ()

    def __new__(cls, kind: Any, base: Any = None, state: Any = None) -> Any:
        if not isinstance(kind, _Sealed) or not issubclass(kind, _State):
            raise _Refused("is a pickle with objects that facelm does not read; save its arrays with numpy.savez")
        return kind.__new__(kind)


class _State(metaclass=_Sealed):
    """An object of a foreign class: what it held, by name."""

    __slots__ = ("held",)

    def __new__(cls, *_: Any) -> Any:
        made = object.__new__(cls)
        made.held = {}
        return made

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise _Refused("is a damaged pickle (an object without its parts)")
        self.held = state

    def resolve(self, memo: dict[int, tuple[Any, Any]]) -> np.ndarray:
        raise NotImplementedError


class _Chumpy(_State):
    __slots__ = ()

    def resolve(self, memo: dict[int, tuple[Any, Any]]) -> np.ndarray:
        """The array of a Ch object; it lies in its term `x`."""
        value = _resolve(self.held.get("x"), memo)
        if not isinstance(value, np.ndarray | int | float):
            raise _Refused("holds a chumpy object that is computed from others; save its value as a numpy array")
        return np.asarray(value)


class _Sparse(_State):
    __slots__ = ()

    def resolve(self, memo: dict[int, tuple[Any, Any]]) -> np.ndarray:
        """The dense array of a sparse matrix, whose indices are checked."""
        from scipy import sparse

        held = {name: _resolve(part, memo) for name, part in self.held.items()}
        rows, columns = (int(n) for n in held["_shape"])
        if not 0 <= rows * columns * 8 <= MAX_BYTES or min(rows, columns) < 0:
            raise _Refused(f"holds a sparse matrix of {rows} x {columns}, which is too large")
        kind = sparse.csc_matrix if isinstance(self, _Csc) else sparse.csr_matrix
        matrix = kind((held["data"], held["indices"], held["indptr"]), shape=(rows, columns))
        matrix.check_format(full_check=True)
        return np.asarray(matrix.todense())


class _Csc(_Sparse):
    __slots__ = ()


class _Csr(_Sparse):
    __slots__ = ()


def _resolve(value: Any, memo: dict[int, tuple[Any, Any]]) -> Any:
    """The value with every stand-in replaced by what it stands for. memo: id -> (original, resolved)."""
    if id(value) in memo:
        return memo[id(value)][1]
    resolved: Any
    if isinstance(value, _NdArray):
        resolved = value.array
        if resolved is None:
            raise _Refused("is a damaged pickle (an array without values)")
        memo[id(value)] = value, resolved
        if resolved.dtype.hasobject:
            for i, item in enumerate(resolved.flat):
                resolved.flat[i] = _resolve(item, memo)
        return resolved
    if isinstance(value, dict):
        memo[id(value)] = value, value
        for key, item in value.items():
            value[key] = _resolve(item, memo)
        return value
    if isinstance(value, list):
        memo[id(value)] = value, value
        value[:] = [_resolve(item, memo) for item in value]
        return value
    if isinstance(value, tuple | set | frozenset):
        resolved = type(value)(_resolve(item, memo) for item in value)
    elif isinstance(value, _State):
        resolved = value.resolve(memo)
    elif value is None or isinstance(value, bool | int | float | complex | str | bytes | bytearray):
        return value
    else:
        raise _Refused("is a pickle of classes rather than values; save its arrays with numpy.savez")
    memo[id(value)] = value, resolved
    return resolved


_SPARSE = {f"{name}_{kind}": made for name, made in (("csc", _Csc), ("csr", _Csr)) for kind in ("matrix", "array")}
_GLOBALS: dict[tuple[str, str], Any] = {
    **{(module, "_reconstruct"): _Reconstruct for module in ("numpy.core.multiarray", "numpy._core.multiarray")},
    **{(module, "scalar"): _Scalar for module in ("numpy.core.multiarray", "numpy._core.multiarray")},
    **{(module, "_frombuffer"): _FromBuffer for module in ("numpy.core.numeric", "numpy._core.numeric")},
    ("numpy", "ndarray"): _NdArray,
    ("numpy", "dtype"): _Dtype,
    ("collections", "OrderedDict"): dict,
    ("collections", "defaultdict"): _DefaultDict,
    ("_codecs", "encode"): _Encode,
    **{(module, "_reconstructor"): _CopyReg for module in ("copy_reg", "copyreg")},
    **{(module, kind.__name__): kind for module in ("builtins", "__builtin__") for kind in (set, frozenset, complex)},
    **{(module, name): _Bytes for module in ("builtins", "__builtin__") for name in ("bytes", "bytearray")},
    **{
        (module, name): _Named
        for module in ("builtins", "__builtin__")
        for name in ("object", "list", "tuple", "dict", "int", "float", "str")
    },
}
