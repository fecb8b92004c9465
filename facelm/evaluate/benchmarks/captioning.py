"""captioning: does a caption say what the motion does?

Words are compared with words (BLEU, ROUGE-L, CIDEr-D, chrF, BERTScore), and what a caption claims with what is measured
on the motion (the facts judge); the retrieval judge tells whether a caption finds its motion among 32.
"""

import random
from collections.abc import Sequence
from dataclasses import replace

from facelm.errors import FacelmError
from facelm.evaluate import text
from facelm.evaluate.baselines import RESTING
from facelm.evaluate.benchmarks.text_to_motion import SEEN
from facelm.evaluate.clips import contents, deal, groups
from facelm.evaluate.embeddings import matching_distance, r_precision, retrieval
from facelm.evaluate.judged import Judged
from facelm.evaluate.predictions import Predictions
from facelm.evaluate.result import Case, Result
from facelm.evaluate.score import Score
from facelm.evaluate.setting import Setting, merged

NAME = "captioning"
FACTS = ["facts F1", "facts precision", "facts recall", "facts F1 strict", "head", "side", "order"]
WORDS = ["BLEU-1", "BLEU-4", "chrF", "ROUGE-L", "CIDEr-D"]


def score(setting: Setting, predictions: Predictions) -> Result:
    """The result of captions of the clips' motions; clips without captions of their own are left out.

    Raises FacelmError when none is left.
    """
    asked = [said if c.captions else None for c, said in zip(setting.clips, predictions.captions, strict=True)]
    setting, said = setting.of(asked, "captions")
    clips = setting.clips
    rng = random.Random(setting.seed)
    told = [rng.randrange(len(clip.captions)) for clip in clips]
    reference = [clip.captions[place] for clip, place in zip(clips, told, strict=True)]
    rows = {"reference": reference, "model": said, **_floors(setting, said, rng)}

    motions = [clip.motion for clip in clips]
    judged = {row: Judged.of(captions, motions, told=True) for row, captions in rows.items()}
    facts = {row: found.scores() for row, found in judged.items()}
    others = [[c for i, c in enumerate(clip.captions) if i != place] for clip, place in zip(clips, told, strict=True)]
    words = {row: _words(captions, [clip.captions for clip in clips], setting) for row, captions in rows.items()}
    words["reference"] = _words(reference, others, setting, "one caption of each clip against its others")
    tables = {
        "facts judge": FACTS,
        "seen on vertices": [f"seen {name}" for name in FACTS[:4]],
        "words": [*WORDS, *(["BERTScore"] if setting.encoder else [])],
    }
    seen = {row: setting.seen.scores(rows[row], motions, told=True) for row in SEEN if row in rows}
    by_row = [facts, seen, words]
    if setting.judge is not None:
        by_row.append(_retrieval(setting, rows))
        tables = {"retrieval judge": ["R@1", "R@2", "R@3", "alike R@1", "Text-Match"], **tables}

    cases = [
        Case(clip.id, clip.prompt, clip.motion, None, caption, true, judged["model"].clip(i))
        for i, (clip, caption, true) in enumerate(zip(clips, said, reference, strict=True))
    ]
    breakdown = {}
    for what, members in groups(clips).items():
        own = {group: judged["model"].scores(places) for group, places in members.items()}
        breakdown[what] = {group: {name: found[name] for name in FACTS[:4]} for group, found in own.items()}
    judges = [setting.judge] if setting.judge is not None else []
    result = setting.result(NAME, FACTS[0], tables, judges, rows=merged(*by_row), breakdown=breakdown, cases=cases)
    result.notes += predictions.notes
    return result


def _floors(setting: Setting, said: Sequence[str], rng: random.Random) -> dict[str, list[str]]:
    count = len(setting.clips)
    rows: dict[str, list[str]] = {}
    if setting.training is not None:
        own = setting.training
        drawn = {"random training": own.random(count, rng)}
        try:
            drawn["nearest training"] = own.nearest_by_motion([clip.motion for clip in setting.clips])
        except FacelmError as error:
            setting.notes.append(f"No nearest training clips: {error}.")
        for row, places in drawn.items():
            rows[row] = [(own.captions(place) or [""])[0] for place in places]
    if count > 1:
        rows["shuffled"] = [said[place] for place in deal(count, rng)]
    rows["rest pose"] = [RESTING] * count
    return rows


def _words(
    captions: Sequence[str], references: Sequence[Sequence[str]], setting: Setting, note: str = ""
) -> dict[str, Score]:
    """Scores of words over the clips that have a reference to compare with."""
    kept = [place for place, texts in enumerate(references) if any(t.strip() for t in texts)]
    if not kept:
        why = "the clips have one caption each, so none is left to compare it with"
        return {name: Score.missing(name, "1", "of words", why) for name in WORDS}
    found = text.captions([captions[i] for i in kept], [references[i] for i in kept], setting.encoder)
    return {name: _noted(own, note) for name, own in found.items()}


def _noted(own: Score, note: str) -> Score:
    return replace(own, note="; ".join(part for part in (own.note, note) if part))


def _retrieval(setting: Setting, rows: dict[str, list[str]]) -> dict[str, dict[str, Score]]:
    """How often a caption finds its motion."""
    judge = setting.judge
    items = judge.embed_motions([clip.motion.to(judge.layout) for clip in setting.clips])
    found = {}
    for row, captions in rows.items():
        queries = judge.embed_texts([caption or " " for caption in captions])
        own = [
            *r_precision(queries, items, seed=setting.seed),
            *r_precision(queries, items, seed=setting.seed, name="alike R", contents=contents(setting.clips)),
            matching_distance(queries, items, "Text-Match"),
            *retrieval(queries, items),
        ]
        found[row] = {score.name: score for score in own}
    return found
