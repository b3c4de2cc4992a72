import sys

import click

from rotator.sandbox.command import sandbox

if __name__ == "__main__":
    try:
        sandbox.main(prog_name="python -m rotator.sandbox", standalone_mode=False)
    except click.ClickException as problem:
        problem.show()
        sys.exit(1)
