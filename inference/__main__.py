"""`python -m inference`; and on the model's side, under the name that the package has there, a shard or a check."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # A shard runs in the model's environment, which lacks what the other commands import.
    if sys.argv[1:2] == ["shard"]:
        from .shard.command import main

        sys.exit(main(sys.argv[2:]))
    if sys.argv[1:2] == ["conformance"]:
        from .scoring.conformance import main as conformance

        sys.exit(conformance())
    from .cli.app import main as command_line

    sys.exit(command_line())
