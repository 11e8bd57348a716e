"""Training of the challenger on history: events from files or the store, features, the forest and its card.

Its modules import pandas, and with a forest to grow scikit-learn: a second of start-up, so whoever needs them for
one command only imports them there.
"""


class TrainError(Exception):
    """The history is no ground for a model; the message says why, and what would be."""
