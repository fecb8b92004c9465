"""Motion tokens: `MotionTokenizer` turns a face motion into codes and back."""

from facelm.tokenizer.config import StreamConfig, TokenizerConfig, face_streams
from facelm.tokenizer.model import EncodedMotion, MotionTokenizer, Stream

__all__ = ["EncodedMotion", "MotionTokenizer", "Stream", "StreamConfig", "TokenizerConfig", "face_streams"]
