"""What the README promises of your own captures: Live Link takes become a corpus, a card and a model."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from tiny_model import wave

from facelm.cli import main
from facelm.corpus import load_corpus, motion
from facelm.motion import load_motion

ROOT = Path(__file__).resolve().parents[1]
TAKES = ("emotion_161", "myslate_3_60fps", "apfel_short_rows")


def facelm(*words):
    result = CliRunner().invoke(main, list(map(str, words)))
    assert result.exit_code == 0, result.output
    return result.output


def recipe(name, monkeypatch, *words):
    """Run a recipe in this process, as `python recipes/NAME.py` would."""
    spec = importlib.util.spec_from_file_location(f"own_{name}", ROOT / "recipes" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
    assert module.main() == 0


@pytest.fixture
def captures(shared, tmp_path):
    """Three real takes with sound of the right length, and what one of them shows in words."""
    folder = tmp_path / "captures"
    folder.mkdir()
    for name in TAKES:
        shutil.copy(shared / "data" / "livelink" / f"{name}.csv.gz", folder)
        seconds = load_motion(folder / f"{name}.csv.gz")[0].seconds
        soundfile.write(
            folder / f"{name}.wav", np.random.default_rng(0).normal(0, 0.05, round(seconds * 48_000)), 48_000
        )
    (folder / "myslate_3_60fps.txt").write_text("An actor pulls faces.\n")
    return folder


def test_takes_become_a_corpus_a_card_and_a_model(captures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "3 takes" in facelm("corpus", "build", "captures", "--out", "corpus", "--jobs", 2)
    rows = load_corpus("corpus", "train")
    assert set(rows["take"]) == set(TAKES)
    assert all(row["audio"]["bytes"] and motion(row).seconds <= 8 for row in rows)
    assert next(row for row in rows if row["take"] == "myslate_3_60fps")["prompts"][0] == "An actor pulls faces."

    facelm("card", "data", "corpus")
    assert "| captures | takes | 3 |" in Path("corpus/README.md").read_text()

    debug = ROOT / "recipes" / "debug"
    words = ("--corpus", "corpus", "--out", "tokenizer", "--progress", "false", "--max_steps", "2")
    recipe("tokenizer", monkeypatch, "--config", debug / "tokenizer.yaml", *words)
    facelm("base", "nano", "--corpus", "corpus", "--out", "nano")
    places = ("--corpus", "corpus", "--base", "nano", "--motion_tokenizer", "tokenizer", "--out", "model")
    recipe("sft", monkeypatch, "--config", debug / "sft.yaml", *places, "--max_steps", "2")
    assert json.loads(Path("model/log.jsonl").read_text().splitlines()[0])["loss"] > 0
    assert "frames at 25 fps" in facelm("animate", "Smile.", "--model", "model", "--out", "a.csv", "--seconds", "1")


def test_takes_mix_with_a_synthesised_corpus(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("my_takes").mkdir()
    wave(10.0).save("my_takes/one.csv")
    facelm("corpus", "synth", "--hours", 0.02, "--out", "synth")
    facelm("corpus", "build", "my_takes", "synth", "--weight", "my_takes=3", "--out", "mixed")
    rows = load_corpus("mixed", "train")
    assert {
        name: set(rows.filter(lambda row, n=name: row["dataset"] == n)["weight"]) for name in set(rows["dataset"])
    } == {
        "my_takes": {3.0},
        "synthesised": {1.0},
    }


def test_what_is_asked_wrongly_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("takes").mkdir()
    wave(2.0).save("takes/one.csv")
    for words, said in (
        (("absent",), "there is no folder absent"),
        (("takes", "--weight", "takes"), "write SOURCE=NUMBER"),
        (("takes", "--weight", "other=2"), "there is no such source"),
        (("takes", "--map", "absent.npz"), "absent.npz"),
        (("takes", "--protocol", "nonsense"), "unknown protocol"),
        (("takes", "--clip-seconds", "1"), "clips last from 2"),
    ):
        result = CliRunner().invoke(main, ["corpus", "build", *words, "--out", "corpus"])
        assert result.exit_code == 2 and said in result.output, result.output
        assert sorted(path.name for path in Path().iterdir()) == ["takes"]
