"""Lets `python -m bench` do what `bench` does."""

from bench.cli.main import main

if __name__ == "__main__":
    main()
