"""History to be played again: lines of files, or the store's events, in the order in which they were read."""
