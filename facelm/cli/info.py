"""The verb info: what a motion file or a model folder holds."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facelm.cli.common import about
from facelm.errors import FacelmError, MissingFileError

if TYPE_CHECKING:
    from facelm.motion import FaceMotion, LoadReport

STILL = 0.03  # a channel that stays within this range (of 1, or radians) does not move


@click.command()
@click.argument("path")
@click.option("--names", help="The table of the file's channel names: a YAML file, or facegood, ict_facekit.")
@click.option("--input-fps", type=float, help="The rate of a file that states none, frames a second.")
def info(path: str, names: str | None, input_fps: float | None) -> None:
    """Say what a motion file, a corpus or a model folder holds.

    \b
    Of a motion: which kind of file it is, its layout, length and timecode, what had to be mended, angles that
    are zero throughout, names that look shuffled, and the channels that move.

    \b
    Examples:
      facelm info take.csv
      facelm info speech.npz --names my_rig.yaml
      facelm info outputs/demo/model
    """
    if not Path(path).exists():
        raise MissingFileError(f"there is no file or folder {path}")
    if (Path(path) / "corpus.json").is_file():
        _about_corpus(Path(path))
    elif Path(path).is_dir() and not _is_motion(Path(path)):
        _about_model(Path(path))
    else:
        _about_motion(path, names, input_fps)


def _is_motion(folder: Path) -> bool:
    """Whether a folder is one motion, as fitters of FLAME write them."""
    from facelm.motion.files import READERS

    return any(reader.sniff(folder, b"") for reader in READERS)


def _about_motion(path: str, names: str | None, input_fps: float | None) -> None:
    import numpy as np

    from facelm.motion import load_motion

    motion, report = load_motion(path, names=names, fps=input_fps)
    size = Path(path).stat().st_size
    rows = {
        "file": f"{path} ({report.dialect}, {size:,} bytes)" if Path(path).is_file() else f"{path} ({report.dialect})",
        "layout": f"{motion.layout.name}, {motion.layout.width} channels",
        "length": about(motion) + ("; the file does not say its rate" if report.fps_assumed else ""),
        "timecode": "none" if motion.start is None else _timecode(motion),
        "short rows": f"{report.short_rows} rows without a face",
        "mended": _mended(report),
        "still angles": _still_angles(motion),
        "identity": "none" if motion.identity is None else f"{motion.identity.size} shape coefficients",
        **motion.metadata,
    }
    _table(rows)
    for note in _remarks(motion, report):
        click.echo(f"note: {note}")
    low, high = motion.values.min(axis=0), motion.values.max(axis=0)
    moving = [int(i) for i in np.argsort(low - high, kind="stable") if high[i] - low[i] > STILL]
    click.echo(f"{len(moving)} channels move, from the most:" if moving else "no channel moves")
    for index in moving:
        channel = motion.layout.channels[index]
        unit = " rad" if channel.unit.startswith("rad") else ""
        click.echo(f"  {channel.name:20} {low[index]:6.2f} to {high[index]:5.2f}{unit}")


def _timecode(motion: "FaceMotion") -> str:
    from facelm.motion.timecode import TICKS, format_timecode

    assert motion.start is not None
    drop = motion.metadata.get("timecode_style") == "drop-frame"
    return f"starts at {format_timecode(round(motion.start * TICKS), drop)} (frames of 1/{'59.94' if drop else '60'} s)"


def _mended(report: "LoadReport") -> str:
    if not report.mended:
        return "nothing"
    return str(report).split(": ", 1)[1]


def _still_angles(motion: "FaceMotion") -> str:
    """The angles that are exactly zero throughout, by what they turn."""
    angles = [channel.name for channel in motion.layout.channels if channel.unit == "rad"]
    zero = [name for name in angles if not motion.channel(name).any()]
    if not angles:
        return "the layout has none"
    if not zero:
        return "none"
    if len(zero) == len(angles):
        return f"all {len(angles)} are zero throughout"
    return ", ".join(zero) + (" is" if len(zero) == 1 else " are") + " zero throughout"


def _remarks(motion: "FaceMotion", report: "LoadReport") -> tuple[str, ...]:
    from facelm.motion.symmetry import suspicious_order

    order = suspicious_order(motion)
    gap = max(((end - first) / motion.fps for first, end in report.holes), default=0.0)
    return (
        *report.notes,
        *(
            [f"the longest stretch that was filled in is {gap:.2f} s; facelm clean cuts long ones."]
            if gap > 0.3
            else []
        ),
        *([order] if order else []),
    )


def _about_corpus(folder: Path) -> None:
    from facelm.corpus.shards import read_note

    note = read_note(folder)
    clips = ", ".join(f"{count:,} {split}" for split, count in note.get("clips", {}).items())
    rows = {
        "corpus": f"{folder} ({note.get('generator', 'unknown')})",
        "clips": f"{clips}; {note.get('hours', 0):g} hours",
        "fingerprint": str(note.get("fingerprint", "none")),
    }
    for source in note.get("sources", []):
        rows[f"source {source['name']}"] = (
            f"{source['takes']:,} takes, {source['clips']:,} clips, {source['hours']:g} hours"
        )
    remarks = ", ".join(f"{count:,} {kind}" for kind, count in note.get("remarks", {}).items())
    if remarks:
        rows["remarks"] = f"{remarks}; see {folder / 'skipped.csv'}"
    _table(rows)


def _about_model(folder: Path) -> None:
    from facelm.lm.processor import read_facts

    facts = read_facts(folder)
    vocabulary = facts.get("vocabulary", {})
    streams = {str(name): int(codes) for name, codes in vocabulary.get("streams", [])}
    rows = {
        "model": f"{folder} ({facts.get('kind', 'unknown')}, facelm {facts.get('version', 'unknown')})",
        "base": str(facts.get("base", "unknown")),
    }
    adapter, config = _json(folder / "adapter_config.json"), _json(folder / "config.json")
    if adapter:
        rows["adapter"] = f"{adapter.get('peft_type', '?')}, rank {adapter.get('r')}, alpha {adapter.get('lora_alpha')}"
    if config:
        rows["network"] = (
            f"{config.get('model_type')}, {config.get('num_hidden_layers')} layers of {config.get('hidden_size')}, "
            f"context {config.get('max_position_embeddings')}, {config.get('vocab_size')} words"
        )
    rows["streams"] = ", ".join(f"{name} {codes}" for name, codes in streams.items())
    rows["motion tokenizer"] = f"fingerprint {vocabulary.get('fingerprint', 'unknown')}"
    for name in ("adapter_model.safetensors", "model.safetensors"):
        if (folder / name).is_file():
            rows["weights"] = f"{name}, {(folder / name).stat().st_size / 1e6:.1f} MB"
    files = [entry for entry in folder.rglob("*") if entry.is_file()]
    rows["folder"] = f"{len(files)} files, {sum(entry.stat().st_size for entry in files) / 1e6:.1f} MB"
    _table(rows)


def _json(path: Path) -> dict[str, object]:
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise FacelmError(f"{path} is damaged; save the model again") from None


def _table(rows: dict[str, str]) -> None:
    width = max(map(len, rows))
    for name, value in rows.items():
        click.echo(f"{name:{width}}  {value}")
