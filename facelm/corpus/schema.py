"""What a row of a corpus holds: one clip with its motion, words and sound.

| column | content |
|---|---|
| id, category | text; `evaluate` prints scores by category |
| seconds, fps, layout, values | the clip: float32 (T, D), the columns are the channels of the layout |
| plan | what happens when, in the words of a plan (describe/plan.py), as long as the clip |
| facts | the plan's items as rows: kind, what, side, intensity, start, end (s) |
| prompts, captions | wishes ("Smile, then nod.") and descriptions ("She smiles, then nods.") |
| questions | pairs of question and answer |
| dataset, subject, take, begin | where the clip comes from; `begin` is its first second in the take |
| transcript | what is said in the clip, "" where nothing is or nobody knows |
| labels | actions, emotions, intensity as the data set gives them for the clip, or null |
| annotations | action, emotion, expression, head_pose, scenarios, summary (describe/annotations.py), or null |
| audio | {bytes, path}: a mono FLAC file as long as the clip, or null |
| weight | how often a round of training visits the clip: 1 once, 2.5 twice or three times |

Corpora written before the columns from `dataset` on existed are read with nulls in them.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from facelm.describe.plan import Plan
from facelm.errors import FacelmError
from facelm.motion import FaceMotion

if TYPE_CHECKING:
    from datasets import Features
    from pyarrow import Schema, Table

SPLITS = ("train", "validation", "test")
SINCE_SHARDS = ("dataset", "subject", "take", "begin", "transcript", "labels", "annotations", "audio", "weight")


@cache
def schema() -> "Schema":
    """The columns and types of a corpus file, for pyarrow."""
    import pyarrow as pa

    text, number = pa.string(), pa.float32()
    fact = {"kind": text, "what": text, "side": text, "intensity": text, "start": number, "end": number}
    words = {"action": text, "emotion": text, "expression": text, "head_pose": text}
    annotated = {**words, "scenarios": pa.list_(text), "summary": text}
    return pa.schema(
        {
            "id": text,
            "category": text,
            "seconds": number,
            "fps": number,
            "layout": text,
            "values": pa.list_(pa.list_(number)),
            "plan": text,
            "facts": pa.list_(pa.struct(fact)),
            "prompts": pa.list_(text),
            "captions": pa.list_(text),
            "questions": pa.list_(pa.struct({"question": text, "answer": text})),
            "dataset": text,
            "subject": text,
            "take": text,
            "begin": number,
            "transcript": text,
            "labels": pa.struct({"actions": pa.list_(text), "emotions": pa.list_(text), "intensity": text}),
            "annotations": pa.struct(annotated),
            "audio": pa.struct({"bytes": pa.binary(), "path": text}),
            "weight": number,
        }.items()
    )


def features() -> "Features":
    """The same for `datasets`; audio stays bytes, to be read with soundfile (torchcodec is not needed)."""
    from datasets import Audio, Features

    return Features({**Features.from_arrow_schema(schema()), "audio": Audio(decode=False)})


def table(rows: Sequence[Mapping[str, Any]]) -> "Table":
    """Rows as a pyarrow table; columns a row lacks are null. `values` may be arrays or lists.

    Raises FacelmError naming a column that there is not, or whose content has the wrong type.
    """
    import pyarrow as pa

    unknown = sorted({name for row in rows for name in row} - set(schema().names))
    if unknown:
        raise FacelmError(f"a corpus has no column {', '.join(unknown)}; it has {', '.join(schema().names)}")
    columns = []
    for column in schema():
        cells = [row.get(column.name) for row in rows]
        try:
            columns.append(_nested(cells) if column.name == "values" else pa.array(cells, column.type))
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise FacelmError(f"column {column.name}: {error}; see facelm.corpus.schema") from error
    return pa.Table.from_arrays(columns, schema=schema())


def _nested(cells: list[Any]) -> Any:
    """Motions (T, D) as one array of lists of lists, without making Python numbers of them."""
    import pyarrow as pa

    found = [np.asarray(cell, np.float32) for cell in cells]
    if any(cell.ndim != 2 for cell in found):
        raise ValueError("values must be numbers of shape (frames, channels)")
    widths = np.repeat([cell.shape[1] for cell in found], [len(cell) for cell in found])
    inner = np.concatenate([[0], np.cumsum(widths)]).astype(np.int32)
    outer = np.concatenate([[0], np.cumsum([len(cell) for cell in found])]).astype(np.int32)
    flat = np.concatenate([cell.ravel() for cell in found]) if found else np.zeros(0, np.float32)
    return pa.ListArray.from_arrays(outer, pa.ListArray.from_arrays(inner, flat))


def frames(column: Any) -> Iterator[np.ndarray]:
    """The values (T, D) of each row of a `values` column of pyarrow, without making Python numbers of them.

    Raises FacelmError where the frames of a row differ in width, naming the row by its place.
    """
    for chunk in getattr(column, "chunks", [column]):
        outer, inner = chunk.offsets.to_numpy(), chunk.values.offsets.to_numpy()
        flat = chunk.values.values.to_numpy()
        for row, (first, end) in enumerate(zip(outer, outer[1:], strict=False)):
            widths = np.diff(inner[first : end + 1])
            if not len(widths) or (widths != widths[0]).any():
                raise FacelmError(f"the values of row {row} are no frames of equal width; make the corpus anew")
            yield flat[inner[first] : inner[end]].reshape(end - first, widths[0])


def motion(row: Mapping[str, Any]) -> FaceMotion:
    """The motion of a corpus row.

    Raises:
        FacelmError: naming the row, when its values are not a valid motion.
    """
    try:
        return FaceMotion(np.asarray(row["values"], np.float32), row["fps"], row["layout"])
    except ValueError as error:
        raise FacelmError(f"corpus row {row['id']}: {error}") from error


def fact_rows(plan: Plan) -> list[dict[str, Any]]:
    """The `facts` of a plan."""
    return [
        {
            "kind": item.kind,
            "what": item.name,
            "side": item.side,
            "intensity": item.intensity,
            "start": phase.start,
            "end": phase.end,
        }
        for phase in plan.phases
        for item in phase.items
    ]
