"""Teach a language model to read and write facial motion.

    accelerate launch recipes/sft.py --config recipes/nano/pretrain.yaml --corpus outputs/corpus

Every field of `facelm.lm.tuning.TuneConfig` can stand in the YAML file and be overridden on the command line; `--help`
explains them. The model is written to `out`, with a line for every log step in `out/log.jsonl`.
"""

import os
import sys

from facelm.errors import FacelmError
from facelm.lm.tuning import parse_arguments


def main() -> int:
    # Threads that wait for each other spin for a moment only: on two idle cores a tiny model is as fast as with endless
    # spinning (1.6 times no spinning), and on busy ones a third slower instead of 14 times.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    try:
        config = parse_arguments(sys.argv[1:])

        from facelm.lm.trainer import train  # seconds of imports, after the arguments are known to be right

        train(config)
    except FacelmError as error:
        print(f"facelm: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
