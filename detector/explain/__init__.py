"""One alert, finding or event by its numbers, against the baseline; and what it would take for it to be otherwise."""
