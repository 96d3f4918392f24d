"""Published place of the losses (alias)."""
