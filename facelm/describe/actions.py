"""What a person does, in ordinary verbs: from the labels of a data set, or from what a timeline shows."""

import random
from collections.abc import Sequence

from facelm.describe.facts import Fact
from facelm.describe.moments import Moment, moments
from facelm.describe.phrases import third_person
from facelm.describe.timeline import Timeline

MOST = 4  # actions told

# Action -> ways to say it of somebody. The first words are the labels of CelebV-HQ, CelebV-Text and MMHead.
ACTION_WORDS: dict[str, tuple[str, ...]] = {
    "talk": ("talks", "speaks", "says something", "is heard speaking", "has something to say"),
    "sing": ("sings", "sings a line", "sings a song"),
    "read": ("reads aloud", "reads out a text", "reads something"),
    "smile": ("smiles", "gives a smile", "breaks into a smile", "puts on a smile", "beams"),
    "laugh": ("laughs", "laughs out loud", "gives a laugh", "bursts into laughter"),
    "frown": ("frowns", "gives a frown", "scowls", "puts on a frown"),
    "cry": ("cries", "sheds tears", "starts to cry"),
    "weep": ("weeps", "weeps softly"),
    "shout": ("shouts", "shouts out", "yells"),
    "whisper": ("whispers", "speaks under the breath"),
    "nod": ("nods", "gives a nod", "nods in agreement", "nods along"),
    "shake head": ("shakes the head", "gives a shake of the head", "says no with the head"),
    "head wagging": ("wags the head", "sways the head", "rocks the head"),
    "turn": ("turns away", "turns aside", "turns to one side", "looks to one side"),
    "tilt": ("cocks the head", "leans the head to one side", "tips the head sideways"),
    "look up": ("looks up", "glances up", "looks upward"),
    "look down": ("looks down", "glances down", "looks downward"),
    "look around": ("looks around", "glances about", "lets the eyes wander"),
    "glance": ("glances aside", "looks aside", "casts a glance to one side"),
    "gaze": ("gazes ahead", "looks on steadily", "keeps a steady gaze"),
    "glare": ("glares", "glares ahead", "gives a hard stare"),
    "squint": ("squints", "peers ahead", "screws up the eyes"),
    "wink": ("winks", "gives a wink"),
    "blink": ("blinks", "bats the eyelids"),
    "close eyes": ("closes the eyes", "shuts the eyes", "keeps the eyes shut"),
    "make a face": ("makes a face", "pulls a face", "grimaces"),
    "sneer": ("sneers", "gives a sneer"),
    "pout": ("pouts", "makes a pout", "purses the lips"),
    "kiss": ("blows a kiss", "makes a kissing mouth"),
    "blow": ("blows", "blows out some air"),
    "puff": ("puffs up the cheeks", "blows out the cheeks"),
    "gape": ("gapes", "opens the mouth wide", "lets the mouth hang open"),
    "tongue": ("sticks the tongue out", "shows the tongue"),
    "press lips": ("presses the lips together", "keeps the lips tight", "bites back words"),
    "raise brows": ("raises the eyebrows", "lifts the eyebrows"),
    "stare": ("stares", "stares with wide eyes", "opens the eyes wide"),
    "yawn": ("yawns", "gives a yawn"),
    "sigh": ("sighs", "lets out a sigh"),
    "cough": ("coughs", "clears the throat with a cough"),
    "sneeze": ("sneezes", "gives a sneeze"),
    "sniff": ("sniffs", "sniffs the air"),
    "eat": ("eats", "eats something"),
    "chew": ("chews", "chews on something"),
    "drink": ("drinks", "takes a drink"),
    "smoke": ("smokes", "smokes a cigarette"),
    "sleep": ("sleeps", "lies asleep"),
    "listen to music": ("listens to music",),
    "play instrument": ("plays an instrument", "plays music"),
    "still": ("keeps still", "stays quiet", "rests", "waits quietly", "does nothing in particular", "holds still"),
    "facial expression": ("makes a face", "makes a facial expression", "puts on an expression"),
}
_SPELLINGS = {  # of labels
    "talking": "talk",
    "speak": "talk",
    "speaking": "talk",
    "speech": "talk",
    "singing": "sing",
    "song": "sing",
    "reading": "read",
    "smiling": "smile",
    "shake the head": "shake head",
    "head shake": "shake head",
    "head wag": "head wagging",
    "wag head": "head wagging",
    "closed eyes": "close eyes",
    "eyes closed": "close eyes",
    "making a facial expression": "facial expression",
    "making a face": "make a face",
}
SHOWN: dict[str, tuple[str, ...]] = {  # action -> names of facts that show it
    "smile": ("AU12",),
    "frown": ("AU4", "AU15"),
    "sneer": ("AU10",),
    "make a face": ("AU9", "AU20", "AU29", "AU30", "M60", "AU14", "AU16", "AU22"),
    "pout": ("AU18",),
    "puff": ("AU34",),
    "gape": ("AU26",),
    "tongue": ("AU19",),
    "press lips": ("AU24", "AU28", "AU17"),
    "raise brows": ("AU1", "AU2"),
    "stare": ("AU5",),
    "squint": ("AU7", "AU6"),
    "close eyes": ("AU43",),
    "nod": ("head nod",),
    "shake head": ("head shake",),
    "turn": ("head turn",),
    "tilt": ("head tilt",),
    "look up": ("head up",),
    "look down": ("head down",),
    "glance": ("gaze",),
}
_FACT_ACTIONS = {fact: action for action, facts in SHOWN.items() for fact in facts}
_LABEL_FACTS = {**{action: facts for action, facts in SHOWN.items()}, "head wagging": ("head shake", "head tilt")}


