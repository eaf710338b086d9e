#!/usr/bin/env python3
"""Each function of language.bp gives what the comment after it says, at -O0 and -O3."""
import ast
import os
import re
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "support"))
from bpc import Tests, run  # noqa: E402

bpc = sys.argv[1]
t = Tests()
program = os.path.join(here, "language.bp")
include = "-I" + os.path.join(here, "include")


def value(text):
    return ast.literal_eval(re.sub(r"\binf\b", "1e999", text.replace("true", "True").replace("false", "False")))


def case(name, want):
    outs = [run(bpc, "call", level, include, program, name).stdout for level in ("-O0", "-O3")]
    assert outs[0] == outs[1], "-O0 and -O3 differ"
    got = [value(x.strip()) for x in re.findall(r"^out\d*: [^=]*= ?(.*(?:\n[ \[].*)*)", outs[0], re.M)]
    want = value(f"({want},)")
    assert tuple(got) == want, (got, want)


text = open(program).read()
cases = re.findall(r"^export fn (\w+)\(.*?^// = ([^\n]*)$", text, re.M | re.S)
assert len(cases) == text.count("export fn"), "a function without its value"
for name, want in cases:
    t.check(name, case, name, want)
t.finish()
