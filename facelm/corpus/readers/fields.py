"""What people write down about a take, in a table or in JSON: checked here, and put into the take.

Known names: subject, split, intensity, transcript, emotion(s), action(s), text(s) or caption(s), annotations, fps.
Anything else ("gender", "camera", "syncnet", ...) is kept in `Take.extra` for filters and protocols.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from facelm.corpus.readers.sides import MOTIONS, plain_number, read_table, several, split_name
from facelm.corpus.readers.take import Take
from facelm.describe.annotations import Annotations
from facelm.errors import FacelmError

_LISTS = {"emotion": "emotions", "emotions": "emotions", "action": "actions", "actions": "actions"}
_LISTS |= dict.fromkeys(("text", "texts", "caption", "captions"), "texts")
_ANNOTATED = ("action", "emotion", "expression", "head_pose", "scenarios", "summary")


@dataclass(frozen=True)
class Row:
    """A row of a table: its fields that are not empty, by column."""

    table: Path
    line: int
    fields: dict[str, str]

    @property
    def where(self) -> str:
        """The table and the row, for errors."""
        return f"{self.table} row {self.line}"


def table_rows(path: Path, key: str = "take", prefix: str = "") -> dict[str, Row]:
    """The rows of a table by what stands in its column `key`, with `prefix` before it; endings of motions are cut.

    Raises FacelmError naming the row: no such column, a wrong number of fields, two rows for one.
    """
    rows: dict[str, Row] = {}
    for line, fields in read_table(path, needed=(key,)):
        name = fields.pop(key)
        for ending in MOTIONS:
            name = name.removesuffix(ending)
        if prefix + name in rows:
            raise FacelmError(f"{path} row {line} names the {key} {name!r} again, after row {rows[prefix + name].line}")
        rows[prefix + name] = Row(path, line, {column: value for column, value in fields.items() if value})
    return rows


def enrich(take: Take, fields: Mapping[str, Any], where: str) -> Take:
    """The take with what these fields say; they win over what it had. Raises FacelmError naming `where` and field."""
    known = _checked(fields, where)
    lists = {name: known.pop(name) for name in ("actions", "emotions") if name in known}
    words = {name: known.pop(name) for name in ("subject", "split", "texts", "annotations") if name in known}
    transcript = known.pop("transcript", take.transcript)
    intensity = known.pop("intensity", take.labels.intensity)
    labels = replace(take.labels, **lists, intensity=intensity, transcript=transcript)
    if "texts" in words:
        words["texts"] = (*take.texts, *words["texts"])
    return replace(take, **words, transcript=transcript, labels=labels, extra={**take.extra, **known})


def _checked(fields: Mapping[str, Any], where: str) -> dict[str, Any]:
    known: dict[str, Any] = {}
    for name, value in fields.items():
        name = name.lower()
        if name in _LISTS:
            known[_LISTS[name]] = _strings(value, f"{where}, {name}", split=_LISTS[name] != "texts")
        elif name == "annotations":
            known[name] = _annotations(value, where)
        elif isinstance(value, dict | list):
            raise FacelmError(f"{where}, {name}: a word or a number is needed, not a {type(value).__name__}")
        elif value is not None:
            known[name] = str(value)
    if "fps" in known and plain_number(known["fps"], f"{where}, fps") <= 0:
        raise FacelmError(f"{where}, fps: {known['fps']} is no rate; write frames a second, such as 30")
    if "split" in known:
        known["split"] = split_name(known["split"], f"{where}, split")
    return known


def _strings(value: Any, where: str, split: bool) -> tuple[str, ...]:
    if isinstance(value, str):
        return several(value) if split else (value,)
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(value)
    raise FacelmError(f"{where}: a text or a list of texts is needed")


def _annotations(value: Any, where: str) -> Annotations:
    if not isinstance(value, dict) or set(value) != set(_ANNOTATED):
        raise FacelmError(f"{where}, annotations: it needs the fields {', '.join(_ANNOTATED)} and no others")
    scenarios = _strings(value["scenarios"], f"{where}, annotations, scenarios", split=False)
    texts = {name: value[name] for name in _ANNOTATED if name != "scenarios"}
    if wrong := [name for name, text in texts.items() if not isinstance(text, str)]:
        raise FacelmError(f"{where}, annotations, {wrong[0]}: a text is needed")
    try:
        return Annotations(scenarios=scenarios, **texts)
    except FacelmError as error:
        raise FacelmError(f"{where}, annotations: {error}") from error
