"""Decoding that yields valid motion."""

from facelm.generate.decoding import Decoder, Sampling

__all__ = ["Decoder", "Sampling"]
