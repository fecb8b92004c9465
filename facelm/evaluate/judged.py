"""The facts judge over the rows of a table, by both detectors; what cannot be judged says why."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from facelm.describe.captions import items_in_words
from facelm.describe.facts import PhaseFacts
from facelm.describe.plan import Plan
from facelm.errors import FacelmError
from facelm.evaluate import facts
from facelm.evaluate.compare import THREADS
from facelm.evaluate.facts import FORMULAS, Detector, Trial
from facelm.evaluate.score import Score
from facelm.evaluate.vertex_detector import read
from facelm.evaluate.vertex_measures import measures_of
from facelm.motion import FaceMotion
from facelm.rig.base import Rig


@dataclass(frozen=True)
class Judged:
    """The trials of clips, or the reason why there are none.

    told: the words are captions; see `facts.judge`.
    """

    trials: list[Trial]
    told: bool = False
    why: str = ""

    @classmethod
    def of(
        cls,
        words: Sequence[Plan | str],
        shown: Sequence[FaceMotion | Plan],
        told: bool = False,
        detector: Detector = facts.measure,
    ) -> "Judged":
        """What the facts judge finds; motions it cannot judge (FLAME, which names no units) give the reason."""
        try:
            return cls(facts.trials(words, shown, detector), told)
        except FacelmError as error:
            return cls([], told, str(error))

    def scores(self, members: Sequence[int] | None = None) -> dict[str, Score]:
        """Scores by name over all clips, or over those at some places."""
        if self.why:
            return {name: Score.missing(name, "1", formula, self.why) for name, formula in FORMULAS.items()}
        some = self.trials if members is None else [self.trials[i] for i in members]
        return {
            name: score if score.known else replace(score, n=len(some))
            for name, score in facts.scores(some, self.told).items()
        }

    def clip(self, place: int) -> dict[str, float]:
        """The figures of one clip by name; none where it could not be judged."""
        if self.why:
            return {}
        strict, loose = (self.trials[place].agreement(strict) for strict in (True, False))
        return {"facts F1 strict": strict.f1, "facts F1": loose.f1}


class Seen:
    """The second detector (vertex_detector.py) on a head, which remembers what it has seen.

    Looking at vertices takes longer than all else a benchmark measures, and motions stand in several rows.
    """

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self._found: dict[tuple[int, int], tuple[FaceMotion, list[PhaseFacts]]] = {}

    def __call__(self, motion: FaceMotion, phases: int) -> list[PhaseFacts]:
        """The facts of each of `phases` phases of a motion. Raises FacelmError where the head cannot show it."""
        key = id(motion), phases
        if key not in self._found:  # kept with the motion, so that its id stays its own
            self._found[key] = motion, read(measures_of(motion, self.rig), motion.fps, phases)
        return self._found[key][1]

    def scores(
        self, words: Sequence[Plan | str], motions: Sequence[FaceMotion], told: bool = False
    ) -> dict[str, Score]:
        """Scores of the facts judge with this detector, "seen" before their names."""
        counts = [max(1, len(w.phases if isinstance(w, Plan) else items_in_words(w))) for w in words]
        try:
            with ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(self, motions, counts))
            judged = Judged.of(words, motions, told, self)
        except FacelmError as error:
            judged = Judged([], told, str(error))
        return {
            f"seen {name}": replace(own, name=f"seen {name}", formula=f"{own.formula}; facts seen on vertices")
            for name, own in judged.scores().items()
        }
