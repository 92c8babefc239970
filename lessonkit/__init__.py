"""Training image classifiers."""
