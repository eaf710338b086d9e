#!/usr/bin/env python3
"""Each function of language.bp gives what the comment after it says, at -O0 and -O3. One more function calls
them all, so that the file is compiled once for each level."""
import ast
import os
import re
import shutil
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "support"))
from bpc import Tests, run  # noqa: E402

bpc = sys.argv[1]
t = Tests()
copy = t.path("language")
shutil.copytree(here, copy)
text = open(os.path.join(here, "language.bp")).read()
cases = re.findall(r"^export fn (\w+)\(.*?^// = ([^\n]*)$", text, re.M | re.S)
assert len(cases) == text.count("export fn"), "a function without its value"


def value(shown):
    shown = shown.replace("true", "True").replace("false", "False")
    return ast.literal_eval(re.sub(r"\binf\b", "1e999", shown))


def results(level):
    program = os.path.join(copy, "language.bp")
    calls = ", ".join(f"{name}()" for name, _ in cases)
    open(program, "w").write(text + f"export fn all_of_them() {{ return {calls}; }}\n")
    out = run(bpc, "call", level, "-I" + os.path.join(copy, "include"), program, "all_of_them").stdout
    return [value(x.strip()) for x in re.findall(r"^out\d*: [^=]*= ?(.*(?:\n[ \[].*)*)", out, re.M)]


def case(name, got, want):
    assert tuple(got) == want, (got, want)


def defines():
    """-D reaches consts made of others and keeps the kind of its own."""
    program = t.write("defines.bp", """const A = B * 2; const B = 3; const C = 0.5; const D: bool = A > 6;
export fn f() -> (f64, f64, bool) { let x: f64[A] = ones(); return sum(x), 3 / C, D; }
""")
    shown = lambda *args: re.findall(r"= (.*)", run(bpc, "call", program, "f", *args).stdout)
    assert shown() == ["6.0", "6.0", "false"], shown()
    assert shown("-DB=5", "-DC=2") == ["10.0", "1.5", "true"], shown("-DB=5", "-DC=2")
    for wrong in ("-DB=2.5", "-DD=1", "-DC=true", "-DX", "-DB=x", "-DB"):
        assert "bpc: error: " + wrong in run(bpc, "call", program, "f", wrong + "=1" * (wrong == "-DX"), status=1).stderr, wrong


t.check("defines", defines)
for level in ("-O0", "-O3"):
    got = results(level)
    for name, shown in cases:
        want = value(f"({shown},)")
        t.check(f"{name} {level}", case, name, got[:len(want)], want)
        got = got[len(want):]
    assert not got
t.finish()
