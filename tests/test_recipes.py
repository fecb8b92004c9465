"""Every recipe that ships parses, and the tuning script runs as the README starts it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from safetensors import safe_open
from tiny_bases import make_base
from tiny_model import make_tiny, random_tokenizer

from facelm.cli import main
from facelm.corpus import synthesise
from facelm.errors import FacelmError
from facelm.lm.folder import save_model
from facelm.lm.tuning import parse_arguments

ROOT = Path(__file__).resolve().parents[1]
TUNING = sorted(ROOT.glob("recipes/*/sft.yaml")) + sorted(ROOT.glob("recipes/*/pretrain.yaml"))


@pytest.mark.parametrize("path", TUNING, ids=lambda path: str(path.relative_to(ROOT)))
def test_tuning_configs_parse_and_can_be_overridden(path):
    assert parse_arguments(["--config", str(path)]).out.startswith("outputs/")
    config = parse_arguments(["--config", str(path), "--seed", "7", "--max_seconds", "30"])
    assert (config.seed, config.max_seconds) == (7, 30.0)


def test_unknown_arguments_are_refused():
    with pytest.raises(FacelmError, match="lerning_rate"):
        parse_arguments(["--config", str(TUNING[0]), "--lerning_rate", "1"])
    with pytest.raises(FacelmError, match="`rank` is 0"):
        parse_arguments(["--config", str(TUNING[0]), "--rank", "0"])


def launch(*arguments):
    command = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "1", "recipes/sft.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_the_tuning_script_writes_a_model_and_its_log(tmp_path):
    synthesise(0.01, 0, tmp_path / "corpus")
    random_tokenizer().save_pretrained(tmp_path / "tokenizer")
    make_base(tmp_path / "base", "bpe", True)
    places = {"base": "base", "corpus": "corpus", "motion_tokenizer": "tokenizer", "out": "out"}
    flags = [word for name, folder in places.items() for word in (f"--{name}", str(tmp_path / folder))]
    done = launch("--config", "recipes/debug/sft.yaml", *flags, "--tune", "lora")
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4]
    assert {"learning_rate", "seconds", "tokens"} <= lines[0].keys()
    with safe_open(tmp_path / "out" / "adapter_model.safetensors", "pt") as adapter:
        assert any("lora_A" in name for name in adapter.keys())


def test_a_wrong_config_is_one_sentence_and_code_2(tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text("bas: x\n")
    done = launch("--config", str(path))
    assert done.returncode != 0
    assert f"facelm: {path}: unknown key 'bas'; the nearest one is 'base'" in done.stderr
    direct = subprocess.run([sys.executable, "recipes/sft.py", "--config", str(path)], cwd=ROOT, capture_output=True)
    assert direct.returncode == 2


def test_two_processes_find_what_one_finds(tmp_path):
    synthesise(0.02, 0, tmp_path / "corpus")
    save_model(*make_tiny(tmp_path), tmp_path / "model", "nano")
    arguments = [str(tmp_path / "model"), "--data", str(tmp_path / "corpus"), "--benchmark", "text-to-motion"]
    arguments += ["--split", "train", "--prompts", "30"]  # two batches
    one = CliRunner().invoke(main, ["evaluate", *arguments, "--out", str(tmp_path / "one.json")])
    assert one.exit_code == 0, one.output
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc_per_node",
        "2",
        "recipes/evaluate.py",
        *arguments,
    ]
    two = subprocess.run(
        [*command, "--out", str(tmp_path / "two.json")],
        cwd=ROOT,
        env={**os.environ, "ACCELERATE_USE_CPU": "true"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert two.returncode == 0, two.stderr[-2000:]
    assert two.stdout.strip() == one.stdout.strip()
    for name in ("json", "npz"):
        assert (tmp_path / f"two.{name}").read_bytes() == (tmp_path / f"one.{name}").read_bytes()
    wrong = subprocess.run(
        [sys.executable, "recipes/evaluate.py", "absent", "--data", "x"], cwd=ROOT, capture_output=True
    )
    assert wrong.returncode == 2 and wrong.stderr.startswith(b"facelm: ")
