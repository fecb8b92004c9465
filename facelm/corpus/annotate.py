"""A corpus annotated by a language model: a copy of it with the model's words added to each clip.

What a clip had stays: the new prompts, captions and questions stand behind its own, only `annotations` are replaced.
Clips whose annotation fails keep what they had.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facelm.corpus.schema import SPLITS, motion, table
from facelm.corpus.shards import CorpusWriter, load_corpus, read_note, refuse_full, save_note, shard_files
from facelm.describe.annotations import Annotations
from facelm.describe.labels import Labels
from facelm.describe.requests import captions, prompts
from facelm.describe.timeline import timeline
from facelm.files import atomic_folder

if TYPE_CHECKING:
    from facelm.describe.annotator import Annotator, Clip, Estimate

BATCH = 200  # clips in memory
WORDINGS = 4  # prompts and captions added to a clip


@dataclass(frozen=True)
class Annotated:
    """How many clips got annotations, and why others did not, a sentence each."""

    clips: int
    failed: tuple[str, ...]


def estimate(folder: str | Path, annotator: "Annotator") -> "Estimate":
    """What annotating the corpus would ask for. Raises FacelmError when it is no corpus."""
    return annotator.estimate(_clip(row) for _, row in _rows(folder))


def annotate_corpus(
    folder: str | Path, out: str | Path, annotator: "Annotator", progress: Callable[[], object] = lambda: None
) -> Annotated:
    """Write a copy of a corpus with a language model's annotations, in the same order and splits.

    Args:
        folder: a corpus.
        out: a new or empty folder; it appears when it is complete. Answers are kept by the annotator, so a run that was
            stopped loses nothing when it is started again.
        annotator: what asks the model.
        progress: called for each clip.

    Raises:
        FacelmError: the folder is no corpus, `out` holds something, or the endpoint can't be used.
    """
    refuse_full(out)
    note = read_note(folder)
    failed: list[str] = []
    done = 0
    with atomic_folder(out) as temporary:
        with CorpusWriter(temporary) as writer:
            rows = _rows(folder)
            while batch := list(islice(rows, BATCH)):
                found = {}
                for name, result in annotator.annotate(_clip(row) for _, row in batch):
                    found[name] = result
                    progress()
                for split, row in batch:
                    result = found[row["id"]]
                    if isinstance(result, Annotations):
                        row |= _words(row, result)
                        done += 1
                    else:
                        failed.append(result.reason)
                    writer.write(split, table([row]))
        of_this = {"annotator": annotator.endpoint.model, "annotated": done, "annotated_from": note.get("fingerprint")}
        save_note(temporary, writer.note(**{**note, **of_this}))
    return Annotated(done, tuple(failed))


def _rows(folder: str | Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for split in SPLITS:
        if shard_files(folder, split):
            for row in load_corpus(folder, split):
                yield split, dict(row)


def _clip(row: dict[str, Any]) -> "Clip":
    from facelm.describe.annotator import Clip

    told = row.get("labels") or {}
    labels = Labels(
        tuple(told.get("actions") or ()),
        tuple(told.get("emotions") or ()),
        told.get("intensity"),
        row.get("transcript") or "",
    )
    return Clip(row["id"], timeline(motion(row)), labels)


def _words(row: dict[str, Any], said: Annotations) -> dict[str, Any]:
    rng = random.Random(row["id"])
    return {
        "annotations": said.row(),
        "prompts": [*row["prompts"], *prompts(said, None, rng, WORDINGS)],
        "captions": [*row["captions"], *captions(said, None, rng, WORDINGS)],
        "questions": [*row["questions"], *map(asdict, said.questions)],
    }
