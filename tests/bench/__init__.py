"""What costs time, measured: ratios in one run on one machine. `python -m tests.bench`."""
