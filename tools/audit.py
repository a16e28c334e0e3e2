"""`make audit`: asks whether any installed package has a known vulnerability.

    python tools/audit.py

pip-audit asks PyPI. Where that cannot be reached nothing is known, which this says loudly; it is an error
only where something was found.
"""

from __future__ import annotations

import json
import subprocess
import sys

COMMAND = (sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off")


def judge(report: dict) -> tuple[int, list[str]]:
    """Exit status, and what to say, of pip-audit's report."""
    packages = report["dependencies"]
    asked = [package for package in packages if "vulns" in package]
    found = [
        f"{package['name']} {package['version']}: {vulnerability['id']}, mended in "
        f"{', '.join(vulnerability['fix_versions']) or 'no version yet'}"
        for package in asked
        for vulnerability in package["vulns"]
    ]
    lines = [f"{len(asked)} of {len(packages)} packages could be asked about."]
    if len(asked) < len(packages) / 2:
        lines.append(
            "NOT AUDITED: for most of them PyPI gave no answer. Is it reachable from here?"
        )
    return (1 if found else 0), [*lines, *(found or ["No known vulnerability among those."])]


def main() -> int:
    done = subprocess.run(COMMAND, capture_output=True, text=True, timeout=600)
    try:
        report = json.loads(done.stdout)
    except json.JSONDecodeError:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        print(f"NOT AUDITED: pip-audit gave no report: {last}")
        return 0
    status, lines = judge(report)
    print("\n".join(lines))
    return status


if __name__ == "__main__":
    sys.exit(main())
