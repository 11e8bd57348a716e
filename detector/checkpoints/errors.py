"""What can go wrong with checkpoints."""


class CheckpointError(Exception):
    """Checkpoints can't be kept where they should be, or can't be read by this program."""


class CheckpointFenced(CheckpointError):  # noqa: N818 - what happened to the writer
    """Another member has taken a partition over: what this one knows of it counts no more.

    Args:
        message: What to tell.
        partition: (topic, number) of the partition.
    """

    def __init__(self, message: str, partition: tuple[str, int]) -> None:
        super().__init__(message)
        self.partition = partition