def actions_of(timeline: Timeline, labels: Sequence[str]) -> list[str]:
    """What the person does, in order of time, at most four: the labels where there are any, else what is seen.

    Labels need not be in order: those that can be seen take the order in which they are.
    """
    face, head = moments(timeline, head=False), moments(timeline, head=True)
    shown = sorted([*face, *head], key=lambda moment: moment.onset)
    if labels:
        return _ordered([_label(label) for label in labels], shown, timeline)[: 2 * MOST]
    weights: dict[str, float] = {}
    onsets: dict[str, float] = {}
    for moment in shown:
        action = _action(moment.fact)
        weights[action] = weights.get(action, 0.0) + moment.weight
        onsets.setdefault(action, moment.onset)
    if timeline.talking:
        weights["talk"], onsets["talk"] = 99.0, timeline.talking[0][0]
    if len(weights) > 1:
        weights.pop("blink", None)
    heaviest = sorted(weights, key=lambda action: -weights[action])[:MOST]
    return sorted(heaviest, key=lambda action: onsets[action]) or ["still"]


def say_action(action: str, rng: random.Random) -> str:
    """An action said of somebody: "smile" -> "gives a smile". One without words of its own is put as it is spelt."""
    if action in ACTION_WORDS:
        return rng.choice(ACTION_WORDS[action])
    return third_person(action)


def _label(label: str) -> str:
    words = " ".join(label.replace("_", " ").replace("-", " ").lower().split())
    return _SPELLINGS.get(words, words)


def _action(fact: Fact) -> str:
    if fact.name == "AU43" and fact.side in ("left", "right"):
        return "wink"
    return _FACT_ACTIONS.get(fact.name, "blink")


def _ordered(actions: list[str], shown: Sequence[Moment], timeline: Timeline) -> list[str]:
    """The actions, those whose onset is known sorted among the places they hold."""
    actions = list(dict.fromkeys(actions))
    onsets = {}
    for action in actions:
        names = _LABEL_FACTS.get(action, ())
        times = [moment.onset for moment in shown if moment.fact.name in names]
        if action == "talk" and timeline.talking:
            times = [timeline.talking[0][0]]
        if times:
            onsets[action] = min(times)
    known = iter(sorted(onsets, key=lambda action: onsets[action]))
    return [next(known) if action in onsets else action for action in actions]
