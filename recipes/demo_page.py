"""Build the demo's page: loss curves, animations beside references, captions and scores.

    python recipes/demo_page.py --folder outputs/demo

Reads what recipes/demo.sh left in the folder and writes index.html with its films, GLB files and curves beside it.
"""

import argparse
import json
from importlib import resources
from pathlib import Path

import jinja2
import matplotlib
from tqdm import tqdm

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from facelm.cli.common import load_lm
from facelm.corpus import load_corpus, motion
from facelm.describe import Plan
from facelm.describe.agreement import agree
from facelm.describe.events import measure
from facelm.describe.facts import plan_facts
from facelm.evaluate.clips import spread
from facelm.evaluate.result import load_results
from facelm.files import atomic_path
from facelm.rig.export import export

PROMPTS = 6
SEED = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="what recipes/demo.sh wrote")
    folder = parser.parse_args().folder
    (folder / "media").mkdir(exist_ok=True)

    lm = load_lm(str(folder / "model"))
    rows = spread(load_corpus(folder / "corpus", "test"), PROMPTS)
    references = [motion(row) for row in rows]
    made = lm.animate_batch([row["prompts"][0] for row in rows], seed=SEED)
    said = zip(lm.describe_batch(references), lm.describe_batch(made), strict=True)

    takes = []
    for index, (row, reference, own, (of_reference, of_own)) in enumerate(
        tqdm(list(zip(rows, references, made, said, strict=True)), desc="filming", unit="take")
    ):
        for name, shown in (("reference", reference), ("model", own)):
            export(shown, folder / "media" / f"{index}-{name}.mp4")
        export(own, folder / "media" / f"{index}-model.glb")
        plan = Plan.parse(row["plan"])
        found = [phase.facts for phase in measure(own, len(plan.phases))]
        takes.append(
            {
                "prompt": row["prompts"][0],
                "category": row["category"],
                "plan": own.metadata["plan"],
                "asked": [sorted(fact.words for fact in facts) for facts in plan_facts(plan)],
                "found": [sorted(fact.words for fact in facts) for facts in found],
                "f1": agree(plan_facts(plan), found).f1,
                "of_reference": of_reference,
                "of_own": of_own,
            }
        )

    _curves(folder)
    results = load_results(folder / "scores.json")
    corpus = json.loads((folder / "corpus" / "corpus.json").read_text())
    pages = [Path(__file__).parent, resources.files("facelm.evaluate")]  # facelm's own pages share page.css
    page = jinja2.Environment(
        loader=jinja2.FileSystemLoader(map(str, pages)), autoescape=True, trim_blocks=True
    ).get_template("demo_page.html")
    with atomic_path(folder / "index.html") as path:
        path.write_text(page.render(takes=takes, results=results, corpus=corpus, folder=folder), encoding="utf-8")
    print(f"wrote {folder / 'index.html'}")


def _log(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _curves(folder: Path) -> None:
    """curves.svg: the three trainings, each over its own seconds."""
    figure, axes = plt.subplots(1, 3, figsize=(11, 2.8), layout="constrained")
    stages = (
        ("motion tokenizer", folder / "tokenizer" / "metrics.jsonl"),
        ("language model, pretraining", folder / "pretrained" / "log.jsonl"),
        ("language model, LoRA", folder / "model" / "log.jsonl"),
    )
    for axis, (title, path) in zip(axes, stages, strict=True):
        lines = [line for line in _log(path) if "loss" in line]
        axis.plot([line["seconds"] for line in lines], [line["loss"] for line in lines], color="#2f6f8f", lw=1.2)
        axis.set(title=title, xlabel="seconds", ylabel="loss")
        axis.grid(alpha=0.25)
    with atomic_path(folder / "curves.svg") as path:
        figure.savefig(path)
    plt.close(figure)


if __name__ == "__main__":
    main()
