"""Run the command line: ``python -m resleak``."""

from resleak.cli import main

if __name__ == "__main__":
    main()
