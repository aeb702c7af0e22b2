"""`python -m ohmfield` is the `ohmfield` command."""

from ohmfield.cli import main

if __name__ == "__main__":
    main()
