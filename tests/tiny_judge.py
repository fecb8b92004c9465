"""A judge small enough to learn within seconds."""

from facelm.evaluate.judge import TextJudgeConfig

TINY = TextJudgeConfig(width=32, layers=1, heads=2, embedding=32)
