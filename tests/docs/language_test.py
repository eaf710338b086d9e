#!/usr/bin/env python3
"""The examples of docs/language.md compile. In a block, `// error: text` at the end of a line says that bpc
gives that error there, and `// = values` after an export what bpc call gives. What stands in an HTML comment
`<!-- with: ... -->` before a block is put in front of it; `<!-- fragment -->` marks what is not a program.
"""

import ast
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from bpc import Tests, root, run  # noqa: E402

bpc = sys.argv[1]
t = Tests()
text = open(os.path.join(root, "docs", "language.md")).read()
blocks = list(
    re.finditer(
        r"(?:<!-- (?:with:\n?(?P<with>.*?)|(?P<fragment>fragment) )-->\n)?^```(?P<kind>\w*)\n(?P<code>.*?)^```$",
        text,
        re.S | re.M,
    )
)


def value(shown):
    shown = shown.replace("true", "True").replace("false", "False")
    return ast.literal_eval(re.sub(r"\binf\b", "1e999", shown))


def example(block):
    code = (block["with"] or "") + block["code"]
    path = t.path("example.bp")
    open(path, "w").write(code)
    for name, data in files.items():
        open(t.path(name), "w").write(data)
    errors = {
        i: m[1].strip()
        for i, line in enumerate(code.split("\n"), 1)
        if (m := re.search(r"// error: (.*)", line))
    }
    r = run(bpc, "--emit=grad", path, status=1 if errors else 0)
    said = {int(m[1]): m[2] for m in re.finditer(r"example\.bp:(\d+):\d+: error: (.*)", r.stderr)}
    assert said.keys() == errors.keys(), f"errors {said}\n{code}"
    for line, wanted in errors.items():
        assert wanted in said[line], f"line {line}: {said[line]}"
    for name, wanted in re.findall(
        r"^export fn (\w+)\((?:(?!^export).)*?// = ([^\n]*)$", code, re.M | re.S
    ):
        out = run(bpc, "call", "-O0", path, name).stdout
        got = [
            value(x.strip()) for x in re.findall(r"^out\d*: [^=]*= ?(.*(?:\n[ \[].*)*)", out, re.M)
        ]
        assert tuple(got) == value(f"({wanted},)"), f"{name}: {got}"


files = {
    "d.csv": "a,b,c,d,species\n1,2,3,4,rose\n5,6,7,8,tulip\n",
    "plays.txt": "to be or not to be " * 20,
    "lib.bp": "fn halved(x: real) -> real { return x / 2; }\n",
}
for block in blocks:
    if block["kind"] == "bp" and not block["fragment"]:
        line = text[: block.start("code")].count("\n") + 1
        t.check(f"docs/language.md:{line}", example, block)
assert all(b["kind"] for b in blocks), "a block without a language"
t.finish()
