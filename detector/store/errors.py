"""What goes wrong between us and the event store."""


class StoreError(Exception):
    """The store can't be used as asked. The message says why, and what to do about it."""
