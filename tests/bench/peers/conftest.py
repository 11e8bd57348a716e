"""Doctests are looked for in every module; what the peers need is not installed where they are."""

collect_ignore_glob = ["*_app.py", "*_flow.py", "*_loop.py"]
