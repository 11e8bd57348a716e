"""Pure online models: numbers and names in, surprise out. No I/O, no clock, no knowledge of events."""
