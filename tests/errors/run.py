#!/usr/bin/env python3
"""Wrong programs: each file's first lines say which errors bpc must report, and where.

    // error@LINE:COL: part of the text

run.py BPC [FILE...]   checks that exactly these errors come, at these positions, with exit status 1.
"""
import os
import re
import subprocess
import sys

here = os.path.dirname(os.path.abspath(__file__))


def expected(path):
    rows = []
    with open(path, encoding="utf-8", errors="replace") as f:
        for line in f:
            m = re.match(r"// error@(\d+):(\d+): (.*)", line)
            if not m:
                break
            rows.append((int(m[1]), int(m[2]), m[3].strip()))
    return rows


def reported(path, text):
    rows = []
    for line in text.splitlines():
        m = re.match(re.escape(path) + r":(\d+):(\d+): error: (.*)", line)
        if m:
            rows.append((int(m[1]), int(m[2]), m[3]))
        elif re.match(r"\S+:\d+:\d+: error: |bpc: error", line):
            rows.append((0, 0, line))
    return rows


def check(bpc, path):
    want = expected(path)
    run = subprocess.run([bpc, "--emit=grad", path], capture_output=True, text=True, errors="replace")
    got = reported(path, run.stderr)
    problems = []
    if not want:
        problems.append("the file names no error")
    if run.returncode != 1:
        problems.append(f"exit status {run.returncode}, 1 is expected")
    for row in want:
        if not any(g[:2] == row[:2] and row[2] in g[2] for g in got):
            problems.append(f"missing: {row[0]}:{row[1]}: {row[2]}")
    for g in got:
        if not any(g[:2] == row[:2] and row[2] in g[2] for row in want):
            problems.append(f"unexpected: {g[0]}:{g[1]}: {g[2]}")
    return problems


def main():
    bpc, files = sys.argv[1], sys.argv[2:]
    files = files or sorted(os.path.join(here, f) for f in os.listdir(here) if f.endswith(".bp"))
    failed = 0
    for path in files:
        problems = check(bpc, path)
        failed += bool(problems)
        for p in problems:
            print(f"{os.path.basename(path)}: {p}")
    print(f"{len(files) - failed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
