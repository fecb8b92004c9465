"""What a benchmark is measured with: the clips, the judges, the head, and where floors and ceilings come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from facelm.corpus.shards import load_corpus, read_note, shard_files
from facelm.errors import FacelmError
from facelm.evaluate.baselines import Training
from facelm.evaluate.clips import Clip, choose
from facelm.evaluate.embeddings import diversity, fid, matching_distance, r_precision, retrieval
from facelm.evaluate.judged import Seen
from facelm.evaluate.result import Result, machine
from facelm.evaluate.score import Score
from facelm.motion import FaceMotion
from facelm.rig.base import Rig

RETRIEVAL = ("R@1", "R@2", "R@3", "FID", "Match", "Diversity")
SOUND_RATE = 16_000  # of what a judge hears


@dataclass(frozen=True)
class Setting:
    """Everything a benchmark needs besides the predictions.

    Attributes:
        clips: to score, see `facelm.evaluate.clips.choose`.
        data, split: of the clips, for the record.
        model: the name of what is scored.
        seed: of everything drawn.
        training: the training split, or None: then there are no floors from it.
        tokenizer: a motion tokenizer, or None: then there is no reconstruction.
        judge, listener: retrieval judges of text and of sound, or None.
        encoder: (tokenizer, model) of transformers for BERTScore, or None.
        head: a rig whose vertices are compared; None: the built-in head.
        rater: a language model that rates motions (`facelm.evaluate.llm_judge`), or None.
    """

    clips: list[Clip]
    data: str
    split: str = "test"
    model: str = ""
    seed: int = 0
    training: Training | None = None
    tokenizer: Any = None
    judge: Any = None
    listener: Any = None
    encoder: tuple[Any, Any] | None = None
    head: Rig | None = None
    rater: Any = None
    notes: list[str] = field(default_factory=list)

    @classmethod
    def load(
        cls,
        data: str | Path,
        split: str = "test",
        prompts: int | None = None,
        seed: int = 0,
        judges: Sequence[str | Path] = (),
        encoder: str = "",
        head: Rig | None = None,
        tokenizer: str = "",
        model: str = "",
    ) -> "Setting":
        """The setting of a corpus folder.

        Args:
            split, prompts, seed: of the clips; prompts None takes all.
            judges: folders of retrieval judges, at most one of text and one of sound.
            encoder: folder or Hub id of a model for BERTScore.
            tokenizer: folder of a motion tokenizer for the row "reconstruction".
            model: the name of what is scored.

        Raises FacelmError when something is missing or damaged, or two judges are of one kind.
        """
        clips = choose(data, split, prompts, seed)
        notes = []
        training = None
        if split != "train" and shard_files(data, "train"):
            training = Training(load_corpus(data, "train"))
        else:
            notes.append(f"{data} has no training split beside {split}, so there are no floors from training clips.")
        own: dict[str, Any] = {}
        for folder in judges:
            from facelm.evaluate.judge import Judge

            found = Judge.from_pretrained(folder)
            if found.kind in own:
                raise FacelmError(f"{folder} is a second judge of {found.kind}; give one of each kind")
            own[found.kind] = found
            if found.corpus != _fingerprint(data):
                notes.append(f"The {found.kind} judge {folder} was trained on another corpus.")
        if tokenizer:
            from facelm.tokenizer import MotionTokenizer

            decoder: Any = MotionTokenizer.from_pretrained(tokenizer)
        else:
            decoder = None
        return cls(
            clips,
            str(data),
            split,
            model,
            seed,
            training,
            decoder,
            own.get("text"),
            own.get("audio"),
            _encoder(encoder) if encoder else None,
            head,
            notes=notes,
        )

    @cached_property
    def rig(self) -> Rig:
        """The head whose vertices are compared."""
        from facelm.rig import load_rig

        return self.head or load_rig(None)

    @cached_property
    def seen(self) -> Seen:
        """The second detector, with what it has seen."""
        return Seen(self.rig)

    def of(self, predictions: Sequence[Any], what: str) -> tuple["Setting", list[Any]]:
        """The setting without the clips that have no prediction (None), and the predictions that there are.

        what: of predictions, for the note, such as "motions". Raises FacelmError when there is none at all.
        """
        kept = [index for index, prediction in enumerate(predictions) if prediction is not None]
        if not kept:
            raise FacelmError(
                f"there is no prediction for any of the {len(self.clips)} clips; are the names their ids?"
            )
        left_out = len(self.clips) - len(kept)
        told = [f"{left_out} of {len(self.clips)} {what} are missing; their clips are left out of every row."]
        some = replace(
            self, clips=[self.clips[index] for index in kept], notes=[*self.notes, *(told if left_out else [])]
        )
        some.__dict__.update({"rig": self.rig, "seen": self.seen})  # found once for all benchmarks
        return some, [predictions[index] for index in kept]

    def result(
        self, benchmark: str, main: str, tables: dict[str, list[str]], judges: Sequence[Any] = (), **found: Any
    ) -> Result:
        """A result of this setting. judges: the retrieval judges that were asked."""
        words = "; ".join(f"{own.kind} judge {own.fingerprint} on {own.layout} motions" for own in judges)
        return Result(
            benchmark,
            self.model,
            self.data,
            self.split,
            len(self.clips),
            self.seed,
            machine(),
            words,
            main,
            tables=tables,
            notes=list(self.notes),
            **found,
        )


def _fingerprint(folder: str | Path) -> str:
    try:
        return str(read_note(folder).get("fingerprint", ""))
    except FacelmError:
        return ""


def _encoder(name: str) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(name), AutoModel.from_pretrained(name).eval()
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise FacelmError(f"the encoder {name} cannot be loaded ({reason}); give a folder or Hub id") from error


def retrieval_scores(
    judge: Any,
    queries: np.ndarray,
    rows: Mapping[str, Sequence[FaceMotion]],
    match: str,
    seed: int,
    contents: Sequence[str] | None = None,
) -> dict[str, dict[str, Score]]:
    """Scores of the retrieval judge by row: R@1 to 3 in galleries, FID, matching distance and diversity of motions.

    Args:
        judge: with `layout` and `embed_motions`.
        queries: (N, D) embeddings of the clips' texts or sounds.
        rows: motions by row; FID is taken against those of "reference".
        match: name of the matching distance, "Text-Match" or "Audio-Match".
        seed: of galleries and pairs.
        contents: what each clip shows, for "alike R@k", where clips of equal content are as right as the own.
    """
    names = [match if name == "Match" else name for name in RETRIEVAL]
    try:
        embedded = {
            row: judge.embed_motions([motion.to(judge.layout) for motion in motions]) for row, motions in rows.items()
        }
    except FacelmError as error:
        lacking = {name: Score.missing(name, "1", "of the retrieval judge", str(error)) for name in names}
        return {row: dict(lacking) for row in rows}
    found: dict[str, dict[str, Score]] = {}
    for row, own in embedded.items():
        scores = [
            *r_precision(queries, own, seed=seed),
            *(r_precision(queries, own, seed=seed, name="alike R", contents=contents) if contents else ()),
            fid(own, embedded["reference"]),
            matching_distance(queries, own, match),
            diversity(own, seed=seed),
            *retrieval(queries, own),
        ]
        found[row] = {score.name: score for score in scores}
    return found


def merged(*tables: dict[str, dict[str, Score]]) -> dict[str, dict[str, Score]]:
    """The scores of several judges by row."""
    rows: dict[str, dict[str, Score]] = {}
    for table in tables:
        for row, scores in table.items():
            rows.setdefault(row, {}).update(scores)
    return rows
