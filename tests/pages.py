"""Pages as a test reads them: their elements, links and tables, and what a browser makes of them."""

import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

VOID = {"meta", "link", "img", "br", "hr", "input", "source"}


class Page(HTMLParser):
    """elements: (tag, attributes); tables: rows of cells as text; text: everything a person reads."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.tables, self.text, self.open = [], [], "", []
        self.feed(text)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag
        self.text += " " if tag in ("dt", "dd", "th", "td", "p") else ""

    def handle_data(self, data):
        if set(self.open) & {"script", "style"}:
            return
        self.text += data
        if set(self.open) & {"td", "th"}:
            row = self.tables[-1][-1]
            row[-1] = " ".join(f"{row[-1]} {data}".split())

    def of(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def check(path):
    """What every page must keep to: targets exist, nothing is loaded from elsewhere, pictures are told in words."""
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.elements:
        for name in ("src", "href", "poster"):
            target = attributes.get(name)
            if target is None:
                continue
            assert not re.match(r"[a-z]+:|/", target), f"{target} is not in the folder"
            if target.startswith("#"):
                assert target[1:] in ids, target
            else:
                assert (path.parent / target).is_file(), target
    assert all(attributes.get("alt") for attributes in page.of("img"))
    assert all(attributes.get("aria-label") for attributes in [*page.of("video"), *page.of("svg")])
    assert all(attributes.get("scope") for attributes in page.of("th"))
    assert not re.search(r"(url\(|@import|https?://|fetch\(|XMLHttpRequest|sendBeacon)", text)
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1 and all(b <= a + 1 for a, b in zip(levels, levels[1:], strict=False))
    return page


def browse(path, profile, script=""):
    """The page as Chromium leaves it after `script`, as HTML; skipped without Chromium.

    profile: a folder in which the browser keeps its data from one call to the next.
    """
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    copy = path.with_name("browsed.html")
    copy.write_text(path.read_text("utf-8").replace("</body>", f"<script>{script}</script></body>"), "utf-8")
    quiet = ["no-first-run", "disable-background-networking", "disable-component-update", "disable-sync"]
    flags = ["headless", "no-sandbox", "disable-gpu", "disable-quic", *quiet, f"user-data-dir={profile}"]
    command = [chromium, *(f"--{flag}" for flag in flags), "--virtual-time-budget=3000", "--dump-dom", copy.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    copy.unlink()
    assert done.returncode == 0, done.stderr
    return done.stdout
