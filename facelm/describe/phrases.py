"""Words that tell a movement as it happens: parts of the face as subjects, how fast, how long, and what follows.

`lexicon` says what a person does ("she raises the inner brows"); this file adds what the parts do ("her inner brows
rise slightly, then settle"). The reader of describe/captions.py knows both. The words of `FILLERS` say how and when,
and state no fact: the reader passes over them, so none of them may hold a phrase of the lexicon.
"""

from typing import NamedTuple


class Part(NamedTuple):
    """Something of the face that moves by itself.

    Attributes:
        both: the subject for both sides or the middle, "" where there is only one side at a time.
        one: the subject for one side with {side}, "" where sides have no meaning.
        verb: bare, for a plural subject: "rise".
        rest: what follows the verb; may hold {side}, for one side only.
        rest_both: what follows it for both sides, where that differs.
    """

    both: str
    one: str
    verb: str
    rest: str = ""
    rest_both: str | None = None

    def said(self, side: str | None) -> tuple[str, str, str]:
        """(subject, verb agreeing with it, rest) on "left" or "right", or for anything else in the middle or both."""
        if side in ("left", "right"):
            subject, rest = self.one.format(side=side), self.rest.format(side=side)
        else:
            subject, rest = self.both, self.rest if self.rest_both is None else self.rest_both
        return subject, self.verb if plural(subject) else third_person(self.verb), rest


def third_person(verb: str) -> str:
    """A verb in the third person: smile -> smiles, press -> presses, go up -> goes up."""
    first, *rest = verb.split(" ")
    return " ".join((first + ("es" if first.endswith(("s", "sh", "ch", "x", "z", "o")) else "s"), *rest))


def plural(subject: str) -> bool:
    """Whether a subject such as "the corners of the mouth" takes a plural verb."""
    return subject.split(" of ")[0].endswith("s")


_BROWS = ("the brows", "the {side} brow")
_EYEBROWS = ("the eyebrows", "the {side} eyebrow")
_EYES = ("the eyes", "the {side} eye")
_CHEEKS = ("the cheeks", "the {side} cheek")
_NOSE = ("the nose", "the {side} side of the nose")
_UPPER = ("the upper lip", "the {side} side of the upper lip")
_LOWER = ("the lower lip", "the {side} side of the lower lip")
_CORNERS = ("the corners of the mouth", "the {side} corner of the mouth")
_MOUTH_CORNERS = ("the mouth corners", "the {side} mouth corner")
_LIP_CORNERS = ("the lip corners", "the {side} lip corner")
_ON_SIDE = "on the {side}"

