"""Facts, plans and words: what a face does, as data and as sentences."""

from facelm.describe.plan import Item, Phase, Plan

__all__ = ["Item", "Phase", "Plan"]
