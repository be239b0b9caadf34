"""The command ``forecastle``, and ``python -m app``."""

from app.cli import cli


def main() -> None:
    """Run the command line and exit."""
    cli(prog_name="forecastle")


if __name__ == "__main__":
    main()
