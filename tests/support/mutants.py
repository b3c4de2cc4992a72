"""The end of `make mutants`: which mutants survived, and whether enough of them were killed.

Runs in the environment of mutmut, and knows nothing but what mutmut has written.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

LEAST_KILLED = 0.90


def main() -> int:
    mutmut = Path(sys.executable).with_name("mutmut")
    survivors = subprocess.run(
        [mutmut, "results"], check=True, capture_output=True, text=True
    ).stdout
    subprocess.run([mutmut, "export-cicd-stats"], check=True, capture_output=True)
    stats = json.loads(Path("mutants/mutmut-cicd-stats.json").read_text())
    # One that hangs is noticed as well as one that fails.
    killed = stats["killed"] + stats["timeout"] + stats["segfault"]
    share = killed / (stats["total"] or 1)
    sys.stdout.write(survivors)
    sys.stdout.write(f"{killed} of {stats['total']} mutants killed: {share:.1%}\n")
    sys.stdout.write("What one changed: .venv-mutants/bin/mutmut show NAME\n")
    return 0 if share >= LEAST_KILLED else 1


if __name__ == "__main__":
    sys.exit(main())
