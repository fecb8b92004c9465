"""The README and the docs keep their word: commands parse, the README's Python runs, links lead somewhere."""

import ast
import importlib
import importlib.util
import re
import shlex
import sys
from pathlib import Path

import click
import pytest
from tiny_model import make_tiny, wave

from facelm.cli import main

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", ROOT / "data_cards" / "synthesised.md", *sorted((ROOT / "docs").glob("*.md")))
}


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def commands(text):
    """Command lines of the bash blocks as words, continued lines joined, each part of a pipe by itself."""
    for block in blocks(text, "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            while "|" in words:
                yield words[: words.index("|")]
                words = words[words.index("|") + 1 :]
            if words:
                yield words


COMMANDS = [(page, words) for page, text in PAGES.items() for words in commands(text)]
PYTHON = [(page, code) for page, text in PAGES.items() for code in blocks(text, "python")]


def of(*start):
    found = [words for _, words in COMMANDS if words[: len(start)] == list(start)]
    return [pytest.param(words[len(start) :], id=" ".join(words)[:60]) for words in found]


@pytest.mark.parametrize("words", of("facelm"))
def test_facelm_commands_parse(words):
    command, context = main, None
    while isinstance(command, click.Group):
        name, command, words = command.resolve_command(click.Context(command, parent=context), words)
        assert command is not None, name
    command.make_context(name, words)  # raises for an unknown option, a missing one or a wrong value


@pytest.mark.parametrize("words", of("accelerate", "launch"))
def test_recipes_parse(words):
    from accelerate.commands.launch import launch_command_parser

    from facelm.lm.tuning import parse_arguments

    launched = launch_command_parser().parse_args(words)
    script, arguments = launched.training_script, launched.training_script_args
    assert (ROOT / script).is_file()
    if script == "recipes/evaluate.py":  # takes what the verb takes
        main.commands["evaluate"].make_context("evaluate", arguments)
        return
    config = arguments.index("--config") + 1
    arguments[config] = str(ROOT / arguments[config])
    if script == "recipes/sft.py":
        parse_arguments(arguments)
        return
    from facelm.tokenizer.train import TokenizerTraining

    recipe = load(ROOT / script)
    recipe.parse(arguments, recipe.Run, recipe.Streams, recipe.Sizes, TokenizerTraining)


def load(path):
    spec = importlib.util.spec_from_file_location(f"recipe_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_other_commands_are_known():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for _, words in COMMANDS:
        if words[0] == "make":
            assert set(words[1:]) <= targets, words
        elif words[0] == "python":
            assert (ROOT / words[1]).is_file(), words
        else:
            known = {"facelm", "accelerate", "pip", "python3", "source", "apt-get", "printf", "export"}
            assert words[0] in known, words


def test_torch_for_cpu_is_the_pinned_one():
    pins = (ROOT / "constraints.txt").read_text().split()
    assert [words for _, words in COMMANDS if words[:2] == ["pip", "install"] and words[2] in pins]


@pytest.mark.parametrize(("page", "code"), PYTHON)
def test_imports_exist(page, code):
    for node in ast.walk(ast.parse(code, filename=page)):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, name.name) for name in node.names), ast.unparse(node)
        elif isinstance(node, ast.Import):
            assert all(importlib.import_module(name.name) for name in node.names)


def test_python_runs_as_printed(tmp_path, monkeypatch, capsys):
    """Every snippet, in order, where a random model and a corpus stand at the places the README names."""
    from facelm.corpus import load_corpus, motion, synthesise
    from facelm.lm.folder import save_model

    monkeypatch.chdir(tmp_path)
    Path("outputs/demo").mkdir(parents=True)
    synthesise(0.01, 0, "outputs/corpus")
    save_model(*make_tiny(tmp_path), Path("outputs/demo/model"), "nano")
    wave(2.0).save("smile.csv")
    for page, code in PYTHON:
        if page.startswith("docs"):
            continue
        exec(compile(code, page, "exec"), {"__name__": "snippet"})
    assert Path("smile.glb").read_bytes()[:4] == b"glTF"
    rows = load_corpus("outputs/rows", "train")
    assert motion(rows[0]).layout.name == "arkit" and motion(rows[0]).seconds == 3.0
    assert capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page):
    targets = re.findall(r"\]\(([^)#]+)\)", PAGES[page])
    assert targets or page.startswith("docs")
    for target in targets:
        if not target.startswith(("http://", "https://")):
            assert ((ROOT / page).parent / target).exists(), target


def test_pictures_are_small():
    assert (ROOT / "docs" / "demo.png").stat().st_size < 300_000
