"""State saved together with the offsets it stands for, where any worker can find it."""

from detector.checkpoints.errors import CheckpointError, CheckpointFenced
from detector.checkpoints.pieces import Part, Piece
from detector.checkpoints.reader import Checkpoint
from detector.checkpoints.store import CheckpointStore

__all__ = ["Checkpoint", "CheckpointError", "CheckpointFenced", "CheckpointStore", "Part", "Piece"]
