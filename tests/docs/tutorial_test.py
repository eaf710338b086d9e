#!/usr/bin/env python3
"""docs/tutorial.md, done: a block whose fence names a file is written, `sh` blocks run line by line, and the lines
of a `text` block stand in the output of the block before. Everything happens in one empty folder.
"""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from bpc import Tests, root, run  # noqa: E402

bpc = sys.argv[1]
t = Tests()
text = open(os.path.join(root, "docs", "tutorial.md")).read()
path = os.path.dirname(os.path.abspath(bpc)) + os.pathsep + os.environ["PATH"]
shown = ""


def step(kind, name, code):
    global shown
    if name:
        open(t.path(name), "w").write(code)
    elif kind == "sh":
        shown = ""
        for command in code.splitlines():
            may_fail = command.endswith("# fails")
            r = run("sh", "-c", command, status=None, cwd=t.dir.name, env={"PATH": path})
            assert (r.returncode != 0) == may_fail, f"{command}\n{r.stdout}{r.stderr}"
            shown += r.stdout + r.stderr
    elif kind == "text":
        for line in filter(None, map(str.strip, code.splitlines())):
            assert line in shown, f"not printed: {line}\n{shown}"


for block in re.finditer(r"^```(\w*) ?(\S*)\n(.*?)^```$", text, re.S | re.M):
    line = text[: block.start()].count("\n") + 1
    t.check(f"docs/tutorial.md:{line}", step, *block.groups())
t.finish()
