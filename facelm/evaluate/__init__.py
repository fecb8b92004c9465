"""Scores of motion and text."""