UNIT_PARTS: dict[str, tuple[Part, ...]] = {
    "AU1": tuple(
        Part(subject, "", verb)
        for subject in ("the inner brows", "the inner eyebrows", "the inner ends of the brows")
        for verb in ("rise", "lift", "go up", "climb")
    ),
    "AU2": (
        *(Part("the outer brows", "the {side} outer brow", verb) for verb in ("rise", "lift", "go up", "arch")),
        *(
            Part("the outer ends of the eyebrows", "the outer end of the {side} eyebrow", verb)
            for verb in ("rise", "lift", "go up", "arch")
        ),
    ),
    "AU4": (
        *(Part(*_BROWS, verb) for verb in ("lower", "draw down", "come down", "sink", "furrow")),
        *(Part(*_EYEBROWS, verb) for verb in ("lower", "draw down", "come down", "knit")),
    ),
    "AU5": (
        *(Part(*_EYES, verb) for verb in ("widen", "open wide", "grow wide", "go wide")),
        *(Part("the upper eyelids", "the {side} upper eyelid", verb) for verb in ("rise", "lift", "draw up")),
    ),
    "AU6": tuple(Part(*_CHEEKS, verb) for verb in ("rise", "lift", "bunch up", "push up")),
    "AU7": (
        *(Part(*_EYES, verb) for verb in ("narrow", "squint", "screw up")),
        *(Part("the eyelids", "the {side} eyelid", verb) for verb in ("tighten", "tense", "narrow")),
    ),
    "AU9": tuple(Part(*_NOSE, verb) for verb in ("wrinkle", "scrunch up", "crinkle", "crease")),
    "AU10": tuple(Part(*_UPPER, verb) for verb in ("rise", "lift", "curl up", "draw up")),
    "AU12": (
        *(Part(*_CORNERS, verb) for verb in ("rise", "curl up", "turn up")),
        *(Part(*_LIP_CORNERS, verb) for verb in ("rise", "pull up", "draw up")),
        *(Part(*_MOUTH_CORNERS, verb) for verb in ("lift", "curl up", "turn up")),
        *(Part("a smile", "a smile", verb, _ON_SIDE, "") for verb in ("appear", "form", "spread", "grow", "show")),
    ),
    "AU14": (
        *(Part(*_CORNERS, verb) for verb in ("tighten", "tuck in", "press in")),
        Part(*_CHEEKS, "dimple"),
        *(Part("a dimple", "a dimple", verb, "in the {side} cheek", "in both cheeks") for verb in ("show", "form")),
    ),
    "AU15": (
        *(Part(*_CORNERS, verb) for verb in ("turn down", "sink", "droop")),
        *(Part(*_LIP_CORNERS, verb) for verb in ("pull down", "drop", "draw down")),
        *(Part(*_MOUTH_CORNERS, verb) for verb in ("turn down", "droop", "drop")),
    ),
    "AU16": tuple(Part(*_LOWER, verb) for verb in ("drop", "pull down", "go down", "draw down")),
    "AU17": tuple(Part("the chin", "", verb) for verb in ("push up", "bunch up", "wrinkle")),
    "AU18": tuple(Part("the lips", "", verb) for verb in ("pucker", "purse", "draw into a pout", "pout")),
    "AU19": tuple(Part("the tongue", "", verb) for verb in ("come out", "stick out", "poke out", "show")),
    "AU20": (
        *(Part(*_LIP_CORNERS, verb) for verb in ("pull back", "draw back", "stretch back")),
        *(Part(*_MOUTH_CORNERS, verb) for verb in ("pull back", "draw back")),
        *(Part("the lips", "the lips", verb, "to the {side}", "sideways") for verb in ("stretch", "draw")),
    ),
    "AU22": tuple(Part("the lips", "", verb) for verb in ("push forward", "funnel", "push out", "round")),
    "AU24": (
        *(Part("the lips", "the lips", verb, "together on the {side}", "together") for verb in ("press", "squeeze")),
        *(Part("the lips", "the lips", verb, _ON_SIDE, "tight") for verb in ("press", "clamp")),
    ),
    "AU26": (
        *(Part("the jaw", "", verb) for verb in ("drop", "open", "lower", "go down")),
        *(Part("the mouth", "", verb) for verb in ("open", "come open", "fall open")),
    ),
    "AU28": tuple(Part("the lips", "", verb) for verb in ("roll inward", "curl inward", "draw in", "fold in")),
    "AU29": tuple(Part("the jaw", "", verb) for verb in ("push forward", "thrust out", "jut out", "come forward")),
    "AU30": tuple(Part("", "the jaw", verb, "to the {side}") for verb in ("slide", "shift", "move", "slip")),
    "AU34": tuple(Part("the cheeks", "", verb) for verb in ("puff out", "fill with air", "swell", "blow up")),
    "AU43": (
        *(Part(*_EYES, verb) for verb in ("close", "shut", "fall shut")),
        *(Part("the eyelids", "the {side} eyelid", verb) for verb in ("close", "shut", "come down")),
    ),
    "M60": tuple(Part("", "the mouth", verb, "to the {side}") for verb in ("shift", "move", "pull", "slide")),
}

HEAD_PARTS: dict[tuple[str, str | None], tuple[Part, ...]] = {
    ("nod", None): (
        Part("the head", "", "nod"),
        *(Part("the head", "", verb, "up and down") for verb in ("move", "go", "bob")),
    ),
    ("shake", None): (
        Part("the head", "", "shake"),
        *(Part("the head", "", verb, "from side to side") for verb in ("shake", "move", "swing", "go")),
    ),
    ("up", None): tuple(Part("the head", "", verb) for verb in ("rise", "lift", "tip back", "come up", "go up")),
    ("down", None): tuple(Part("the head", "", verb) for verb in ("lower", "drop", "dip", "sink", "go down", "bow")),
    **{
        ("turn", side): tuple(
            Part("the head", "", verb, rest)
            for verb in ("turn", "swing", "rotate", "move", "go")
            for rest in (f"to the {side}", side, f"towards the {side}")
        )
        for side in ("left", "right")
    },
    **{
        ("tilt", side): tuple(
            Part("the head", "", verb, rest)
            for verb in ("tilt", "lean", "tip", "incline")
            for rest in (f"to the {side}", f"towards the {side} shoulder", side)
        )
        for side in ("left", "right")
    },
}
# What a person keeps doing when a head pose lasts through a whole clip: (verb, rest).
HEAD_HELD: dict[tuple[str, str | None], tuple[tuple[str, str], ...]] = {
    ("up", None): (("keep", "the head up"), ("hold", "the head up"), ("keep", "the head raised")),
    ("down", None): (("keep", "the head down"), ("hold", "the head low"), ("keep", "the head lowered")),
    **{
        (name, side): tuple(
            (verb, f"the head {held} {rest}")
            for verb in ("keep", "hold")
            for held in words
            for rest in (f"to the {side}", f"towards the {side}")
        )
        for name, words in (("turn", ("turned",)), ("tilt", ("tilted", "leaning")))
        for side in ("left", "right")
    },
}
GAZE_PARTS: dict[str, tuple[Part, ...]] = {
    **{
        side: tuple(
            Part(subject, "", verb, rest)
            for subject in ("the eyes", "the gaze")
            for verb in ("move", "shift", "drift", "turn", "wander")
            for rest in (f"to the {side}", side)
        )
        for side in ("left", "right")
    },
    "up": tuple(
        Part(subject, "", verb, rest)
        for subject in ("the eyes", "the gaze")
        for verb, rest in (("move", "up"), ("drift", "up"), ("shift", "upward"), ("rise", ""), ("lift", ""))
    ),
    "down": tuple(
        Part(subject, "", verb, rest)
        for subject in ("the eyes", "the gaze")
        for verb, rest in (("move", "down"), ("drift", "down"), ("shift", "downward"), ("drop", ""), ("sink", ""))
    ),
}
BLINK_PARTS = (Part("the eyes", "", "blink"), Part("the eyelids", "", "blink"))
MANNERS = {  # how much something moves
    "slight": ("slightly", "a little", "faintly", "subtly", "a bit", "lightly", "a touch"),
    "moderate": ("moderately", "clearly", "visibly", "noticeably", "plainly"),
    "strong": ("strongly", "intensely", "a lot", "markedly", "deeply", "powerfully", "sharply", "hard"),
}

