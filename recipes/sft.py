"""Teach a language model to read and write facial motion.

    accelerate launch recipes/sft.py --config recipes/nano/pretrain.yaml --corpus outputs/corpus

Every field of `facelm.lm.tuning.TuneConfig` can stand in the YAML file and be overridden on the command line. The
model is written to `out`, with a line a log step in `out/log.jsonl`.
"""

import sys

from facelm.errors import FacelmError
from facelm.lm.tuning import TuneConfig, check_keys


def main() -> int:
    try:
        arguments = sys.argv[1:]
        if "--config" in arguments[:-1]:
            check_keys(arguments[arguments.index("--config") + 1])  # before seconds of imports, with the nearest key
        from trl import TrlParser

        from facelm.lm.trainer import train

        (config,) = TrlParser((TuneConfig,)).parse_args_and_config()
        train(config)
    except FacelmError as error:
        print(f"facelm: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
