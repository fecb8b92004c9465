"""Facts into words and words back into facts.

`Wording` turns a plan into prompts ("Smile a little on the left, then nod."), captions ("She smiles slightly on the
left, then nods.") and questions with answers. `facts_in_words` reads such sentences again, and those of annotations
(describe/narration.py), so that a caption can be scored by what it claims. Writing and reading share one lexicon
(describe/lexicon.py, describe/phrases.py): what cannot be read cannot have been written.

Annotation follows the field's practice (MMHead, supplement A.2: present simple, chronological, no numbers or unit
codes).
"""

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache

from facelm.describe.facts import Fact, item_facts
from facelm.describe.lexicon import (
    ADVERBS,
    AMOUNTS,
    BLINK_PHRASES,
    DEGREES,
    EMOTION_WORDS,
    GAZE_PHRASES,
    HEAD_PHRASES,
    LOOK_VERBS,
    NEUTRAL_PHRASES,
    SHOW_VERBS,
    UNIT_WORDS,
)
from facelm.describe.phrases import (
    AGAIN,
    GAZE_PARTS,
    HEAD_HELD,
    HEAD_PARTS,
    LAST,
    MANNERS,
    NOUN_LEVELS,
    PAUSE,
    QUICK,
    RELEASE,
    SHORT,
    SLOW,
    SOON,
    THEN,
    UNIT_PARTS,
    Part,
    third_person,
)
from facelm.describe.plan import Item, Phase, Plan
from facelm.describe.units import EMOTIONS, UNITS

COMMANDS = ("{bare}", "{bare}", "please {bare}", "make the face {bare}", "have the character {bare}", "make her {bare}")
SUBJECTS = ("the person", "she", "he", "someone", "the face", "a woman", "a man", "the actor")
RELATIVE = (
    "animate a face that {third}",
    "a person who {third}",
    "generate someone who {third}",
    "a face that {third}",
)


# ---------------------------------------------------------------- facts -> words


@dataclass(frozen=True)
class Clause:
    """A verb with what follows it, so that it can be said as a command or of somebody."""

    verb: str
    rest: str
    before: str = ""
    after: str = ""

    def say(self, third: bool) -> str:
        verb = third_person(self.verb) if third else self.verb
        return " ".join(word for word in (self.before, verb, self.rest, self.after) if word)


