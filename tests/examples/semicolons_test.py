#!/usr/bin/env python3
"""Every single deleted ';' of the examples is reported, alone, at the end of the token before it."""
import glob
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from bpc import Tests, examples, run  # noqa: E402

bpc = sys.argv[1]
t = Tests()


def semicolons(text):
    for i, c in enumerate(text):
        line = text[:i].rsplit("\n", 1)[-1]
        if c == ";" and "//" not in line:
            yield i, text[:i].count("\n") + 1, len(line.encode()) + 1


def deleted(path):
    text = open(path).read()
    source = t.path("deleted.bp")
    for i, line, col in semicolons(text):
        open(source, "w").write(text[:i] + text[i + 1:])
        r = run(bpc, "--emit=ast", source, status=1)
        assert f"deleted.bp:{line}:{col}: error: expected ';'" in r.stderr, (line, col, r.stderr)
        assert r.stderr.count(" error: ") == 1, r.stderr


for path in sorted(glob.glob(os.path.join(examples, "*.bp"))):
    t.check(os.path.basename(path), deleted, path)
t.finish()
