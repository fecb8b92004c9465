"""Praat TextGrids, long and short form: enough of them to know what was said when."""

import re
from dataclasses import dataclass
from pathlib import Path

from facelm.corpus.readers.sides import read_text
from facelm.errors import FacelmError

SILENCES = {"", "sp", "sil", "spn", "<eps>", "<unk>", "sil_s", "sil_e"}
_TOKEN = re.compile(r'"(?:[^"]|"")*"|<exists>|(?<![\w.])-?\d+(?:\.\d+)?(?:[eE]-?\d+)?(?![\w.\]])')


@dataclass(frozen=True)
class Interval:
    """begin and end in seconds, and what stands between them."""

    begin: float
    end: float
    text: str


def read_textgrid(path: Path) -> dict[str, tuple[Interval, ...]]:
    """The interval tiers of a TextGrid by name, in its order; point tiers are left out.

    Raises FacelmError naming file and interval: no TextGrid, cut off, or times that are negative or run backwards.
    """
    text = _decoded(path)
    if "ooTextFile" not in text[:200]:
        raise FacelmError(f"{path} is no TextGrid; it does not begin with 'File type = \"ooTextFile\"'")
    # Both forms hold the same values in the same order; the long one only names them ("xmin = 0"), which is skipped.
    found = [token for token in _TOKEN.findall(text) if token not in ('"ooTextFile"', '"TextGrid"', "<exists>")]
    tokens = iter(found)
    tiers: dict[str, tuple[Interval, ...]] = {}
    where = "the header"
    try:
        next(tokens), next(tokens)
        for number in range(1, int(next(tokens)) + 1):
            where = f"tier {number}"
            kind, name = _text(next(tokens)), _text(next(tokens))
            next(tokens), next(tokens)
            intervals = []
            for i in range(1, int(next(tokens)) + 1):
                where = f"tier {name!r}, interval {i}"
                begin = float(next(tokens))
                end = float(next(tokens)) if kind == "IntervalTier" else begin
                intervals.append(Interval(begin, end, _text(next(tokens)).strip()))
                if begin < 0 or end < begin or (len(intervals) > 1 and begin < intervals[-2].end - 1e-6):
                    raise FacelmError(f"{path}, {where}: its time {begin:g} to {end:g} s is negative or runs backwards")
            if kind == "IntervalTier":
                tiers[name] = tuple(intervals)
    except StopIteration:
        raise FacelmError(f"{path} is cut off in {where}; get or export it again") from None
    except FacelmError:
        raise
    except ValueError as error:
        raise FacelmError(f"{path}, {where}: {error}; get or export the TextGrid again") from None
    return tiers


def transcript(path: Path) -> str:
    """What is said: the words of the tier "words" (or the first tier with text), without silences.

    Raises FacelmError as `read_textgrid` does.
    """
    tiers = read_textgrid(path)
    names = sorted(tiers, key=lambda name: name.lower() not in ("words", "word"))
    for name in names:
        words = [each.text for each in tiers[name] if each.text.lower() not in SILENCES]
        if words:
            return " ".join(words)
    return ""


def _decoded(path: Path) -> str:
    head = path.read_bytes()[:2] if path.is_file() else b""
    if head in (b"\xff\xfe", b"\xfe\xff"):  # Praat's own choice for text that is not Latin
        try:
            return path.read_text(encoding="utf-16")
        except UnicodeDecodeError:
            raise FacelmError(f"{path} is cut off in the middle of a character; get or export it again") from None
    return read_text(path)


def _text(token: str) -> str:
    if not token.startswith('"'):
        raise ValueError(f"a text in quotation marks is needed, not {token}")
    return token[1:-1].replace('""', '"')