class Wording:
    """Writes sentences for plans. The same `rng` gives the same words."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def prompt(self, plan: Plan) -> str:
        """A request, its items in any order: "Please look slightly sad and nod, then smile on the left."."""
        mixed = [replace(phase, items=tuple(self.rng.sample(phase.items, len(phase.items)))) for phase in plan.phases]
        plan = Plan(tuple(mixed))
        if self.rng.random() < 0.3:
            return _sentence(self.rng.choice(RELATIVE).format(third=self._phases(plan, third=True)))
        return _sentence(self.rng.choice(COMMANDS).format(bare=self._phases(plan, third=False)))

    def caption(self, plan: Plan) -> str:
        """A description in the present simple, in the plan's order: "She looks slightly sad and nods, then smiles."."""
        return _sentence(f"{self.rng.choice(SUBJECTS)} {self._phases(plan, third=True)}")

    def questions(self, plan: Plan) -> list[dict[str, str]]:
        """Questions about a motion with their answers, as {"question", "answer"}."""
        rng, asked = self.rng, []

        def ask(questions: tuple[str, ...], answer: str) -> None:
            asked.append({"question": rng.choice(questions), "answer": _sentence(answer)})

        items = [item for phase in plan.phases for item in phase.items]
        emotions = [item for item in items if item.kind == "emotion"]
        ask(
            ("What emotion does the face show?", "Which emotion is this?", "How does the person feel?"),
            ", then ".join(self._noun(e) for e in emotions) if emotions else "no emotion",
        )
        head = [item for item in items if item.kind == "head"]
        ask(
            ("What does the head do?", "How does the head move?", "Does the head move?"),
            "it " + ", then ".join(self._clause(h).say(third=True) for h in head) if head else "the head stays still",
        )
        if plan.blinks:
            ask(("How often do the eyes blink?", "How many blinks are there?"), _COUNT_WORDS[min(plan.blinks, 6)])
        if len(plan.phases) > 1:
            first, last = plan.phases[0], plan.phases[-1]
            ask(("What happens first?", "How does it start?"), "it " + self._phase(first, third=True))
            ask(("What happens last?", "How does it end?"), "it " + self._phase(last, third=True))
        sided = [item for item in items if item.kind == "unit" and item.side in ("left", "right")]
        if sided:
            ask(("On which side of the face?", "Which side moves?"), f"the {rng.choice(sided).side} side")
        return asked

    def _phases(self, plan: Plan, third: bool) -> str:
        parts = [self._phase(phase, third) for phase in plan.phases]
        if len(parts) == 1:
            return parts[0]
        links = [self.rng.choice((", then ", ", after that ", " and then ", ", next ")) for _ in parts[1:]]
        if len(parts) > 2:
            links[-1] = self.rng.choice((", finally ", ", then "))
        text = parts[0] + "".join(link + part for link, part in zip(links, parts[1:], strict=True))
        return f"first {text}" if self.rng.random() < 0.25 else text

    def _phase(self, phase: Phase, third: bool) -> str:
        items = phase.items
        if not any(item.kind in ("emotion", "unit") for item in items):
            clauses = [Clause(*self.rng.choice(NEUTRAL_PHRASES))] if not items else []
        else:
            clauses = []
        said = [clause.say(third) for clause in (*clauses, *(self._clause(item) for item in items))]
        if len(said) == 1:
            return said[0]
        return ", ".join(said[:-1]) + self.rng.choice((" and ", " and also ")) + said[-1]

    def _clause(self, item: Item) -> Clause:
        rng = self.rng
        if item.kind == "emotion":
            side = f"on the {item.side}" if item.side else ""
            if rng.random() < 0.35:
                return Clause(rng.choice(SHOW_VERBS), self._noun(item), after="")
            degree = rng.choice(DEGREES[item.intensity or "moderate"])
            adjective = rng.choice(EMOTION_WORDS[item.name][0])
            return Clause(rng.choice(LOOK_VERBS), f"{degree} {adjective}".strip(), after=side)
        if item.kind == "unit":
            one_sided = item.side in ("left", "right")
            forms = [form for form in UNIT_WORDS[item.name] if one_sided or form[1] or form[0] == "smile"]
            verb, both, one = rng.choice(forms)
            rest = one.format(side=item.side) if one_sided else both
            if item.intensity == "moderate" and rng.random() < 0.6:
                return Clause(verb, rest)
            adverb = rng.choice(ADVERBS[item.intensity or "moderate"])
            if rest.startswith(("on ", "with ")) and rng.random() < 0.5:
                return Clause(verb, f"{adverb} {rest}")
            if adverb.endswith("ly") and rng.random() < 0.4:
                return Clause(verb, rest, before=adverb)
            return Clause(verb, rest, after=adverb)
        if item.kind == "head":
            return Clause(*rng.choice(HEAD_PHRASES[item.name, item.side]))
        if item.kind == "gaze":
            return Clause(*rng.choice(GAZE_PHRASES[item.name]))
        return Clause(*rng.choice(BLINK_PHRASES[item.name]))

    def _noun(self, item: Item) -> str:
        amount = self.rng.choice(AMOUNTS[item.intensity or "moderate"])
        side = f"on the {item.side}" if item.side else ""
        return f"{amount} {self.rng.choice(EMOTION_WORDS[item.name][1])} {side}".strip()


_COUNT_WORDS = ("never", "once", "twice", "three times", "four times", "five times", "six times")


def _sentence(words: str) -> str:
    words = " ".join(words.split())
    return words[0].upper() + words[1:] + "."


# ---------------------------------------------------------------- words -> facts


def _any(phrases: Iterable[str]) -> str:
    """A pattern for any of some phrases, the longest first."""
    return "|".join(sorted(map(re.escape, phrases), key=len, reverse=True))


_LINKS = re.compile(rf"\b(?:and then|{_any((*THEN, *SOON, *PAUSE, *LAST))})\b|[.;]")
_FILLERS = re.compile(  # "then relaxes" ends a movement; "then relaxes the face" is a phase of its own
    rf"\b(?:{_any((*sum(RELEASE.values(), ()), *QUICK, *SLOW, *SHORT, *AGAIN))})\b(?! the face)"
)
_OWNER = re.compile(r"\b(?:her|his|their|its|(?:the|a|an) \w+'s)\b")  # her brows, the person's brows: the brows
_LEVELS = {
    word: level
    for table in (ADVERBS, DEGREES, AMOUNTS, MANNERS, NOUN_LEVELS)
    for level, words in table.items()
    for word in words
    if word
}
_LONG_LEVELS = re.compile(rf"\b(?:{_any(word for word in _LEVELS if ' ' in word)})\b")


