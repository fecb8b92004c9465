"""Corpora: clips with words and sound in Parquet shards, synthesised or made of somebody's takes."""

from facelm.corpus.schema import motion
from facelm.corpus.shards import load_corpus, load_for_training, write_corpus
from facelm.corpus.synth import synthesise

__all__ = ["load_corpus", "load_for_training", "motion", "synthesise", "write_corpus"]
