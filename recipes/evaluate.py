"""Score a model on several processes: `facelm evaluate`, its clips shared out.

    accelerate launch --num_processes 4 recipes/evaluate.py outputs/demo/model --data outputs/demo/corpus

Takes what `facelm evaluate` takes (`--help`), and prints what it prints, once. On several CPU processes:

    ACCELERATE_USE_CPU=true torchrun --nproc_per_node 2 recipes/evaluate.py DIR --data outputs/demo/corpus
"""

import sys

import click
from accelerate import Accelerator
from accelerate.utils import gather_object

from facelm.cli.evaluate import evaluate
from facelm.errors import FacelmError
from facelm.evaluate.predict import Share


def main() -> int:
    processes = Accelerator()
    share = Share(processes.process_index, processes.num_processes, gather_object)
    try:
        evaluate.main(sys.argv[1:], prog_name="recipes/evaluate.py", obj=share, standalone_mode=False)
    except FacelmError as error:
        if processes.is_main_process:
            print(f"facelm: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except click.ClickException as error:
        if processes.is_main_process:
            error.show()
        return error.exit_code
    finally:
        processes.end_training()
    return 0


if __name__ == "__main__":
    sys.exit(main())
