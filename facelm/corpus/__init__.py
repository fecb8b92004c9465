"""Corpora: a synthesised performer, the compositional hold-out, and Parquet files of clips with words."""

from facelm.corpus.build import load_corpus, motion, synthesise

__all__ = ["load_corpus", "motion", "synthesise"]
