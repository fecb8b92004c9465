"""The card of a built corpus: `README.md` with the Hub's header, and pictures in `card/`. Nothing asks the network."""

import json
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from facelm.corpus import schema
from facelm.corpus.readers import READERS
from facelm.corpus.schema import SPLITS
from facelm.corpus.shards import read_note
from facelm.corpus.statistics import ANGLES, Statistics, statistics
from facelm.corpus.synth import NAME as SYNTHESISED
from facelm.errors import FacelmError
from facelm.files import atomic_folder

CARD = "README.md"
LICENSE, CONSENT = "other", "FILL IN"
TAGS = ["facial-animation", "motion", "blendshapes", "arkit", "facelm"]
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
MOST = 24  # bars of a picture
PERFORMED = (
    "No person is recorded or imitated: a program performs every clip. Its speeds and amplitudes were set after "
    "published figures."
)
ASK = (
    "> **FILL IN: consent.** Say who was recorded, what they agreed to (research, training of models, publication, "
    "commercial use), for how long, and whom they can ask to be left out."
)


def write_card(
    folder: str | Path, license: str = LICENSE, consent: str = "", name: str = "", overwrite: bool = False
) -> Path:
    """Write the card of a corpus folder.

    Args:
        folder: of `facelm corpus build` or `synth`.
        license: the Hub's name of the licence, such as "cc-by-4.0"; "other" asks in the card to fill it in.
        consent: what the people who were recorded agreed to; "" asks in the card to fill it in.
        name: what the corpus is called; the folder's name when "".
        overwrite: replace a card that is there, with everything that was filled in.

    Returns:
        The card.

    Raises:
        FacelmError: the folder holds no corpus, or a card already.
    """
    from huggingface_hub import DatasetCard, DatasetCardData

    folder = Path(folder)
    note, found = read_note(folder), statistics(folder)
    if (folder / CARD).exists() and not overwrite:
        raise FacelmError(f"{folder / CARD} is there already, perhaps with words of yours; --overwrite replaces it")
    synthesised = set(found.datasets) == {SYNTHESISED}
    if synthesised:
        license, consent = ("cc0-1.0" if license == LICENSE else license), consent or PERFORMED
    splits = [split for split in SPLITS if found.clips[split]]
    header = DatasetCardData(
        pretty_name=name or folder.resolve().name,
        license=license,
        language=["en"],
        task_categories=["other"],
        size_categories=[next((size for most, size in SIZES if sum(found.clips.values()) < most), "n>1M")],
        tags=TAGS,
        configs=[
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"{split}-*.parquet"} for split in splits],
            }
        ],
    )
    template = resources.files("facelm.corpus").joinpath("card.md.jinja").read_text(encoding="utf-8")
    card = DatasetCard.from_template(
        header,
        template_str=template,
        name=name or folder.resolve().name,
        folder=folder.name,
        license_known=license != LICENSE,
        consent=consent or ASK,
        synthesised=SYNTHESISED in found.datasets,
        cards=[SYNTHESISED, *(reader.NAME for reader in READERS)],
        **_told(note, found, splits),
    )
    with atomic_folder(folder) as temporary:
        (temporary / CARD).write_text(str(card).rstrip() + "\n", encoding="utf-8")
        (temporary / "card").mkdir()
        _pictures(found, temporary / "card")
    return folder / CARD


def _told(note: dict[str, Any], found: Statistics, splits: list[str]) -> dict[str, Any]:
    """What the template says of the corpus."""
    hours, versions = sum(found.hours.values()), note.get("versions", {})
    whole = {"name": note.get("generator", "?"), "reader": "performer", "takes": sum(found.takes.values())}
    whole |= {"clips": sum(found.clips.values()), "hours": hours, "weight": 1.0}
    people = f"{found.people} people are named." if found.people else "Nobody is named."
    sound = f"{found.heard:.2f} h have sound (FLAC, mono, 16 kHz)" if found.heard else "There is no sound"
    spoken = f", {found.spoken} clips a transcript" if found.spoken else ""
    remarks = note.get("remarks", {})
    return {
        "generator": note.get("generator", "?"),
        "versions": {"facelm": "?", **versions},
        "versions_said": ", ".join(f"{package} {version}" for package, version in versions.items()),
        "fingerprint": note.get("fingerprint", "?"),
        "arguments": json.dumps(note.get("arguments", {}), indent=2, ensure_ascii=False),
        "sources": note.get("sources", [whole]),
        "datasets": sorted(found.datasets.items(), key=lambda pair: -pair[1]),
        "remarks": ", ".join(f"{count} {kind}" for kind, count in remarks.items()),
        "total_clips": sum(found.clips.values()),
        "total_hours": hours,
        "heard": found.heard,
        "splits": [
            {"name": s, "clips": found.clips[s], "takes": found.takes[s], "hours": found.hours[s]} for s in splits
        ],
        "shortest": found.seconds.min(),
        "longest": found.seconds.max(),
        "middle": np.median(found.seconds),
        "people_said": people,
        "sound_said": f"{sound}{spoken}.",
        "layouts": ", ".join(f"{count:,} clips {layout}" for layout, count in found.layouts.most_common()),
        "categories": ", ".join(f"{name} {count:,}" for name, count in found.categories.most_common()),
        "moving_heads": found.moving_heads / max(1, sum(found.clips.values())),
        "columns": "\n".join(line for line in (schema.__doc__ or "").splitlines() if line.startswith("| ")).split(
            "\n", 1
        )[1],
    }


def _pictures(found: Statistics, folder: Path) -> None:
    clips = sum(found.clips.values())
    axes, save = _figure(folder / "durations.png", 6, 2.6)
    axes.hist(found.seconds, bins=np.arange(0, max(2.0, float(found.seconds.max()) + 0.5), 0.5), color="#4a7ba6")
    axes.set(xlabel="seconds", ylabel="clips")
    save()
    _bars(folder / "emotions.png", found.emotions, clips)
    _bars(folder / "actions.png", found.actions + found.head, clips)
    axes, save = _figure(folder / "head_pose.png", 6, 2.6)
    for name, counts in zip(("yaw", "pitch", "roll"), found.angles, strict=True):
        axes.stairs(counts / max(1, counts.sum()), ANGLES, label=name)
    axes.set(xlabel="degrees", ylabel="share of frames", yscale="log")
    axes.legend(frameon=False)
    save()


def _bars(path: Path, counts: Counter[str], clips: int) -> None:
    """The most frequent names as bars, with their share of all clips."""
    named = counts.most_common(MOST)[::-1] or [("none", 0)]
    axes, save = _figure(path, 6, 0.6 + 0.21 * len(named))
    axes.barh([name for name, _ in named], [100 * count / max(1, clips) for _, count in named], color="#4a7ba6")
    axes.set_xlabel("% of clips")
    axes.margins(y=0.01)
    save()


def _figure(path: Path, width: float, height: float) -> tuple[Any, Any]:
    """Axes, and the function that writes their picture; no display and no global state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return axes, lambda: figure.savefig(path, dpi=110, metadata={"Software": None})
