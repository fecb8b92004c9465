"""Questions about a clip that its timeline answers."""

import random
from collections.abc import Sequence

from facelm.describe.feelings import Feeling
from facelm.describe.lexicon import EMOTION_WORDS
from facelm.describe.limits import Question
from facelm.describe.moments import Moment, moments
from facelm.describe.narration import Narrator, Persona
from facelm.describe.speech import SPEECH_UNITS
from facelm.describe.timeline import Timeline
from facelm.describe.units import UNITS

COUNTS = ("Never.", "Once.", "Twice.", "Three times.", "Four times.", "Five times.")
MANY = "Many times."
YES_NO = {  # unit -> what one asks
    "AU12": ("Does the person smile?", "Is there a smile?"),
    "AU4": ("Do the brows come down?", "Does the person lower the brows?"),
    "AU1": ("Do the inner brows rise?", "Are the inner brows raised?"),
    "AU26": ("Does the mouth open?", "Does the jaw drop?"),
    "AU43": ("Do the eyes close?", "Are the eyes closed at some point?"),
    "AU9": ("Does the nose wrinkle?", "Is the nose wrinkled?"),
    "AU24": ("Are the lips pressed together?", "Do the lips press together?"),
    "AU5": ("Do the eyes widen?", "Are the eyes opened wide?"),
}
HOW = {"slight": "a little", "moderate": "clearly", "strong": "strongly"}


def questions(timeline: Timeline, feelings: Sequence[Feeling], rng: random.Random) -> tuple[Question, ...]:
    """Questions with answers: emotion, head, blinks, talking, what comes first and last, sides, and yes or no."""
    persona = Persona("it", "it", "the")
    face, head = moments(timeline, head=False), moments(timeline, head=True)
    found = [
        _ask(
            rng,
            ("What emotion does the face show?", "Which emotion is this?", "What does the face express?"),
            _emotion(feelings, rng),
        ),
        _ask(
            rng,
            ("What does the head do?", "How does the head move?", "Tell me about the head."),
            Narrator(timeline, persona, rng).tell(head, 60, head=True),
        ),
        _ask(rng, ("Does the person talk?", "Is anything said?"), _talk(timeline)),
    ]
    if timeline.blinks or rng.random() < 0.3:
        count = len(timeline.blinks)
        asked = ("How often do the eyes blink?", "How many blinks are there?")
        found.append(_ask(rng, asked, COUNTS[count] if count < len(COUNTS) else MANY))
    told = sorted([*face, *head], key=lambda moment: moment.onset)
    if len(told) > 1 and told[-1].onset - told[0].onset > 0.3:
        for words, moment in (
            (("What happens first?", "How does it start?", "What moves first?"), told[0]),
            (("What happens last?", "How does it end?", "What moves last?"), told[-1]),
        ):
            narrator = Narrator(timeline, persona, rng)
            found.append(_ask(rng, words, narrator.tell([moment], 30, head=moment.is_head, bare=True)))
    one_sided = [moment for moment in face if moment.fact.name in UNITS and moment.fact.side in ("left", "right")]
    if len({moment.fact.side for moment in one_sided}) == 1:
        asked = ("Which side of the face moves by itself?", "On which side does the face move alone?")
        found.append(_ask(rng, asked, f"The {one_sided[0].fact.side} side."))
    found.append(_yes_or_no(timeline, face, rng))
    return tuple(found)


def _ask(rng: random.Random, questions: Sequence[str], answer: str) -> Question:
    return Question(rng.choice(questions), answer)


def _emotion(feelings: Sequence[Feeling], rng: random.Random) -> str:
    nouns = [rng.choice(feeling.nouns) for feeling in feelings if feeling.name in EMOTION_WORDS or len(feelings) > 1]
    if not feelings or (len(feelings) == 1 and feelings[0].name == "neutral"):
        return rng.choice(("No clear emotion.", "It is neutral.", "None that is clear."))
    words = ", then ".join(nouns) or feelings[0].adjectives[0]
    return f"{words[0].upper()}{words[1:]}."


def _talk(timeline: Timeline) -> str:
    talked = sum(end - begin for begin, end in timeline.talking)
    if not talked:
        return "No."
    return "Yes, almost all the time." if talked > 0.7 * timeline.seconds else "Yes, for a part of the time."


def _yes_or_no(timeline: Timeline, face: Sequence[Moment], rng: random.Random) -> Question:
    asked = [code for code in YES_NO if not (timeline.talking and code in SPEECH_UNITS)]
    shown: dict[str, Moment] = {}
    for moment in face:
        shown.setdefault(moment.fact.name, moment)
    seen = [code for code in asked if code in shown]
    code = rng.choice(seen if seen and rng.random() < 0.5 else asked)
    if code not in shown:
        return Question(rng.choice(YES_NO[code]), "No.")
    moment = shown[code]
    side = f" on the {moment.fact.side}" if moment.fact.side in ("left", "right") else ""
    return Question(rng.choice(YES_NO[code]), f"Yes, {HOW[moment.level or 'moderate']}{side}.")
