"""What the process of a model and whoever started it agree on: words in its output, and seconds."""

from __future__ import annotations

# The first line of faulthandler's report when a call has taken too long.
CALL_TIMED_OUT = "Timeout ("

# Printed once the conformance check has passed, when the process waits for SIGTERM.
CONFORMANCE_READY = "conformance: ready for SIGTERM"

# Between SIGTERM and SIGKILL, in containers and pods.
STOP_SECONDS = 3
