"""The kinds of files motion comes in, one module each.

Every module has

- `sniff(path, head) -> bool`: whether a file is of this kind. `head` is what `read_head(path)` gives: the first
  64 KiB, unpacked if gzipped, and empty for a folder. The ending of the name may help, the content decides.
- `read(path, options) -> (FaceMotion, LoadReport)`: the motion; the report names the dialect.

`facelm.motion.files` asks them in a fixed order.
"""

import gzip
import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from facelm.errors import FacelmError

if TYPE_CHECKING:
    from facelm.motion.names import NameTable

HEAD_BYTES = 65536


@dataclass(frozen=True)
class ReadOptions:
    """What a reader may be asked for; each takes what concerns its files.

    short_rows: what becomes of rows without a face, see `facelm.motion.load_motion`. names: the table of the file's
    channel names: a NameTable, its YAML file or the name of a built-in one. fps: the rate of a file that states none.
    """

    short_rows: str = "bridge"
    names: "NameTable | str | Path | None" = None
    fps: float | None = None


def read_head(path: Path) -> bytes:
    """The first 64 KiB of a file, unpacked if it is gzipped; empty for a folder.

    Raises FacelmError when it is gzipped and damaged from the start.
    """
    if path.is_dir():
        return b""
    with open(path, "rb") as raw:
        head = raw.read(HEAD_BYTES)
    if not head.startswith(b"\x1f\x8b"):
        return head
    try:
        return gzip.GzipFile(fileobj=io.BytesIO(head)).read1(HEAD_BYTES)
    except (EOFError, OSError, zlib.error) as error:
        raise FacelmError(f"{path} is a damaged gzip file ({error}); get or export it again") from error
