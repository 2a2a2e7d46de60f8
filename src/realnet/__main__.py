"""``python -m realnet``: the command line."""

from realnet.cli import main

if __name__ == "__main__":
    main()