# How and when: nothing here states a fact.
QUICK = ("quickly", "suddenly", "abruptly", "swiftly", "in a flash")
SLOW = ("slowly", "gradually", "bit by bit", "little by little", "steadily")
SHORT = ("briefly", "for a moment", "for an instant", "fleetingly", "for a brief moment")
HELD = (  # of one part or a person, of parts
    ("and stays so", "and stays there", "for a good while", "for some time"),
    ("and stay so", "and stay there", "for a good while", "for some time"),
)
THROUGHOUT = ("throughout", "all along", "the whole time", "from start to end", "all the while", "to the last")
AGAIN = ("again", "once more", "another time")
TIMES = {2: ("twice",), 3: ("several times", "a few times", "repeatedly", "again and again")}
RELEASE = {  # what follows when a movement ends: of a single part, of parts, of a person, of head or gaze
    "one": ("then settles", "then relaxes", "and eases off again", "before it settles", "and comes to rest"),
    "many": ("then settle", "then relax", "and ease off again", "before they settle", "and come to rest"),
    "person": ("then relaxes", "then lets go", "and eases off again", "before relaxing again"),
    "pose": ("then comes back", "and comes back again", "before coming back", "and returns soon"),
    "poses": ("then come back", "and come back again", "before coming back", "and return soon"),
}
START = ("at first", "to begin with", "in the beginning", "at the start", "initially", "first")
THEN = ("then", "after that", "next", "afterwards", "following this")
LATE = ("after a while", "after a still start", "after a pause", "after a moment of rest")  # for what begins late
SOON = ("a moment later", "soon after", "shortly after", "right after that", "straight away", "without delay")
PAUSE = ("after a pause", "some time later", "after a while", "a while later", "later on")
MEANWHILE = ("meanwhile", "at the same time", "with that still held", "while this lasts", "during this")
LAST = ("finally", "in the end", "at the end", "at last", "to finish", "lastly", "as the clip closes")
TOGETHER = ("while", "as", "just as")
TALKS = ("talks", "speaks", "says something", "is in the middle of a speech", "keeps talking", "keeps speaking")
STARTS_TALK = ("starts to talk", "begins to speak", "starts speaking", "starts to say something")
TALK = (  # what may follow
    ", the mouth moving with the words",
    ", the lips moving with the speech",
    " and the mouth follows the words",
    ", the lips forming each word",
    " while the jaw works along",
    ", the mouth busy with the words",
)
WITH_BREAKS = ("with short breaks", "on and off", "with pauses in between", "now and then")
ENDS_TALK = ("falls silent", "stops talking", "goes quiet", "finishes speaking", "says no more")
NOUN_LEVELS = {  # before "smile" and "dimple"; "" leaves it open
    "slight": ("small", "faint", "thin", "slight"),
    "moderate": ("", "", "clear"),
    "strong": ("broad", "big", "strong"),
}
FACE_RESTS = (  # nothing happens: subject, verb, end
    ("the face", "the whole face", "the expression"),
    ("stays still", "keeps still", "rests", "stays calm and unmoved", "hardly changes", "remains at rest"),
    ("from the first moment on", "from beginning to end"),
)
HEAD_RESTS = (
    ("the head",),
    (
        "stays still",
        "keeps still",
        "rests",
        "stays straight",
        "remains upright",
        "hardly moves",
        "does not move",
        "stays where it is",
        "faces straight ahead",
        "keeps its place",
        "stays level",
        "remains at rest",
    ),
    ("from the first moment on", "from beginning to end"),
)
