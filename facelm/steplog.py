"""The log of a training: one line of JSON for every entry, each with its step."""

import json
from pathlib import Path

from facelm.files import atomic_path


class StepLog:
    """Appends lines to a file. A new run (step 0) empties it, a resumed one drops what came after its checkpoint."""

    def __init__(self, path: Path, step: int) -> None:
        """`step`: of the checkpoint to go on from, or 0."""
        self.path = path
        lines = path.read_text(encoding="utf-8").splitlines() if step and path.is_file() else []
        kept = [line for line in lines if json.loads(line)["step"] <= step]
        with atomic_path(path) as temporary:
            temporary.write_text("".join(line + "\n" for line in kept), encoding="utf-8")

    def write(self, step: int, **values: float) -> None:
        """Append one line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
