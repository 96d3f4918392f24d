"""The page of a run that decodes words."""
