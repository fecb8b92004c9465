"""Training speed of recipes/sft.py beside TRL's SFTTrainer alone: tokens a second on the same work.

    python benchmarks/sft_throughput.py --rounds 3 --steps 6

Both train the same nano base with the same LoRA adapter and new vocabulary rows on the same blocks of tokens (examples
of a small synthesised corpus, joined and cut to equal length), so that every batch holds batch x length tokens and no
padding. They take turns, `rounds` times, in one process: what else the machine does slows both. The first step of
each turn is not counted. Printed: the median over all counted steps, and the ratio of the medians. TRL also works out
entropy and accuracy at every step, and on CPUs its loss is a slower one; see FaceTrainer.compute_loss.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from datasets import Dataset
from tabulate import tabulate
from transformers import TrainerCallback
from trl import SFTConfig, SFTTrainer

from facelm import MotionTokenizer
from facelm.corpus import load_corpus, synthesise
from facelm.evaluate.result import machine
from facelm.lm.bases import make_nano
from facelm.lm.trainer import FaceTrainer
from facelm.lm.tuning import TuneConfig, prepare_model, write_examples
from facelm.tokenizer import TokenizerConfig, face_streams


class StepTimes(TrainerCallback):
    """Seconds of every optimizer step after the first."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.started = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        if state.global_step > 1:
            self.seconds.append(time.perf_counter() - self.started)


def blocks(dataset: Dataset, length: int, count: int) -> Dataset:
    """`count` rows of exactly `length` ids and labels, cut from the examples one after another."""
    columns = {name: [value for row in dataset[name] for value in row] for name in ("input_ids", "labels")}
    most = len(columns["input_ids"]) // length
    if most < count:
        raise SystemExit(f"the corpus gives {most} blocks of {count}; raise --hours or lower --steps")
    cut = {name: [ids[i * length : (i + 1) * length] for i in range(count)] for name, ids in columns.items()}
    return Dataset.from_dict(cut)


def with_facelm(config: TuneConfig, dataset: Dataset) -> list[float]:
    """Step times of the trainer behind recipes/sft.py."""
    times = StepTimes()
    model, processor = prepare_model(config)
    trainer = FaceTrainer(model, config, dataset, processor)
    trainer.add_callback(times)
    trainer.train()
    return times.seconds


def with_trl(config: TuneConfig, dataset: Dataset, batch: int) -> list[float]:
    """Step times of SFTTrainer as it comes, on the same model."""
    times = StepTimes()
    model, processor = prepare_model(config)
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=config.out,
            per_device_train_batch_size=batch,
            max_length=None,
            dataset_kwargs={"skip_prepare_dataset": True},
            max_steps=config.max_steps,
            learning_rate=config.learning_rate,
            gradient_checkpointing=False,
            logging_steps=config.logging_steps,
            save_strategy="no",
            report_to="none",
            use_cpu=not torch.cuda.is_available(),
            bf16=False,
        ),
        train_dataset=dataset,
        processing_class=processor.tokenizer,
        callbacks=[times],
    )
    head = trainer.model.get_output_embeddings()
    if not hasattr(head, "bias"):
        head.bias = None  # TRL's fused loss reads it, and PEFT's wrapper of trained rows has none
    trainer.train()
    return times.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6, help="counted steps of each trainer, each round")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--hours", type=float, default=0.1, help="of the corpus the blocks are made from")
    args = parser.parse_args()

    seconds: dict[str, list[float]] = {"TRL's SFTTrainer alone": [], "recipes/sft.py": []}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        synthesise(args.hours, 0, folder / "corpus")
        make_nano(folder / "base", folder / "corpus")
        streams = face_streams(side=512, centre=256, eyes=256, head=128)
        MotionTokenizer(TokenizerConfig(streams=streams)).save_pretrained(folder / "tokenizer")
        config = TuneConfig(
            base=str(folder / "base"),
            corpus=str(folder / "corpus"),
            motion_tokenizer=str(folder / "tokenizer"),
            out=str(folder / "out"),
            rank=16,
            alpha=32,
            max_length=1024,
            batch_tokens=max(1024, args.batch * args.length),
            max_steps=args.steps + 1,
        )
        (folder / "out").mkdir()
        examples = write_examples(config, prepare_model(config)[1], load_corpus(config.corpus, "train"))
        dataset = blocks(examples, args.length, (args.steps + 1) * args.batch)
        for _ in range(args.rounds):
            seconds["TRL's SFTTrainer alone"] += with_trl(config, dataset, args.batch)
            seconds["recipes/sft.py"] += with_facelm(config, dataset)

    tokens = args.batch * args.length
    speeds = {name: tokens / statistics.median(times) for name, times in seconds.items()}
    alone = next(iter(speeds.values()))
    print(f"nano base, LoRA r=16, batches of {args.batch} x {args.length} tokens, on {machine()}")
    rows = [
        [name, f"{speed:.0f}", f"{statistics.median(seconds[name]):.3f}", len(seconds[name]), f"{speed / alone:.2f}"]
        for name, speed in speeds.items()
    ]
    print(tabulate(rows, ["", "tokens/s", "s a step", "N steps", "ratio"], disable_numparse=True))


if __name__ == "__main__":
    main()
