"""Facts, plans and words of a motion."""
