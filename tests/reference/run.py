#!/usr/bin/env python3
"""The library's values and gradients against PyTorch's in cases.npz (see make.py): cases.bp is compiled once,
as a shared library; each of its functions gets its arguments from the array of its name and must give
the numbers that follow them, to 1e-10."""

import ctypes
import math
import os
import re
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "support"))
from bpc import Tests, npz_read, run  # noqa: E402

bpc = sys.argv[1]
t = Tests()
program = os.path.join(here, "cases.bp")
numbers = npz_read(os.path.join(here, "cases.npz"))
run(bpc, "-shared", "-O0", program, "-o", t.path("libcases.so"))
library = ctypes.CDLL(t.path("libcases.so"))
header = open(t.path("cases.h")).read()
arena_bytes = {m[1]: int(m[2]) for m in re.finditer(r"#define cases_(\w+)_ARENA (\d+)", header)}
states = {
    name: body.count("= state->")
    for name, body in re.findall(r"void cases_(\w+)\(.*?\{(.*?)^\}", header, re.M | re.S)
}


class Aligned:
    """Room for n elements on a 64-byte boundary."""

    def __init__(self, element, n):
        self.raw = ctypes.create_string_buffer(max(1, n) * ctypes.sizeof(element) + 64)
        self.address = (ctypes.addressof(self.raw) + 63) & ~63
        self.values = (element * n).from_address(self.address)


def types(text):
    """(element, count) of each type in a list of formals or results."""
    return [
        (
            ctypes.c_int32 if m[1] else ctypes.c_double,
            math.prod(int(d) for d in m[2].split(",")) if m[2] else 1,
        )
        for m in re.finditer(r"(?:f64|(i32)<\d+>)(?:\[([^\]]*)\])?", text)
    ]


def close(a, b):
    return math.isnan(a) and math.isnan(b) or a == b or abs(a - b) <= 1e-10 * max(1.0, abs(b))


def case(name, formals, results):
    flat = iter(numbers[name][2])
    given, got = types(formals), types(results)
    rooms = [Aligned(element, n) for element, n in given + got]
    for (element, n), room in zip(given, rooms):
        room.values[:] = [
            int(next(flat)) if element is ctypes.c_int32 else next(flat) for _ in range(n)
        ]
    arena = Aligned(ctypes.c_ubyte, arena_bytes[name])
    state = [Aligned(ctypes.c_double, 16) for _ in range(states[name])]
    pointers = (ctypes.c_void_p * (len(state) + len(rooms)))(*(r.address for r in state + rooms))
    library["bp_" + name](pointers, ctypes.c_void_p(arena.address), None)
    for k, room in enumerate(rooms[len(given) :]):
        worst = [
            (a, b)
            for a, b in zip(room.values, (next(flat) for _ in room.values))
            if not close(a, b)
        ]
        assert not worst, f"result {k}: {worst[:3]}"
    assert next(flat, None) is None


exports = re.findall(r"^export fn (\w+)\((.*)\) -> \((.*)\) \{$", open(program).read(), re.M)
assert sorted(numbers) == sorted(e[0] for e in exports)
for export in exports:
    t.check(export[0], case, *export)
t.finish()
