"""The detector on Kubernetes, and what writes the parts of it that stand elsewhere already."""
