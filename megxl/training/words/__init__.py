"""Training of decoders that name words: fine-tuning, probing and baselines, with their protocols and results."""
