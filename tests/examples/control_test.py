#!/usr/bin/env python3
"""Run-time loops and branches: known results, the same at -O0 and -O3, gradients that pass the check."""
import ast
import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "support"))
from bpc import Tests, run  # noqa: E402

bpc = sys.argv[1]
t = Tests()
program = os.path.join(here, "control.bp")

# a bound means: every result is below it
expected = {
    "powers": 1e-9, "rnn_apart": 1e-13, "rnn_second": 1e-13, "no_steps": [3.0], "collatz": [111],
    "pieces": [19.0, 12.0, 9.0, 3.0, -1.0, 0.0], "choices": [6.0, 2.0],
    "backwards": [[1.0, 3.0, 6.0, 10.0], [10.0, 9.0, 7.0, 4.0]],
    "dense": 1e-14, "recomputed": [True], "maml": None, "nested": None, "empty": [3.0, []], "draws": [True], "roots": None,
}


def nested():
    total, sums = 0.0, []
    for row in ([1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]):
        s = 0.0
        for a in row:
            s = s + a if a > 6 else s - total
        total += s
        sums.append(s)
    return total + sum(x * x for x in sums)


def values(name, level):
    out = run(bpc, "call", level, program, name).stdout
    return [ast.literal_eval(line.split("=", 1)[1].strip().replace("true", "True").replace("false", "False"))
            for line in out.splitlines()]


def case(name):
    got = values(name, "-O0")
    assert got == values(name, "-O3"), "-O0 and -O3 differ"
    want = expected[name]
    if name == "nested":
        want = [nested()]
    if name == "roots":
        assert abs(got[0] - 3) < 1e-12 and abs(got[1] - 2 ** 0.5) < 1e-12, got
        assert abs(got[2] - 0.5 / 2 ** 0.5) < 1e-12, got
    elif name == "maml":
        assert len(got[0]) == 21 and all(got[0]) and got[1] < 1e-14, got
    elif isinstance(want, float):
        assert all(x < want for v in got for x in (v if isinstance(v, list) else [v])), got
    else:
        assert got == want, (got, want)


for name in expected:
    t.check(name, case, name)
t.check("bpc check", run, bpc, "check", program)
t.finish()
