"""Ask the advisory service for known vulnerabilities of the packages of a lock: audit.py LOCK.

Ends with status 1 if one is known, and with 0 and a note if the service does not answer.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

AUDIT = Path(sys.executable).parent / "pip-audit"


def main(lock: Path) -> int:
    """Print what is known about the packages of ``lock``, and return the exit status."""
    entries = lock.read_text().replace("\\\n", " ").splitlines()
    # One package first: a service that cannot be reached would be asked for all the others in vain.
    for asked in (entries[:1], entries):
        answers = ask(asked)
        if not any("vulns" in answer for answer in answers):
            print("audit: the advisory service cannot be reached; nobody has looked for known vulnerabilities")
            return 0
    found = [(answer, one) for answer in answers for one in answer.get("vulns", ())]
    for answer, one in found:
        remedy = ", ".join(one["fix_versions"]) or "no version yet"
        print(f"audit: {answer['name']} {answer['version']} has {one['id']}; mended in {remedy}")
    print(f"audit: {len(found)} known vulnerabilities in {len(answers)} packages of {lock}")
    return 1 if found else 0


def ask(entries: list[str]) -> list[dict[str, Any]]:
    """Return what pip-audit knows about each package; nothing if it cannot ask."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(entries))
        file.flush()
        options = ["--disable-pip", "--require-hashes", "--format", "json", "--progress-spinner", "off"]
        done = subprocess.run(  # noqa: S603 - our own environment
            [AUDIT, "--requirement", file.name, *options], capture_output=True, text=True, check=False
        )
    if not done.stdout:
        print(f"audit: {(done.stderr.strip().splitlines() or ['pip-audit says nothing'])[-1]}")
        return []
    return list(json.loads(done.stdout)["dependencies"])


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
