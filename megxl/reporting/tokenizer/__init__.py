"""The page of a training of a tokenizer."""
