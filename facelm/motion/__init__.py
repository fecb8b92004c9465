"""Facial motion: layouts with named channels, sequences, files."""
