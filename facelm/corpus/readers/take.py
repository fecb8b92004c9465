"""What every reader of a data set gives: takes, and a report of what was left out and why."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from facelm.describe.annotations import Annotations
from facelm.describe.labels import Labels
from facelm.errors import FacelmError
from facelm.files import atomic_path
from facelm.motion import FaceMotion, LoadReport

SPLITS = ("train", "validation", "test")
OnError = Literal["stop", "skip"]


@dataclass(frozen=True)
class Take:
    """One recording and everything the data set says about it: paths and words only, so it is cheap and picklable.

    id: unique in its data set, with "/" between folders; never depends on where the data set lies.
    dataset: the reader's NAME. motion: the file. part: the key within a file of several takes, or None.
    audio: the sound of the same take, from the same moment on, or None.
    transcript: what is said. texts: captions written by people. annotations: the five of paper 000, or None.
    labels: actions and emotions as the data set names them. subject: who is seen, "" where nobody says.
    split: the released one ("train", "validation", "test"), or None.
    extra: whatever else a filter or a protocol asks for, by name ("gender", "camera", "syncnet", "rig", ...).
    notes: what is odd about the take but no reason to leave it out, one sentence each.
    """

    id: str
    dataset: str
    motion: Path
    part: str | None = None
    audio: Path | None = None
    transcript: str = ""
    texts: tuple[str, ...] = ()
    annotations: Annotations | None = None
    labels: Labels = Labels()
    subject: str = ""
    split: str | None = None
    extra: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sound:
    """samples: float32 (N,), mono, -1 to 1. rate: samples/s."""

    samples: np.ndarray
    rate: int


@dataclass(frozen=True)
class Remark:
    """One line of a report: the take (or "" for a whole file), the file, and what happened and why."""

    dataset: str
    take: str
    path: str
    kind: str  # "skipped", "filtered" or "note"
    reason: str


@dataclass
class SkipReport:
    """What was left out or is odd, collected while takes are read.

    on_error: "stop" raises the first error; "skip" writes it down and goes on with the next take.
    """

    on_error: OnError = "skip"
    remarks: list[Remark] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.on_error not in ("stop", "skip"):
            raise FacelmError(f"on_error is {self.on_error!r}; choose 'stop' or 'skip'")

    def skip(self, dataset: str, take: str, path: Path, error: FacelmError | str) -> None:
        """A take cannot be read. Raises FacelmError when `on_error` is "stop"."""
        if self.on_error == "stop":
            raise error if isinstance(error, FacelmError) else FacelmError(error)
        self.remarks.append(Remark(dataset, take, str(path), "skipped", str(error)))

    def filtered(self, take: Take, reason: str) -> None:
        """A filter left a readable take out."""
        self.remarks.append(Remark(take.dataset, take.id, str(take.motion), "filtered", reason))

    def note(self, take: Take, note: str) -> None:
        """The take is used, but something about it is odd."""
        self.remark(take.dataset, take.id, take.motion, note)

    def remark(self, dataset: str, take: str, path: Path, note: str) -> None:
        """Something is odd, but no take is lost: sound without a motion, for example."""
        self.remarks.append(Remark(dataset, take, str(path), "note", note))

    def count(self, kind: str = "skipped") -> int:
        """How many remarks of a kind there are."""
        return sum(remark.kind == kind for remark in self.remarks)

    def reasons(self, kind: str = "filtered") -> Counter[str]:
        """How often each reason of a kind was given."""
        return Counter(remark.reason for remark in self.remarks if remark.kind == kind)

    def write(self, path: Path) -> None:
        """Write the remarks as CSV with the columns dataset, take, path, kind, reason."""
        write_remarks(self.remarks, path)


def write_remarks(remarks: Iterable[Remark], path: Path) -> None:
    """Write remarks as CSV with the columns dataset, take, path, kind, reason."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["dataset", "take", "path", "kind", "reason"])
        writer.writerows([r.dataset, r.take, r.path, r.kind, r.reason] for r in remarks)


class Reader(Protocol):
    """A module of this package that reads one data set.

    NAME: of the data set, also of its card in data_cards/.
    recognises: whether the folder has the data set's layout; looks at few names, never into large files.
    takes: every take in a stable order, without loading motions; what cannot be read goes to `report.skip`.
    load: the motion of a take and what was done to make it. Raises FacelmError naming file and row or frame.
    sound: what is heard from `begin` on (s), `seconds` long, or None. Raises FacelmError naming the file.
    """

    NAME: str

    def recognises(self, root: Path) -> bool: ...

    def takes(self, root: Path, report: SkipReport) -> Iterator[Take]: ...

    def load(self, take: Take) -> tuple[FaceMotion, LoadReport]: ...

    def sound(self, take: Take, begin: float = 0.0, seconds: float | None = None) -> Sound | None: ...
