"""Data cards: their headers are what the Hub expects, and every reader has one that says what a user must know."""

import re
from pathlib import Path

import pytest
import yaml
from huggingface_hub import DatasetCard, DatasetCardData

from facelm.corpus.readers import READERS

FOLDER = Path(__file__).resolve().parents[1] / "data_cards"
CARDS = sorted(FOLDER.glob("*.md"))
LICENCES = {"apache-2.0", "cc0-1.0", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "mit", "other", "unknown"}
SIZES = {"n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M"}
KEYS = {"pretty_name", "license", "language", "task_categories", "size_categories", "tags"}
ROWS = ("Source", "Licence", "Consent", "Size", "Rate", "Motion", "Read by", "Tested here")
CHAPTERS = ("How to get it", "Layout", "Known faults and limits")


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_headers_are_the_hubs(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    given = yaml.safe_load(text.split("---")[1])
    card = DatasetCard(text)
    assert isinstance(card.data, DatasetCardData) and card.data.to_dict() == given
    assert set(given) >= KEYS
    assert given["license"] in LICENCES
    assert ("license_name" in given) == ("license_link" in given) == (given["license"] == "other")
    assert set(given["size_categories"]) <= SIZES
    assert "facial-animation" in given["tags"]
    for language in given["language"]:
        assert language == "multilingual" or re.fullmatch("[a-z]{2,3}", language)


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_cards_say_what_a_user_must_know(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for row in ROWS:
        assert re.search(rf"^\| {row} \| .{{3,}} \|$", text, re.MULTILINE), f"{path.name} lacks the row {row}"
    for chapter in CHAPTERS:
        assert f"\n## {chapter}\n" in text, f"{path.name} lacks the chapter {chapter}"
    if "| Licence | unknown" in text:
        assert re.search(r"\| Licence \| unknown.*([Aa]sk|Read what)", text), f"{path.name} does not say what to check"


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.NAME)
def test_every_reader_has_a_card(reader: object) -> None:
    name = reader.NAME  # type: ignore[attr-defined]
    path = FOLDER / f"{name}.md"
    assert path in CARDS
    assert re.search(rf"^\| Read by \| `{re.escape(name)}`", path.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_nothing_is_promised_that_no_reader_keeps(path: Path) -> None:
    named = re.search(r"^\| Read by \| `([\w-]+)`", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert named is None or named[1] in {reader.NAME for reader in READERS}
