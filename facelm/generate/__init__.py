"""Decoding that yields valid motion."""
