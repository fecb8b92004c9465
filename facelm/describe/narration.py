"""Moments into a paragraph: present simple, in order of time, without figures, as many words as allowed.

What is said is made of the phrases of lexicon.py and phrases.py, so that `facts_in_words` reads it again.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from facelm.describe.lexicon import BLINK_PHRASES, GAZE_PHRASES, HEAD_PHRASES, UNIT_WORDS
from facelm.describe.moments import Moment, beats, lightest
from facelm.describe.phrases import (
    BLINK_PARTS,
    ENDS_TALK,
    FACE_RESTS,
    GAZE_PARTS,
    HEAD_HELD,
    HEAD_PARTS,
    HEAD_RESTS,
    HELD,
    LAST,
    LATE,
    MANNERS,
    MEANWHILE,
    NOUN_LEVELS,
    PAUSE,
    QUICK,
    RELEASE,
    SHORT,
    SLOW,
    SOON,
    START,
    STARTS_TALK,
    TALK,
    TALKS,
    THEN,
    THROUGHOUT,
    TIMES,
    TOGETHER,
    UNIT_PARTS,
    WITH_BREAKS,
    Part,
    plural,
    third_person,
)
from facelm.describe.timeline import BLINK, Timeline
from facelm.describe.units import UNITS

PERSONAS = (  # how a person is named first, how afterwards, and whose the parts are
    ("she", "she", "her"),
    ("he", "he", "his"),
    ("the woman", "she", "her"),
    ("the man", "he", "his"),
    ("the person", "the person", "their"),
    ("the person", "the person", "the"),
    ("the actor", "the actor", "their"),
    ("the character", "the character", "the"),
    ("a woman", "she", "her"),
    ("a man", "he", "his"),
)
REGIONS = {  # where a unit moves, for what is passed over
    **dict.fromkeys(("AU1", "AU2", "AU4"), "brows"),
    **dict.fromkeys(("AU5", "AU7", "AU43", "gaze", "blink"), "eyes"),
    **dict.fromkeys(("AU6", "AU9", "AU34"), "cheeks"),
}
TALKS_THROUGHOUT = 0.7  # share of a clip


@dataclass(frozen=True)
class Persona:
    """Who a text is about: "the woman" at first, then "she" and "her" brows."""

    first: str
    later: str
    owner: str

    @classmethod
    def draw(cls, rng: random.Random) -> "Persona":
        """Any of `PERSONAS`; says nothing about who moves."""
        return cls(*rng.choice(PERSONAS))

    def own(self, words: str) -> str:
        """The words with the parts of the face made this person's: the brows -> her brows."""
        if self.owner == "the":
            return words
        return re.sub(r"\bthe (?!left\b|right\b|[a-z ]*\bof the\b)", f"{self.owner} ", words)


