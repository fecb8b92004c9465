"""Retrieval judges: networks that know which texts, or sounds, and motions belong together.

`Judge.from_pretrained(folder)` gives one that recipes/judge.py trained; `embed_motions`, `embed_texts` (of a judge of
texts) and `embed_audio` (of a judge of sounds) give embeddings for facelm.evaluate.embeddings.
"""

from facelm.evaluate.judge.audio import AudioJudge, AudioJudgeConfig
from facelm.evaluate.judge.base import Judge
from facelm.evaluate.judge.text import TextJudge, TextJudgeConfig

__all__ = ["AudioJudge", "AudioJudgeConfig", "Judge", "TextJudge", "TextJudgeConfig"]
