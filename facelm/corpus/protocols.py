"""Protocols: which takes are for training, validation and test.

| name | who is where | from |
|---|---|---|
| released | as the data set says | its own lists |
| mmhead | its lists; takes without, .8 / .05 / .15 of the clips | MMHead |
| benchmark-1, benchmark-2 | MMHead's lists of that benchmark | MMHead |
| random | .8 / .05 / .15 of the clips | MMHead |
| identity | .6 / .2 / .2 of the clips, nobody in two splits | PMMTalk, "cross-subject" |
| cross-gender | all men for training; the women halved, by person, between validation and test | PMMTalk |
| mmface4d | 31 of 431 people for test (that share of any other number), nobody in two splits | MMFace4D |
| vocaset | 8, 2 and 2 named people | VOCA |
| compositional | clips with a held-out pair (corpus/heldout.py) for test, .97 / .03 of the others | ours |

A split depends on the ids of the takes, the people in them and the seed alone, never on their order or the number of
workers. In `random` and `mmhead` it does not even depend on the other takes, so that a corpus may grow.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from facelm.corpus.heldout import held_out
from facelm.corpus.readers.take import SPLITS, Take
from facelm.describe.plan import Plan
from facelm.errors import FacelmError

PROTOCOLS = (
    "released",
    "mmhead",
    "benchmark-1",
    "benchmark-2",
    "random",
    "identity",
    "cross-gender",
    "mmface4d",
    "vocaset",
    "compositional",
)
CLIP_SHARES = (0.8, 0.05, 0.15)  # of `random` and `mmhead`
PEOPLE_SHARES = (0.6, 0.2, 0.2)  # of `identity`
TEST_PEOPLE = 31 / 431  # of `mmface4d`
COMPOSED_SHARES = (0.97, 0.03, 0.0)  # of what is not held out
_GENDERS = {"male": "male", "m": "male", "man": "male", "female": "female", "f": "female", "woman": "female"}
_SWAPS = 400  # people up to whom pairs are exchanged for a closer fit


def draw(seed: int, *names: str) -> float:
    """A number in [0, 1) that depends on the seed and the names alone."""
    digest = hashlib.blake2b("\0".join((str(seed), *names)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def split_of(take: Take, protocol: str, seed: int = 0) -> str | None:
    """The split of one take, or None where it is in none: for the protocols that need no other take.

    Raises FacelmError for a protocol that needs all takes (`assign`) or does not exist.
    """
    if protocol in ("released", "vocaset"):
        return take.split
    if protocol in ("benchmark-1", "benchmark-2"):
        return take.extra.get("split I" if protocol == "benchmark-1" else "split II")
    if protocol == "mmhead" and take.split is not None:
        return take.split
    if protocol in ("mmhead", "random"):
        return _share(draw(seed, "clips", take.dataset, take.id), CLIP_SHARES)
    _check(protocol)
    raise FacelmError(f"the protocol {protocol} needs all takes at once; use assign")


def assign(takes: Iterable[Take], protocol: str, seed: int = 0) -> dict[str, str]:
    """The split of every take of one data set, by id; takes that are in no split are absent.

    Args:
        takes: of one data set, in any order.
        protocol: one of PROTOCOLS, but "compositional", which splits clips (`split_of_clip`).
        seed: of what is drawn.

    Raises:
        FacelmError: unknown protocol; two takes of one id; the data set does not say what the protocol needs.
    """
    _check(protocol)
    if protocol == "compositional":
        raise FacelmError("the protocol compositional splits clips by what they show; use split_of_clip")
    takes = sorted(takes, key=lambda take: take.id)
    twice = [a.id for a, b in zip(takes, takes[1:], strict=False) if a.id == b.id]
    if twice:
        raise FacelmError(f"two takes have the id {twice[0]}; split one data set at a time")
    if protocol == "identity":
        people = _by_person(takes, _people(takes, protocol), PEOPLE_SHARES, seed)
    elif protocol == "cross-gender":
        people = _by_gender(takes, seed)
    elif protocol == "mmface4d":
        people = _leave_out(_people(takes, protocol), seed)
    else:
        found = {take.id: split for take in takes if (split := split_of(take, protocol, seed))}
        if takes and not found:
            raise FacelmError(f"no take has a split of the protocol {protocol}; choose 'random' or 'identity'")
        return found
    return {take.id: people[take.subject] for take in takes}


def split_of_clip(identity: str, plan: Plan, seed: int = 0) -> str:
    """The split of a clip by what it shows ("compositional"): test where its plan holds a held-out pair."""
    if held_out().pairs_in(plan):
        return "test"
    return _share(draw(seed, "compositional", identity), COMPOSED_SHARES)


def _check(protocol: str) -> None:
    if protocol not in PROTOCOLS:
        raise FacelmError(f"unknown protocol {protocol!r}; choose one of {', '.join(PROTOCOLS)}")


def _share(number: float, shares: Sequence[float]) -> str:
    train, validation, _ = shares
    return "train" if number < train else "validation" if number < train + validation else "test"


# ---------------------------------------------------------------- by person


def _people(takes: Sequence[Take], protocol: str) -> Counter[str]:
    """How many takes each person has. Raises FacelmError where a take does not say whom it shows."""
    for take in takes:
        if not take.subject:
            raise FacelmError(
                f"the protocol {protocol} needs to know who is seen, but the take {take.id} does not say; "
                "name them in the column 'subject' of labels.csv"
            )
    return Counter(take.subject for take in takes)


def _by_person(takes: Sequence[Take], people: Counter[str], shares: Sequence[float], seed: int) -> dict[str, str]:
    """Everybody into one split, so that the splits' shares of the takes come as near to `shares` as single moves and
    exchanges bring them."""
    wanted = [share * sum(people.values()) for share in shares]
    if len(people) < len(shares):
        raise FacelmError(f"{len(people)} people cannot be put into {len(shares)} splits; choose 'random'")
    dataset = takes[0].dataset
    order = sorted(people, key=lambda person: (draw(seed, "people", dataset, person), person))
    held = [0.0] * len(shares)
    place: dict[str, int] = {}
    for person in order:
        place[person] = max(range(len(shares)), key=lambda i: wanted[i] - held[i])
        held[place[person]] += people[person]
    _fill_empty(place, people, held)
    _improve(order, people, place, held, wanted)
    return {person: SPLITS[i] for person, i in place.items()}


def _fill_empty(place: dict[str, int], people: Counter[str], held: list[float]) -> None:
    for empty in range(len(held)):
        while empty not in place.values():
            sizes = Counter(place.values())
            giver = next(p for p in sorted(place, key=lambda p: (people[p], p)) if sizes[place[p]] > 1)
            held[place[giver]] -= people[giver]
            held[empty] += people[giver]
            place[giver] = empty


def _improve(
    order: list[str], people: Counter[str], place: dict[str, int], held: list[float], wanted: list[float]
) -> None:
    """Move or exchange people while that brings the splits nearer to what is wanted."""

    def gain(amount: float, source: int, target: int) -> float:
        """How much smaller the sum of squared errors becomes when `amount` goes from one split to another."""
        before = (held[source] - wanted[source]) ** 2 + (held[target] - wanted[target]) ** 2
        after = (held[source] - amount - wanted[source]) ** 2 + (held[target] + amount - wanted[target]) ** 2
        return before - after

    def shift(amount: float, source: int, target: int) -> None:
        held[source] -= amount
        held[target] += amount

    better = True
    while better:
        better = False
        sizes = Counter(place.values())
        for person in order:
            for target in range(len(held)):
                source = place[person]
                if target != source and sizes[source] > 1 and gain(people[person], source, target) > 1e-9:
                    shift(people[person], source, target)
                    sizes.update({target: 1, source: -1})
                    place[person], better = target, True
        for i, one in enumerate(order if len(order) <= _SWAPS else ()):
            for other in order[i + 1 :]:
                amount = people[one] - people[other]
                if place[one] != place[other] and amount and gain(amount, place[one], place[other]) > 1e-9:
                    shift(amount, place[one], place[other])
                    place[one], place[other] = place[other], place[one]
                    better = True


def _by_gender(takes: Sequence[Take], seed: int) -> dict[str, str]:
    people = _people(takes, "cross-gender")
    genders: dict[str, set[str]] = defaultdict(set)
    for take in takes:
        named = take.extra.get("gender", "").strip().lower()
        if named not in _GENDERS:
            raise FacelmError(
                f"the protocol cross-gender needs the gender of {take.subject} (take {take.id}); "
                "name it in the column 'gender' of subjects.csv as male or female"
            )
        genders[take.subject].add(_GENDERS[named])
    if both := [person for person, named in genders.items() if len(named) > 1]:
        raise FacelmError(f"takes of {both[0]} say male and female; mend subjects.csv")
    women = Counter({person: people[person] for person, named in genders.items() if named == {"female"}})
    if len(women) < 2:
        raise FacelmError(
            f"the protocol cross-gender needs two women at least, for validation and test, not {len(women)}"
        )
    halves = _by_person(takes, women, (0.5, 0.5), seed)
    renamed = dict(zip(SPLITS, ("validation", "test"), strict=False))
    return {person: renamed[halves[person]] if person in women else "train" for person in people}


def _leave_out(people: Counter[str], seed: int) -> dict[str, str]:
    if len(people) < 2:
        raise FacelmError("the protocol mmface4d needs two people at least, for training and test")
    count = max(1, round(TEST_PEOPLE * len(people)))
    order = sorted(people, key=lambda person: (draw(seed, "people", person), person))
    return {person: "test" if place < count else "train" for place, person in enumerate(order)}
