"""Published place of the tokenizers (alias)."""
