"""Published place of the models (alias)."""
