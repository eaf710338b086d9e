#!/usr/bin/env python3
"""The IR in docs/differentiation.md is what bpc prints: a block that begins with ```ir OPTIONS: NAME... shows these
functions (or `plan`: the head of that function's plan) of the bp block before it, origins left out. With --write
the blocks are written anew."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from bpc import Tests, root, run  # noqa: E402

bpc, write = sys.argv[1], "--write" in sys.argv
t = Tests()
path = os.path.join(root, "docs", "differentiation.md")
text = open(path).read()
source = t.path("m.bp")


def function(out, name):
    m = re.search(rf"^(?:export )?fn {name}\(.*?^}}$|^fn {name}:\n(?:  [a-z]+ +\d+ bytes\n)*", out, re.S | re.M)
    assert m, f"no {name} in\n{out}"
    return re.sub(r"  //@ .*", "", m[0]).rstrip("\n") + "\n"


def shown(options, names):
    out = run(bpc, *options.split(), source).stdout
    return "".join(function(out, n) for n in names.split())


def replace(m):
    if m[1] == "bp\n":
        open(source, "w").write(m[2])
        return m[0]
    options, names = re.match(r"ir (.*): (.*)\n", m[1]).groups()
    got = shown(options, names)
    if not write:
        line = text[:m.start()].count("\n") + 1
        assert got == m[2], f"docs/differentiation.md:{line}: {options} gives\n{got}"
    return f"```{m[1]}{got}```"


def blocks():
    global text
    found = re.findall(r"^```ir ", text, re.M)
    assert len(found) >= 8, found
    new = re.sub(r"^```((?:bp|ir )[^\n]*\n)(.*?)^```$", replace, text, flags=re.S | re.M)
    if write:
        open(path, "w").write(new)


t.check("docs/differentiation.md", blocks)
t.finish()