class _Words(dict[str, "_Words"]):
    """A tree of phrases, word by word; `item` is what the words up to here mean (intensity left open)."""

    item: Item | None = None


@cache
def _lexicon() -> _Words:
    """Every phrase of the lexicon in each of its forms."""
    tree = _Words()

    def add(phrase: str, item: Item) -> None:
        node = tree
        for word in phrase.split():
            node = node.setdefault(word, _Words())
        node.item = node.item or item

    def add_person(verb: str, rest: str, item: Item) -> None:
        add(f"{verb} {rest}", item)
        add(f"{third_person(verb)} {rest}", item)

    def add_part(part: Part, item: Item) -> None:
        add(" ".join(part.said(item.side if item.kind == "unit" else None)), item)

    for code, unit in UNITS.items():
        middle = Item("unit", code, "both" if unit.sides else None)
        one_sided = [Item("unit", code, side) for side in ("left", "right") if unit.sides]
        for verb, both, one in UNIT_WORDS[code]:
            for item in one_sided if one else ():
                add_person(verb, one.format(side=item.side), item)
            if both or verb == "smile":
                add_person(verb, both, middle)
        for part in UNIT_PARTS[code]:
            for item in one_sided if part.one else ():
                add_part(part, item)
            if part.both:
                add_part(part, middle)
    for table in (HEAD_PHRASES, HEAD_HELD):
        for (name, side), forms in table.items():
            for verb, rest in forms:
                add_person(verb, rest, Item("head", name, side))
    for (name, side), parts in HEAD_PARTS.items():
        for part in parts:
            add_part(part, Item("head", name, side))
    for name, forms in GAZE_PHRASES.items():
        for verb, rest in forms:
            add_person(verb, rest, Item("gaze", name))
        for part in GAZE_PARTS[name]:
            add_part(part, Item("gaze", name))
    for name, forms in BLINK_PHRASES.items():
        for verb, rest in forms:
            add_person(verb, rest, Item("blink", name))
    for name, (adjectives, nouns) in EMOTION_WORDS.items():
        for word in (*adjectives, *nouns):
            add(word, Item("emotion", name))
            for side in ("left", "right") if EMOTIONS[name].sided else ():
                add(f"{word} on the {side}", Item("emotion", name, side))
    return tree


def items_in_words(text: str) -> list[list[Item]]:
    """The items that sentences state, phase by phase, in order of telling; phases without any are kept as neutral.

    Words outside the lexicon are passed over: a caption is scored by what can be read from it. An adverb of intensity
    may stand before a phrase, after it or inside it; an owner ("her brows") and words such as "slowly" change nothing.
    """
    words = " ".join(_OWNER.sub("the", text.lower()).replace(",", " , ").split())
    words = _LONG_LEVELS.sub(lambda match: match[0].replace(" ", "_"), _FILLERS.sub(" ", words))
    phases = []
    for part in _LINKS.split(words):
        if part.strip(" ,"):
            phases.append(_items(part.split()))
    return phases


def _items(words: list[str]) -> list[Item]:
    items = []
    levels = [_LEVELS.get(word.replace("_", " ")) for word in words]
    free = None  # the level just before the word looked at, if no phrase has it yet
    place = 0
    while place < len(words):
        item, end, inside = _longest(words, levels, place)
        if item is None:
            free = levels[place]
            place += 1
            continue
        level = inside or free
        if not level and end < len(words) and levels[end]:
            level, end = levels[end], end + 1
        items.append(replace(item, intensity=level or "moderate") if item.kind in ("emotion", "unit") else item)
        place, free = end, None
    return items


def _longest(words: list[str], levels: list[str | None], start: int) -> tuple[Item | None, int, str | None]:
    """The longest phrase that starts at a word: its item, the word after it, and the level inside it."""
    found: tuple[Item | None, int, str | None] = (None, start, None)
    node, inside = _lexicon(), None
    for place in range(start, len(words)):
        if words[place] in node:
            node = node[words[place]]
            if node.item:
                found = (node.item, place + 1, inside)
        elif levels[place] and place > start:
            inside = levels[place]
        else:
            break
    return found


def facts_in_words(text: str) -> list[set[Fact]]:
    """The facts that sentences state, phase by phase (see `items_in_words`)."""
    return [set().union(*(item_facts(item) for item in items)) for items in items_in_words(text)]
