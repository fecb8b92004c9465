"""Train a motion tokenizer on a corpus.

    accelerate launch recipes/tokenizer.py --config recipes/nano/tokenizer.yaml --corpus outputs/corpus

Every field of `Run`, `Streams`, `Sizes` and `facelm.tokenizer.train.TokenizerTraining` may stand in
the YAML file and be overridden on the command line. Writes the tokenizer, `metrics.jsonl` (losses, held-out LVE and FVE
in mm, usage and perplexity of each stream) and a checkpoint to `out`; `--resume true` goes on from the checkpoint.
"""

import dataclasses
import sys
from dataclasses import dataclass
from typing import Any

from facelm.errors import FacelmError
from facelm.fields import parse_fields


@dataclass(frozen=True)
class Run:
    """What to train on and where to write. `clips` > 0 trains on the first clips only."""

    corpus: str = "outputs/corpus"
    out: str = "outputs/tokenizer"
    clips: int = 0
    resume: bool = False
    progress: bool = True


@dataclass(frozen=True)
class Streams:
    """Codebook sizes of `facelm.tokenizer.face_streams`; `upper_codes` 0 keeps brows and mouth of a side together."""

    side_codes: int = 512
    centre_codes: int = 256
    eyes_codes: int = 256
    head_codes: int = 128
    upper_codes: int = 0


@dataclass(frozen=True)
class Sizes:
    """Of `facelm.tokenizer.TokenizerConfig`."""

    fps: float = 25.0
    downsample: int = 4
    width: int = 64
    encoder_blocks: int = 1
    decoder_blocks: int = 2


def parse(arguments: list[str], *classes: type) -> list[Any]:
    return parse_fields(__doc__ or "", arguments, *classes)


def main() -> int:
    try:
        from facelm.tokenizer.train import TokenizerTraining

        run, codes, sizes, training = parse(sys.argv[1:], Run, Streams, Sizes, TokenizerTraining)
        from accelerate import Accelerator
        from tqdm import tqdm

        from facelm.corpus import load_for_training, motion
        from facelm.tokenizer import MotionTokenizer, TokenizerConfig, face_streams
        from facelm.tokenizer.train import train

        counts = {name.removesuffix("_codes"): count for name, count in dataclasses.asdict(codes).items()}
        config = TokenizerConfig(streams=face_streams(**counts), **dataclasses.asdict(sizes))
        accelerator, tokenizer = Accelerator(), MotionTokenizer(config)
        motions = {}
        for split, rows in zip(("train", "validation"), load_for_training(run.corpus), strict=True):
            rows = rows.select_columns(["id", "values", "fps", "layout"])
            if split == "train" and run.clips:
                rows = rows.select(range(min(run.clips, len(rows))))
            quiet = not (run.progress and accelerator.is_main_process)
            motions[split] = [tokenizer.prepare(motion(r)) for r in tqdm(rows, f"reading {split}", disable=quiet)]
        model = train(
            config, training, motions["train"], motions["validation"], run.out, accelerator, run.resume, run.progress
        )
        if accelerator.is_main_process:
            print(f"{run.out}: {len(model.streams)} streams, {model.rate:g} steps/s, fingerprint {model.fingerprint}")
    except FacelmError as error:
        print(f"facelm: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
