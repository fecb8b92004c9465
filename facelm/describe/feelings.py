"""Which emotions show, in one short sentence."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from facelm.describe.labels import NEUTRAL, Labels, emotion_name
from facelm.describe.lexicon import AMOUNTS, DEGREES, EMOTION_WORDS, LOOK_VERBS
from facelm.describe.limits import LIMITS
from facelm.describe.narration import Persona
from facelm.describe.observe import BORDERS
from facelm.describe.phrases import THROUGHOUT, third_person
from facelm.describe.timeline import Timeline
from facelm.describe.units import INTENSITIES

MOST = 3  # emotions told
TRIES = 12
NEUTRAL_WORDS = (("neutral", "calm", "composed", "unmoved"), ("a neutral look", "calm", "composure"))
_INTENSITIES = {  # of labels
    "slight": ("level_1", "level 1", "low", "weak", "mild", "slight", "lo"),
    "strong": ("level_3", "level 3", "high", "strong", "intense", "hi"),
}
_PLAIN = (  # no emotion
    "{S} shows no clear emotion {t}.",
    "{Whose} face shows no clear emotion {t}.",
    "{S} {looks} {adj} {t}.",
    "{Whose} face stays {adj} {t}.",
    "No clear emotion stands out {t}.",
    "{S} keeps {noun} {t}.",
    "{S} gives no sign of any feeling {t}.",
    "{Whose} expression remains {adj} {t}.",
)
_SINGLE = (
    "{S} {looks} {degree} {adj} {side} {t}.",
    "{S} {looks} {degree} {adj} {side}.",
    "{Whose} face {looks} {degree} {adj} {t}.",
    "{S} shows {amount} {noun} {side} {t}.",
    "{Whose} face shows {amount} {noun} {side}.",
    "{S} expresses {amount} {noun} {t}.",
    "{S} stays {degree} {adj} {side} {t}.",
    "{Whose} face speaks of {amount} {noun} {t}.",
    "{S} wears a look of {amount} {noun}.",
    "There is {amount} {noun} in {whose} face {t}.",
)
_CHANGE = (
    "{S} {looks} {a} at first, then {b}.",
    "{S} goes from {a} to {b}.",
    "{S} starts out {a} and ends up {b}.",
    "{Whose} mood shifts from {na} to {nb}.",
    "{Whose} face moves from {na} to {nb}.",
    "{Whose} {na} gives way to {nb}.",
    "What begins as {na} turns into {nb}.",
    "First {s} {looks} {a}, later {b}.",
    "{S} {looks} {a} before turning {b}.",
    "{S} {looks} {a}, but soon {b}.",
)
_CHANGES = (
    "{S} {looks} {a}, then {b}, and finally {c}.",
    "{Whose} mood goes from {na} to {nb} and on to {nc}.",
    "{Whose} face shows {na}, then {nb}, and in the end {nc}.",
    "At first {s} {looks} {a}, then {b}, at last {c}.",
    "{S} starts out {a}, turns {b} and ends up {c}.",
    "First comes {na}, then {nb}, finally {nc}.",
)


@dataclass(frozen=True)
class Feeling:
    """An emotion that shows: its name ("neutral", one of EMOTIONS, or a label's own word), its intensity, its side."""

    name: str
    intensity: str = "moderate"
    side: str | None = None

    @property
    def adjectives(self) -> tuple[str, ...]:
        """Words for somebody who feels it."""
        return NEUTRAL_WORDS[0] if self.name == NEUTRAL else EMOTION_WORDS.get(self.name, ((self.name,), ()))[0]

    @property
    def nouns(self) -> tuple[str, ...]:
        """Words for the emotion itself."""
        if self.name == NEUTRAL:
            return NEUTRAL_WORDS[1]
        return EMOTION_WORDS.get(self.name, ((), (f"a {self.name} look",)))[1]


def feelings_of(timeline: Timeline, labels: Labels) -> list[Feeling]:
    """The emotions in order of time, at most three, no two alike in a row; [] where none shows.

    The labels of a data set win over what is measured. Of more than three that are measured, those count that fit
    best and longest.
    """
    if labels.emotions:
        names = [emotion_name(label) for label in labels.emotions]
        level = next(
            (ours for ours, theirs in _INTENSITIES.items() if (labels.intensity or "").lower() in theirs), None
        )
        found = [Feeling(name, level or "moderate") for name in names if name]
    else:
        spans = timeline.emotions
        best = sorted(spans, key=lambda span: -span.score * (span.end - span.begin))[:MOST]
        found = [
            Feeling(span.name, INTENSITIES[sum(span.intensity >= border for border in BORDERS)], span.side)
            for span in spans
            if span in best
        ]
    told = [feeling for index, feeling in enumerate(found) if not index or feeling.name != found[index - 1].name]
    return told if len(told) <= MOST else [told[0], told[len(told) // 2], told[-1]]


def say_feelings(feelings: Sequence[Feeling], persona: Persona, rng: random.Random) -> str:
    """One sentence of at most 15 words."""
    if not feelings:
        return _fill(rng.choice(_PLAIN), [Feeling(NEUTRAL)], persona, rng)
    templates = (_SINGLE if feelings[0].name != NEUTRAL else _PLAIN, _CHANGE, _CHANGES)[len(feelings) - 1]
    for _ in range(TRIES):
        text = _fill(rng.choice(templates), feelings, persona, rng)
        if len(text.split()) <= LIMITS["emotion"]:
            return text
    text = ", then ".join(min(feeling.adjectives, key=lambda words: len(words.split())) for feeling in feelings)
    return " ".join(f"Looks {text}".split()[: LIMITS["emotion"]]) + "."


def _fill(template: str, feelings: Sequence[Feeling], persona: Persona, rng: random.Random) -> str:
    first, owner = persona.first, f"{persona.first}'s" if persona.owner in ("the", "their") else persona.owner
    words = {
        "S": first.capitalize(),
        "s": first,
        "Whose": owner[0].upper() + owner[1:],
        "whose": owner,
        "looks": third_person(rng.choice(LOOK_VERBS)),
        "t": rng.choice(THROUGHOUT),
        "side": f"on the {feelings[0].side}" if feelings[0].side else "",
        "degree": rng.choice(DEGREES[feelings[0].intensity]),
        "amount": rng.choice(AMOUNTS[feelings[0].intensity]),
        "adj": rng.choice(feelings[0].adjectives),
        "noun": rng.choice(feelings[0].nouns),
    }
    for letter, feeling in zip("abc", feelings, strict=False):
        degree = rng.choice(DEGREES[feeling.intensity]) if len(feelings) == 2 and feeling.name != NEUTRAL else ""
        words[letter] = f"{degree} {rng.choice(feeling.adjectives)}"
        words[f"n{letter}"] = rng.choice(feeling.nouns)
    return " ".join(template.format(**words).split()).replace(" .", ".").replace(" ,", ",")
