"""Names of channels: ARKit's in every spelling, and tables for rigs and programs that have names of their own.

A name table is a small YAML file anyone can write:

    name: my rig
    layout: arkit
    fps: 30                                     # only where the files themselves do not say
    channels:
      Smile_L: mouthSmileLeft                   # the same channel under another name
      Cheeks: {cheekPuff: 0.5}                  # half of it
      Oh: {jawOpen: 0.25, mouthFunnel: 0.5}     # one shape that moves two channels
    ignored: [Tongue_Up]                        # known, and without a counterpart

Channels of several names are added up. Names the table does not list are still read where they spell an ARKit channel.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from math import isfinite
from pathlib import Path

import numpy as np

from facelm.errors import FacelmError
from facelm.fields import check_fields, read_yaml
from facelm.motion.layout import ARKIT, EYES, LIVELINK, Layout

FOLDER = Path(__file__).parent / "name_tables"
FIELDS = ("name", "layout", "fps", "channels", "ignored")
NEUTRAL = ("_neutral", "neutral", "basis")  # MediaPipe's first category, and the rest shape of many rigs

_SIDE = re.compile(r"(?:[\s._-]+(?:(?i:l(?:eft)?)|(?i:r(?:ight)?))|(?<=[a-z])[LR])$")


@dataclass(frozen=True)
class NameTable:
    """Foreign names of channels and what they are in ARKit's.

    channels: foreign name -> {ARKit channel: weight}; looked up without regard to capitals. ignored: foreign names
    that have no counterpart. fps: the rate of files that do not tell it, or None.
    Raises FacelmError for ARKit channels that do not exist (naming the nearest) and weights that are not finite.
    """

    name: str
    channels: Mapping[str, Mapping[str, float]]
    layout: str = "arkit"
    fps: float | None = None
    ignored: Sequence[str] = field(default=())

    def __post_init__(self) -> None:
        if self.layout != ARKIT.name:
            raise FacelmError(f"the name table {self.name}: its layout is {self.layout!r}, but only arkit is possible")
        if self.fps is not None and not (isinstance(self.fps, int | float) and 0 < self.fps < 10_000):
            raise FacelmError(f"the name table {self.name}: fps must be a positive number, not {self.fps!r}")
        for foreign, targets in self.channels.items():
            for target, weight in targets.items():
                if target not in ARKIT:
                    near = difflib.get_close_matches(target.lower(), [n.lower() for n in ARKIT.names], n=1, cutoff=0.0)
                    nearest = ARKIT.names[ARKIT.index(near[0])]
                    raise FacelmError(
                        f"the name table {self.name}: {foreign} names the channel {target!r}, which ARKit does not "
                        f"have; the nearest one is {nearest!r}"
                    )
                if isinstance(weight, bool) or not isinstance(weight, int | float) or not isfinite(weight):
                    raise FacelmError(f"the name table {self.name}: the weight of {foreign} must be a number")

    @cached_property
    def _lower(self) -> dict[str, dict[str, float]]:
        known = {name.lower(): dict(targets) for name, targets in self.channels.items()}
        return {name.lower(): {} for name in self.ignored} | known

    def lists(self, name: str) -> bool:
        """Whether the table itself names it."""
        return name.lower() in self._lower

    def find(self, name: str) -> Mapping[str, float] | None:
        """{channel: weight} of a name (empty where it is known to have none), or None where it is unknown.

        ARKit names (and the head angles) are found in any spelling, whether the table lists them or not.
        """
        listed = self._lower.get(name.lower())
        if listed is not None:
            return listed
        if name.strip().lower() in NEUTRAL:
            return {}
        channel = arkit_name(name)
        return None if channel is None else {channel: 1.0}

    def apply(self, values: np.ndarray, names: Sequence[str]) -> np.ndarray:
        """Values (T, N) with their N foreign names as float32 (T, 55), layout arkit.

        Where the weights that lead to one channel add up to more than 1, it is held at 1 at most.
        Raises FacelmError when the widths differ or no name is known.
        """
        return match(values, names, self).values[:, : ARKIT.width]


PLAIN = NameTable("ARKit", {})  # no names but ARKit's own, in any spelling


@dataclass(frozen=True)
class Matched:
    """What became of a table of named columns.

    values: float32 (T, D of layout). layout: livelink where there are eye angles, else arkit. table: the names that
    were used. unknown: names of the file that were left out. absent: shapes (not angles) nothing led to, now 0.
    """

    values: np.ndarray
    layout: Layout
    table: NameTable
    unknown: tuple[str, ...]
    absent: tuple[str, ...]

    def notes(self) -> tuple[str, ...]:
        """What a user should know about the names, a sentence each."""
        notes = []
        if self.table.name != PLAIN.name:
            notes.append(f"the names were read with the table {self.table.name}.")
        if self.unknown:
            shown = ", ".join(self.unknown[:8]) + (", ..." if len(self.unknown) > 8 else "")
            notes.append(f"{len(self.unknown)} names without an ARKit channel were left out: {shown}.")
        return tuple(notes)


def match(values: np.ndarray, names: Sequence[str], table: NameTable | None = None) -> Matched:
    """Values (T, N) with their N names, in any spelling or with the names of a table, as channels of a layout.

    Without a table the built-in one that knows the most of the names is taken, or none where plain ARKit names suffice.
    Raises FacelmError when the widths differ, a name of a channel stands twice, or no name is known.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != len(names):
        raise FacelmError(f"there are {len(names)} names for values of the shape {values.shape}")
    table = table or best_table(names)
    known = [table.find(name) for name in names]
    if not any(known):
        shown = ", ".join(map(str, names[:5])) + (", ..." if len(names) > 5 else "")
        raise FacelmError(
            f"none of the names ({shown}) is known; write a name table (a YAML file of `name: ...` and `channels: "
            "{theirName: arkitName}`) and give it with --names"
        )
    full = np.zeros((len(values), LIVELINK.width))
    share = np.zeros(LIVELINK.width)
    seen: dict[str, str] = {}
    for column, (name, targets) in enumerate(zip(names, known, strict=True)):
        for channel, weight in (targets or {}).items():
            index = LIVELINK.index(channel)
            full[:, index] += weight * values[:, column]
            share[index] += abs(weight)
        if targets:
            what = name if table.lists(name) else next(iter(targets))
            twin = seen.setdefault(what.lower(), f"{name} of column {column + 1}")
            if not twin.endswith(f"column {column + 1}"):
                raise FacelmError(f"{twin} and {name} of column {column + 1} are both {what}; remove one of them")
    crowded = share > 1 + 1e-6
    full[:, crowded] = np.minimum(full[:, crowded], 1.0)
    eyes = share[LIVELINK.indices(EYES)].any()
    chosen = LIVELINK if eyes else ARKIT
    shapes = [i for i, channel in enumerate(ARKIT.channels) if channel.unit == "weight"]
    return Matched(
        full[:, : chosen.width].astype(np.float32),
        chosen,
        table,
        tuple(name for name, targets in zip(names, known, strict=True) if targets is None),
        tuple(ARKIT.names[i] for i in shapes if not share[i]),
    )


