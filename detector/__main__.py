"""`python -m detector` is `detector`."""

from detector.cli import main

if __name__ == "__main__":
    main()
