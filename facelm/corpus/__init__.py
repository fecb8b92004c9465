"""Corpora: synthesised and read."""
