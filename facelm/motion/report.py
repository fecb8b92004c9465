"""LoadReport: what a file held and what was done to make a motion of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LoadReport:
    """What a file held and what was done to make a motion of it.

    rows: rows with a full set of values. fps: the rate, frames/s. dialect: what kind of file it is, such as "Live Link
    Face CSV" or "MMHead pickle". short_rows: rows without values (no face seen). bridged: frames filled in between
    their neighbours, for short rows and for timecodes that are missing. holes: (first frame, end) of each stretch of
    bridged frames. repeated: rows left out because their time is out of order. jitter: the rows kept to no frame grid
    and were interpolated. absent: channels the file does not have, now 0. fps_assumed: neither the file nor its kind
    says its rate. notes: one sentence each about what the motion does not hold of the file, or what looks wrong in it.
    """

    path: str
    rows: int
    fps: float
    short_rows: int = 0
    bridged: int = 0
    repeated: int = 0
    jitter: bool = False
    absent: tuple[str, ...] = ()
    dialect: str = ""
    fps_assumed: bool = False
    notes: tuple[str, ...] = ()
    holes: tuple[tuple[int, int], ...] = ()

    @property
    def mended(self) -> bool:
        """Whether the motion differs from the rows of the file."""
        return bool(self.short_rows or self.bridged or self.repeated or self.jitter or self.absent)

    def __str__(self) -> str:
        told = [f"{self.path}: {self.rows} rows at {self.fps:.6g} fps"]
        if self.fps_assumed:
            told.append("a rate the file does not state and that was assumed")
        if self.short_rows:
            told.append(f"short rows without a face: {self.short_rows}")
        if self.bridged:
            told.append(f"missing frames bridged: {self.bridged}")
        if self.repeated:
            told.append(f"rows with repeated or backward timecodes left out: {self.repeated}")
        if self.jitter:
            told.append("irregular timecodes interpolated to a constant rate")
        if self.absent:
            told.append(f"no column for {', '.join(self.absent)} (now 0)")
        return ", ".join(told)