class Narrator:
    """Writes one paragraph about one person. The same `rng` gives the same words."""

    def __init__(self, timeline: Timeline, persona: Persona, rng: random.Random) -> None:
        self.timeline, self.persona, self.rng = timeline, persona, rng
        self.named = False
        self.all_last = False
        self.meanwhile = ""

    def tell(self, told: Sequence[Moment], limit: int, head: bool, bare: bool = False) -> str:
        """A paragraph of at most `limit` words about the head or the face; `bare` tells of no talking.

        What has no room is left out, the lightest of the middle first; a long text says that things go on in between.
        """
        kept, dropped = list(told), list[Moment]()
        while True:
            self.named = False
            text = self._paragraph(beats(kept), dropped, head, bare)
            if len(text.split()) <= limit:
                return text
            if len(kept) == 1:
                return _sentence(self._clause(kept[0], plain=True))
            for _ in range(1 + (len(text.split()) - limit) // 12):
                lightest_moment = lightest(beats(kept))
                kept.remove(lightest_moment)
                dropped.append(lightest_moment)
                if len(kept) == 1:
                    break

    def _paragraph(self, groups: list[list[Moment]], dropped: list[Moment], head: bool, bare: bool) -> str:
        spans = () if head or bare else self.timeline.talking
        if not groups and not spans:
            return self._rest(head)
        sentences: list[str] = []
        reached = 0.0
        for index, group in enumerate(groups):
            if spans and spans[0][0] <= group[0].onset:
                sentences.append(_linked(self.rng.choice(THEN) if sentences else "", self._talk()))
                spans = ()
            if index == len(groups) - 1 and len(dropped) > 2 and index:
                sentences.append(self._between(dropped, head))
            link = self._link(index, len(groups), group, groups[index - 1] if index else None, reached)
            words = self._beat(group)
            join = self.rng.random() < 0.3 and link in (*THEN, *SOON) and len(group) < 3 and sentences
            if join and len(sentences[-1].split()) < 14:
                sentences[-1] += f", and {link} {words}"
            else:
                sentences.append(_linked(link, words))
            reached = max([reached, *(moment.offset for moment in group)])
        if spans:
            sentences.append(_linked(self.rng.choice(THEN) if sentences else "", self._talk()))
        return " ".join(_sentence(words) for words in sentences)

    def _link(self, index: int, count: int, group: list[Moment], before: list[Moment] | None, reached: float) -> str:
        rng, onset = self.rng, group[0].onset
        if before is None:
            if onset > 1.0 and count > 1:
                return rng.choice(LATE)
            return rng.choice(START) if count > 1 and rng.random() < 0.5 else ""
        if index == count - 1 and rng.random() < 0.65:
            return rng.choice(LAST)
        if rng.random() < 0.12:
            return ""
        gap = onset - before[0].onset
        if gap <= 0.3 or (reached > onset + 0.3 and rng.random() < 0.4):
            self.meanwhile = rng.choice([words for words in MEANWHILE if words != self.meanwhile])
            return self.meanwhile
        if reached < onset - 0.8:
            return rng.choice(PAUSE)
        return rng.choice(SOON if gap < 1.0 and rng.random() < 0.5 else THEN)

    def _beat(self, group: list[Moment]) -> str:
        """The moments of a beat as one sentence, without its full stop."""
        rng = self.rng
        style = rng.random()
        self.all_last = all(self._lasts(moment) for moment in group)
        if len(group) == 1:
            return self._clause(group[0], plain=False)
        if style < 0.45:  # she raises her brows, widens her eyes and opens her mouth
            said = [self._person(moment, last=moment is group[-1]) for moment in group]
            return f"{self._subject()} {_listed(said, rng)}"
        spoken_for = rng.randrange(len(group)) if style > 0.75 else -1  # whose subject is the person
        clauses = [
            self._clause(moment, plain=moment is not group[-1], part=index != spoken_for)
            for index, moment in enumerate(group)
        ]
        if len(clauses) == 2 and rng.random() < 0.6:
            return f"{clauses[0]} {rng.choice(TOGETHER)} {clauses[1]}"
        return _listed(clauses, rng)

    def _clause(self, moment: Moment, plain: bool, part: bool | None = None) -> str:
        """One moment with its own subject; `plain` leaves out what may follow the verb."""
        if self.rng.random() < 0.55 if part is None else part:
            return self._part(moment, last=not plain)
        return f"{self._subject()} {self._person(moment, last=not plain)}"

    def _subject(self) -> str:
        subject = self.persona.later if self.named else self.persona.first
        self.named = True
        return subject

    def _person(self, moment: Moment, last: bool) -> str:
        """What the person does: "raises her inner brows slightly"."""
        fact, rng = moment.fact, self.rng
        held = self._lasts(moment)
        if fact.name in UNITS:
            one_sided = fact.side in ("left", "right")
            forms = UNIT_WORDS[fact.name]
            fitting = [form for form in forms if (form[2] if one_sided else form[1] or form[0] == "smile")]
            verb, both, one = rng.choice(fitting)
            rest = one.format(side=fact.side) if one_sided else both
        elif fact == BLINK:
            verb, rest = rng.choice(BLINK_PHRASES["once" if moment.count != 2 else "twice"])
            if moment.count > 2:
                verb, rest = "blink", rng.choice(TIMES[3])
            return f"{third_person(verb)} {rest}".strip()
        elif fact.name == "gaze":
            verb, rest = rng.choice(GAZE_PHRASES[str(fact.side)])
        else:
            key = (fact.name.removeprefix("head "), fact.side)
            table = HEAD_HELD if held and key in HEAD_HELD and rng.random() < 0.7 else HEAD_PHRASES
            verb, rest = rng.choice(table[key])
        adverb, manner = self._adverbs(moment)
        words = [third_person(verb), self.persona.own(rest), adverb or manner]
        if words[2].endswith("ly") and rng.random() < 0.4:
            words = [words[2], *words[:2]]
        return _joined(*words, self._after(moment, "person", last, held))

    def _part(self, moment: Moment, last: bool) -> str:
        """What a part of the face does: "her inner brows rise slightly, then settle"."""
        fact, rng = moment.fact, self.rng
        if fact.name in UNITS:
            one_sided = fact.side in ("left", "right")
            parts: Sequence[Part] = [p for p in UNIT_PARTS[fact.name] if (p.one if one_sided else p.both)]
        elif fact == BLINK:
            parts = BLINK_PARTS
        elif fact.name == "gaze":
            parts = GAZE_PARTS[str(fact.side)]
        else:
            parts = HEAD_PARTS[fact.name.removeprefix("head "), fact.side]
        subject, verb, rest = rng.choice(parts).said(fact.side if fact.name in UNITS else None)
        adverb, manner = self._adverbs(moment)
        if subject.startswith("a ") and moment.level:
            size = rng.choice(NOUN_LEVELS[moment.level])
            subject, adverb = f"a {size} {subject[2:]}" if size else subject, ""
        word = adverb or manner
        subject = self.persona.own(subject)
        self.named = self.named or self.persona.owner not in ("the", "their")
        if word.endswith("ly") and rng.random() < 0.35:
            words = [subject, word, verb, self.persona.own(rest)]
        else:
            words = [subject, verb, self.persona.own(rest), word]
        number = "many" if plural(subject) else "one"
        return _joined(*words, self._after(moment, number, last, self._lasts(moment)))

    def _adverbs(self, moment: Moment) -> tuple[str, str]:
        """(how much, how fast); at most one of them is said."""
        rng = self.rng
        rise = moment.apex - moment.onset
        if moment.fact == BLINK:
            return "", ""
        if moment.onset > 0 and rng.random() < 0.35 and moment.fact.name not in ("head nod", "head shake"):
            if rise < 0.16:
                return "", rng.choice(QUICK)
            if rise > 0.8:
                return "", rng.choice(SLOW)
        if moment.level is None or moment.level == "moderate" and rng.random() < 0.7:
            return "", ""
        return rng.choice(MANNERS[moment.level]), ""

    def _lasts(self, moment: Moment) -> bool:
        return moment.onset < 0.4 and moment.offset > self.timeline.seconds - 0.3

    def _after(self, moment: Moment, who: str, last: bool, lasts: bool) -> str:
        """What follows a movement: how often, how long, how it ends."""
        rng = self.rng
        if moment.count > 1:
            return rng.choice(TIMES[min(moment.count, 3)] if moment.fact.name != "head nod" else TIMES[3])
        if moment.fact == BLINK or not last or rng.random() < 0.4:
            return ""
        if lasts:
            return rng.choice(THROUGHOUT) if self.all_last else ""
        seconds = moment.offset - moment.onset
        if moment.fact.name in ("head nod", "head shake"):
            return ""
        if moment.offset < self.timeline.seconds - 0.3 and rng.random() < 0.6:
            if moment.fact.name == "gaze" or moment.fact.name.startswith("head "):
                return rng.choice(RELEASE["poses" if who == "many" else "pose"])
            return rng.choice(RELEASE[who])
        if seconds < 0.6:
            return rng.choice(SHORT)
        return rng.choice(HELD[who == "many"]) if seconds > 2 else ""

    def _talk(self) -> str:
        """A sentence about talking."""
        spans = self.timeline.talking
        rng, seconds = self.rng, self.timeline.seconds
        subject = self._subject()
        if sum(end - begin for begin, end in spans) >= TALKS_THROUGHOUT * seconds:
            return f"{subject} {rng.choice(TALKS)} {rng.choice(THROUGHOUT)}{self.persona.own(rng.choice(('', *TALK)))}"
        begin, end = spans[0][0], spans[-1][1]
        words = rng.choice(TALKS) if begin < 0.5 else rng.choice(STARTS_TALK)
        if len(spans) > 1:
            words += f" {rng.choice(WITH_BREAKS)}"
        if end < seconds - 0.6 and rng.random() < 0.7:
            words += f" and later {rng.choice(ENDS_TALK)}"
        else:
            words += self.persona.own(rng.choice(("", *TALK)))
        return f"{subject} {words}"

    def _rest(self, head: bool) -> str:
        rng = self.rng
        subjects, verbs, ends = HEAD_RESTS if head else FACE_RESTS
        words = f"{self.persona.own(rng.choice(subjects))} {rng.choice(verbs)} {rng.choice((*ends, *THROUGHOUT))}"
        return _sentence(words)

    def _between(self, dropped: list[Moment], head: bool) -> str:
        rng = self.rng
        if head:
            parts = "the head"
        else:
            found = list(dict.fromkeys(REGIONS.get(moment.fact.name, "mouth") for moment in dropped))
            parts = "the " + _listed(found[:3], rng)
        several = not head and ("s" == parts[-1] or " and " in parts)
        verb = rng.choice(("keep", "go on") if several else ("keeps", "goes on"))
        return f"in between, {self.persona.own(parts)} {verb} {rng.choice(('moving', 'changing', 'stirring'))}"


def _listed(said: Sequence[str], rng: random.Random) -> str:
    if len(said) == 1:
        return said[0]
    return ", ".join(said[:-1]) + rng.choice((" and ", " and ", ", and " if len(said) > 2 else " and ")) + said[-1]


def _joined(*words: str) -> str:
    return " ".join(word for word in words if word).replace(" then ", ", then ")


def _linked(link: str, words: str) -> str:
    return f"{link}, {words}" if link else words


def _sentence(words: str) -> str:
    words = " ".join(words.split())
    return words[0].upper() + words[1:] + "."