def arkit_name(name: str) -> str | None:
    """The ARKit channel (or head or eye angle) a name spells, or None.

    eyeBlinkLeft, EyeBlinkLeft, eyeBlink_L, eye_blink_left, eyeBlink.L, head.eyeBlink_L and EYE BLINK LEFT are the same.
    """
    name = name.strip()
    side = _SIDE.search(name)
    if side:
        name = name[: side.start()] + ("left" if side[0].lstrip(" ._-\t")[0] in "lL" else "right")
    key = re.sub(r"[^a-z0-9]", "", re.split(r"[.|:/]", name)[-1].lower())
    return _SPELLED.get(key)


_SPELLED = {name.lower(): name for name in (*ARKIT.names, *EYES)}


def best_table(names: Sequence[str]) -> NameTable:
    """The built-in table that knows the most of these names; ARKit's own names win a tie."""
    return max((PLAIN, *builtin_tables().values()), key=lambda table: sum(table.find(n) is not None for n in names))


def known_names(names: Sequence[str]) -> int:
    """How many of the names some built-in table, or ARKit in any spelling, leads to a channel."""
    table = best_table(names)
    return sum(bool(table.find(name)) for name in names)


def load_names(names: "str | Path | NameTable") -> NameTable:
    """The table of a YAML file, or the built-in one of that name (facegood, ict_facekit).

    Raises FacelmError naming the field and the nearest one that exists, or the built-in tables where it is neither.
    """
    if isinstance(names, NameTable):
        return names
    tables = builtin_tables()
    if str(names) in tables:
        return tables[str(names)]
    if not Path(names).is_file():
        raise FacelmError(f"there is no name table {names}; give a YAML file or one of {', '.join(tables)}")
    return _read(Path(names))


@cache
def builtin_tables() -> dict[str, NameTable]:
    """The tables that come with facelm, by the name to ask for."""
    return {path.stem: _read(path) for path in sorted(FOLDER.glob("*.yaml"))}


def _read(path: Path) -> NameTable:
    try:
        content = read_yaml(path)
    except RecursionError:
        raise FacelmError(f"{path} is nested too deeply for a name table") from None
    except UnicodeDecodeError as error:
        raise FacelmError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from None
    check_fields(path, content, FIELDS)
    channels = content.get("channels")
    if not isinstance(channels, Mapping) or not channels:
        raise FacelmError(f"{path} needs a field channels with lines like `theirName: arkitName`")
    ignored = content.get("ignored", [])
    if not isinstance(ignored, list):
        raise FacelmError(f"{path}: ignored must be a list of names, not {ignored!r}")
    table = {str(foreign): _targets(path, str(foreign), target) for foreign, target in channels.items()}
    try:
        return NameTable(
            str(content.get("name", path.stem)),
            table,
            str(content.get("layout", "arkit")),
            content.get("fps"),
            tuple(map(str, ignored)),
        )
    except FacelmError as error:
        raise FacelmError(f"{path}: {error}") from None


def _targets(path: Path, foreign: str, target: object) -> dict[str, float]:
    if isinstance(target, str):
        return {target: 1.0}
    if isinstance(target, Mapping) and target:
        return {str(channel): weight for channel, weight in target.items()}
    raise FacelmError(
        f"{path}: {foreign} must be the name of an ARKit channel or {{channel: weight}}, not {target!r}; "
        "list names without a counterpart under ignored"
    )
