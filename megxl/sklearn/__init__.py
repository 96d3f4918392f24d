"""Features of MEG-XL in scikit-learn's pipelines: a transformer of trials."""

from megxl.sklearn.features import MEGXLFeatures

__all__ = ["MEGXLFeatures"]
