"""Verbs that need no model: render, convert, info."""

import json
from pathlib import Path

import click

from facelm.cli.common import SHORT_ROWS, about, load_take, output
from facelm.errors import FacelmError

STILL = 0.03  # a channel that stays within this range (of 1, or radians) does not move
PICTURES = (".mp4", ".gif", ".png")


@click.command()
@click.argument("file")
@click.option("--out", required=True, help="The film (.mp4, .gif) or contact sheet (.png) to write.")
@click.option("--short-rows", type=SHORT_ROWS, default="bridge", help="What to do with rows without a face.")
def render(file: str, out: str, short_rows: str) -> None:
    """Show a motion on a face, as a film or a contact sheet.

    FILE is a Live Link Face CSV (.csv, .csv.gz) or .npz.

    Example:  facelm render take.csv --out take.mp4
    """
    from facelm.rig.export import export

    motion = load_take(file, short_rows)
    with output(out, PICTURES) as temporary:
        export(motion, temporary)
    click.echo(f"{out}: {about(motion)}")


@click.command()
@click.argument("file")
@click.argument("out")
@click.option("--fps", type=float, help="Resample to so many frames a second (anti-aliased).")
@click.option("--short-rows", type=SHORT_ROWS, default="bridge", help="What to do with rows without a face.")
def convert(file: str, out: str, fps: float | None, short_rows: str) -> None:
    """Write a motion in another format; the ending of OUT chooses it.

    FILE is .csv, .csv.gz or .npz; OUT is one of these or .glb (Blender, three.js, Unreal), .mp4, .gif, .png.

    Example:  facelm convert take.csv take.glb --fps 30
    """
    from facelm.rig.export import ENDINGS, export

    motion = load_take(file, short_rows)
    if fps is not None:
        motion = motion.resample(fps)
    with output(out, ENDINGS) as temporary:
        export(motion, temporary)
    click.echo(f"{out}: {about(motion)}")


@click.command()
@click.argument("path")
def info(path: str) -> None:
    """Say what a motion file or a model folder holds.

    Example:  facelm info take.csv
    """
    if not Path(path).exists():
        raise FacelmError(f"there is no file or folder {path}")
    if Path(path).is_dir():
        _about_model(Path(path))
    else:
        _about_motion(path)


def _about_motion(path: str) -> None:
    import numpy as np

    from facelm.motion import load_motion

    motion, report = load_motion(path)
    dialect = "npz" if path.lower().endswith(".npz") else "Live Link Face CSV"
    start = "" if motion.start is None else f", starts at {_clock(float(motion.start))}"
    _table(
        {
            "file": f"{path} ({dialect}, {Path(path).stat().st_size:,} bytes)",
            "layout": f"{motion.layout.name}, {motion.layout.width} channels",
            "length": about(motion) + start,
            "short rows": f"{report.short_rows} rows without a face",
            "mended": str(report).split(": ", 1)[1] if report.mended else "nothing",
            **motion.metadata,
        }
    )
    low, high = motion.values.min(axis=0), motion.values.max(axis=0)
    moving = [int(i) for i in np.argsort(low - high, kind="stable") if high[i] - low[i] > STILL]
    click.echo(f"{len(moving)} channels move, from the most:" if moving else "no channel moves")
    for index in moving:
        channel = motion.layout.channels[index]
        unit = " rad" if channel.unit.startswith("rad") else ""
        click.echo(f"  {channel.name:20} {low[index]:6.2f} to {high[index]:5.2f}{unit}")


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


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{seconds % 60:05.2f}"
