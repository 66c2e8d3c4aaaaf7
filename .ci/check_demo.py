"""What `redrepl demo --format json` printed to the file given: nothing acknowledged was lost, all
copies are equal.
"""

import json
import sys
from pathlib import Path


def main() -> None:
    """Take the result, which the output ends with, and check it."""
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    result = json.loads(lines[-1])
    sys.stdout.write(f"{json.dumps(result)}\n")
    good = (
        result["schema_version"] == 1
        and result["converged"] is True
        and result["acked_writes_lost"] == 0
    )
    if not good or result["writes_acked"] <= 0 or result["seconds"] <= 0:
        sys.exit("the demo's result is not what it must be")


if __name__ == "__main__":
    main()
