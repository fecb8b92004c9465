"""What a motion tokenizer is made of: its streams, their channels and the size of its networks."""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass, field
from typing import Any

from facelm.errors import FacelmError
from facelm.fields import check_positive
from facelm.motion.layout import layout as named_layout

UPPER_SHAPES = ("browDown", "browOuterUp", "eyeSquint", "eyeWide", "cheekSquint", "noseSneer")
MOUTH_SHAPES = (
    "mouthSmile",
    "mouthFrown",
    "mouthDimple",
    "mouthStretch",
    "mouthPress",
    "mouthLowerDown",
    "mouthUpperUp",
)
CENTRE_SHAPES = (
    "browInnerUp",
    "jawForward",
    "jawRight",
    "jawLeft",
    "jawOpen",
    "mouthClose",
    "mouthFunnel",
    "mouthPucker",
    "mouthRight",
    "mouthLeft",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
    "cheekPuff",
    "tongueOut",
)
EYE_SHAPES = ("eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp")
HEAD_ANGLES = ("headYaw", "headPitch", "headRoll")


@dataclass(frozen=True)
class StreamConfig:
    """One stream: one code per step for some channels.

    Attributes:
        name: Name of the stream, part of its tokens (`<|left_12|>`).
        channels: Channels of the layout, in the order the network sees them.
        codes: Size of the codebook. Code 0 is the rest pose (all channels zero) and is never learnt.
        weights: Name of an earlier stream whose network, scale and codebook this stream shares, or None.

    Raises:
        FacelmError: empty name or channels, or fewer than two codes.
    """

    name: str
    channels: tuple[str, ...]
    codes: int = 256
    weights: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))
        if not self.name.isidentifier():
            raise FacelmError(f"stream name {self.name!r} is not a plain word: use letters, digits and _")
        if not self.channels:
            raise FacelmError(f"stream {self.name} has no channels: name at least one channel of the layout")
        if self.codes < 2:
            raise FacelmError(f"stream {self.name} has codes = {self.codes}: it needs at least 2")


def face_streams(
    side: int = 512, centre: int = 256, eyes: int = 256, head: int = 128, upper: int = 0
) -> tuple[StreamConfig, ...]:
    """Streams of the `arkit` layout; arguments are codebook sizes.

    Left and right share one network and one codebook, so that what was learnt on one side exists on the other, and
    an expression of one side alone is the rest code beside an ordinary code (regions after paper 003).

    With `upper` = 0 the five streams are left, right, centre, eyes, head. With `upper` > 0 the upper face of each side
    has a codebook of that size apart from the mouth's, which makes seven: left_upper, left_mouth, right_upper,
    right_mouth, centre, eyes, head. Pairs of brow and mouth movements that no training clip shows then cost nothing,
    for two more tokens a step.
    """
    parts = {"_upper": (UPPER_SHAPES, upper), "_mouth": (MOUTH_SHAPES, side)}
    if not upper:
        parts = {"": (UPPER_SHAPES + MOUTH_SHAPES, side)}
    sides = [
        StreamConfig(f"{name}{part}", tuple(f"{shape}{name.title()}" for shape in shapes), codes, weights)
        for name in ("left", "right")
        for part, (shapes, codes) in parts.items()
        for weights in ([None] if name == "left" else [f"left{part}"])
    ]
    return (
        *sides,
        StreamConfig("centre", CENTRE_SHAPES, centre),
        StreamConfig("eyes", tuple(f"{n}{s}" for s in ("Left", "Right") for n in EYE_SHAPES), eyes),
        StreamConfig("head", HEAD_ANGLES, head),
    )


@dataclass(frozen=True)
class TokenizerConfig:
    """Shape of a `MotionTokenizer`.

    Attributes:
        layout: Name of the layout of the motion.
        fps: Frames per second the networks work at; other motions are resampled.
        downsample: Frames in a step (one code per stream and step).
        streams: The streams in the order their tokens are written. Each channel belongs to exactly one.
        width: Channels of the hidden convolutions.
        encoder_blocks: Residual convolutions of the encoder, each looks one step further to both sides. Few, so that
            a code means what happens at its step and little else.
        decoder_blocks: The same of the decoder, where context costs the language model nothing.

    Raises:
        FacelmError: a channel unknown, missing or in two streams, a shared stream that does not fit, a size below 1.
    """

    layout: str = "arkit"
    fps: float = 25.0
    downsample: int = 4
    streams: tuple[StreamConfig, ...] = field(default_factory=face_streams)
    width: int = 64
    encoder_blocks: int = 1
    decoder_blocks: int = 2

    def __post_init__(self) -> None:
        streams = tuple(s if isinstance(s, StreamConfig) else StreamConfig(**s) for s in self.streams)
        object.__setattr__(self, "streams", streams)
        check_positive(self, "tokenizer config", "fps", "downsample", "width", "encoder_blocks", "decoder_blocks")
        known = named_layout(self.layout).names
        used = [c for s in streams for c in s.channels]
        for channel in used:
            if channel not in known:
                near = difflib.get_close_matches(channel, known, 1)
                hint = f", did you mean {near[0]}?" if near else ""
                raise FacelmError(f"tokenizer config: layout {self.layout} has no channel {channel!r}{hint}")
            if used.count(channel) > 1:
                raise FacelmError(f"tokenizer config: channel {channel} is in two streams, keep it in one")
        missing = [c for c in known if c not in used]
        if missing:
            raise FacelmError(f"tokenizer config: no stream has the channels {', '.join(missing)}: add them to one")
        seen: dict[str, StreamConfig] = {}
        for s in streams:
            if s.name in seen:
                raise FacelmError(f"tokenizer config: two streams are called {s.name}, rename one")
            if s.weights is not None:
                owner = seen.get(s.weights)
                if owner is None or owner.weights is not None:
                    raise FacelmError(
                        f"tokenizer config: stream {s.name} shares the weights of {s.weights!r}, "
                        "which must be an earlier stream with weights of its own"
                    )
                if len(owner.channels) != len(s.channels) or owner.codes != s.codes:
                    raise FacelmError(
                        f"tokenizer config: streams {s.weights} and {s.name} share weights but differ in the number "
                        "of channels or codes, make them equal"
                    )
            seen[s.name] = s

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `TokenizerConfig.from_dict` reads them back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TokenizerConfig:
        """From plain values.

        Raises:
            FacelmError: an unknown key (names the nearest), or values that do not fit.
        """
        names = [f.name for f in dataclasses.fields(cls)]
        for key in values:
            if key not in names:
                near = difflib.get_close_matches(key, names, 1)
                raise FacelmError(
                    f"tokenizer config: unknown key {key!r}" + (f", nearest is {near[0]}" if near else "")
                )
        return cls(**values)
