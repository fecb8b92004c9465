"""Features of all texts of a training, read once."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from facelm.evaluate.judge.words import TextReader
from facelm.files import atomic_path

ROUND = 1024  # texts read at a time


class TextFeatures(Mapping[str, Tensor]):
    """Features by text. Those of an encoder lie in two files, so that memory does not hold them (500 MB for 35,000
    sentences and MiniLM) and a resumed training need not read the texts again.
    """

    def __init__(self, texts: Sequence[str], reader: TextReader, path: Path, progress: bool = True) -> None:
        """`path`: of the file of features; its index is beside it, with the ending .json."""
        self._files = (path, path.with_suffix(".json"))
        self._number = {text: number for number, text in enumerate(texts)}
        self._words = reader.read(texts) if not reader.source.width else []
        if not self._words:
            lengths = self._found(texts, reader) or self._written(texts, reader, progress)
            self._ends = np.cumsum([0, *lengths])
            self._rows = np.memmap(path, np.float16, "r", shape=(int(self._ends[-1]), reader.source.width))

    def __getitem__(self, text: str) -> Tensor:
        """float16 (L, width) or int64 (L,)."""
        number = self._number[text]
        if self._words:
            return self._words[number]
        return torch.from_numpy(self._rows[self._ends[number] : self._ends[number + 1]].copy())

    def __iter__(self) -> Iterator[str]:
        return iter(self._number)

    def __len__(self) -> int:
        return len(self._number)

    def remove(self) -> None:
        """Delete the files; nothing can be read any more."""
        for path in self._files:
            path.unlink(missing_ok=True)

    def _key(self, texts: Sequence[str], reader: TextReader) -> str:
        return hashlib.sha256(json.dumps([reader.source.sha256, *texts]).encode()).hexdigest()

    def _found(self, texts: Sequence[str], reader: TextReader) -> list[int]:
        """Lengths of the texts, where an earlier run has written these features."""
        rows, index = self._files
        try:
            about = json.loads(index.read_text(encoding="utf-8"))
            if about["key"] != self._key(texts, reader):
                return []
            lengths = [int(length) for length in about["lengths"]]
        except (OSError, ValueError, KeyError, TypeError):
            return []
        whole = rows.is_file() and rows.stat().st_size == 2 * sum(lengths) * reader.source.width
        return lengths if whole else []

    def _written(self, texts: Sequence[str], reader: TextReader, progress: bool) -> list[int]:
        from tqdm import tqdm

        rows, index = self._files
        index.unlink(missing_ok=True)
        # Texts of like lengths are read together; the file holds them in their own order within a round.
        lengths: list[int] = []
        with atomic_path(rows) as temporary, tqdm(total=len(texts), desc="texts", disable=not progress) as bar:
            with temporary.open("wb") as file:
                for first in range(0, len(texts), ROUND):
                    for found in reader.read(texts[first : first + ROUND]):
                        lengths.append(len(found))
                        file.write(found.numpy().tobytes())
                    bar.update(min(ROUND, len(texts) - first))
        with atomic_path(index) as temporary:
            temporary.write_text(json.dumps({"key": self._key(texts, reader), "lengths": lengths}), encoding="utf-8")
        return lengths
