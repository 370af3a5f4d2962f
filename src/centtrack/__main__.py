"""`python -m centtrack`."""

from centtrack.cli import main

if __name__ == "__main__":
    main()
