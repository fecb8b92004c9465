"""Save and load facelm models: folders now, the Hub's repositories hold the same files."""

from facelm.lm.folder import load_model, merge_model, save_model

__all__ = ["load_model", "merge_model", "save_model"]
