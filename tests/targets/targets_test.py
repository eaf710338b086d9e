#!/usr/bin/env python3
"""The same bits on every processor: objects of -c for AVX-512, AVX2 and AArch64 (run by qemu), each in
a main that calls all its functions on the same numbers and prints digests of what they give."""
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from bpc import Tests, examples, run  # noqa: E402

bpc = sys.argv[1]
t = Tests()
here = os.path.dirname(os.path.abspath(__file__))

# name, options of bpc, C compiler, what runs it, a word of /proc/cpuinfo it needs
TARGETS = [
    ("AVX2", ["-march=x86-64-v3"], ["cc"], [], "avx2"),
    ("AVX2 at -O0", ["-march=x86-64-v3", "-O0"], ["cc"], [], "avx2"),
    ("AVX-512", ["-march=x86-64-v4"], ["cc"], [], "avx512vl"),
    ("AArch64", ["--target=aarch64-linux-gnu"], ["aarch64-linux-gnu-gcc", "-static"], ["qemu-aarch64"],
     None),
]

SUPPORT = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static unsigned long long mixed(unsigned long long x) {
    x ^= x >> 30; x *= 0xbf58476d1ce4e5b9ull; x ^= x >> 27; x *= 0x94d049bb133111ebull;
    return x ^ x >> 31;
}
static void *room(size_t bytes) {
    void *p = aligned_alloc(64, (bytes + 127) / 64 * 64);
    if (!p) exit(1);
    memset(p, 0, (bytes + 127) / 64 * 64);
    return p;
}
#define FILL(T, name, value) \
    static T *name(size_t n, long range) { \
        T *p = room(n * sizeof *p); (void)range; \
        for (size_t i = 0; i < n; i++) { unsigned long long h = mixed(i + n); p[i] = (T)(value); } \
        return p; \
    }
FILL(float, floats, (double)(long)(h >> 40 & 0xffff) / 16384 - 2)
FILL(double, doubles, (double)(long)(h >> 20 & 0xffffffff) / 1073741824 - 2)
FILL(int32_t, ints, h % (unsigned long long)range)
/* The sign of a NaN is the processor's. */
static void print(const char *name, const void *data, size_t n, size_t size, int is_float) {
    unsigned long long sum = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned long long x = 0;
        double d; float f;
        memcpy(&x, (const char *)data + i * size, size);
        memcpy(&d, &x, 8); memcpy(&f, &x, 4);
        if (is_float && (size == 8 ? d != d : f != f)) x = 1;
        sum = mixed(sum ^ x) + i;
    }
    printf("%s %016llx\n", name, sum);
}
"""
C_TYPES = {"f32": ("float", "floats"), "f64": ("double", "doubles"), "i32": ("int32_t", "ints")}
SCALARS = {"lr": "0.01f", "key": "42", "seed": "42", "step": "step", "steps": "3"}


def parsed(type_text):
    """dtype, range, elements of "i32<7>[40, 2]"; None for a scalar's elements."""
    m = re.fullmatch(r"(\w+)(?:<(\d+)>)?(?:\[(.*)\])?", type_text)
    count = None
    if m[3] is not None:
        count = 1
        for d in m[3].split(","):
            count *= int(d)
    return m[1], int(m[2] or 1), count


def declared(name, type_text, prefix):
    """C that makes an argument or a result of that type; the variable's name."""
    dtype, limit, count = parsed(type_text)
    ctype, fill = C_TYPES[dtype]
    var = f"{prefix}_{name}"
    if name.startswith("out"):
        return var, f"{ctype} *{var} = room({count or 1} * sizeof *{var});"
    return var, f"{ctype} *{var} = {fill}({count}, {limit});"


def main_of(header, stem):
    """A main that calls every function of the header."""
    lines, after = [], []
    state = re.search(rf"typedef struct {stem}_state {{(.*?)}} {stem}_state;", header, re.S)
    if state:
        lines.append(f"{stem}_state state;")
        for field, type_text in re.findall(r"\*(\w+); /\* \S+: (.*?) \*/", state[1]):
            dtype, _, count = parsed(type_text)
            size = {"f32": 4, "f64": 8}[dtype]
            lines.append(f"state.{field} = room({count or 1} * {size});")
            after.append(f'print("{field}", state.{field}, {count or 1}, {size}, 1);')
    calls = []
    for comment, name, params in re.findall(r"/\*((?:(?!\*/).)*)\*/\nstatic inline void (\w+)\((.*?)\) {",
                                            header, re.S):
        args, prints = [], []
        types = dict(re.findall(r"^ \* (\w+): (\S.*)$", comment, re.M))
        for param in params.split(", "):
            var = re.search(r"(\w+)$", param)[1]
            if var == "state":
                args.append("&state")
            elif var == "arena":
                args.append(f"room({name}_ARENA)")
            elif "*" not in param:
                args.append(SCALARS[var])
            else:
                value, line = declared(var, types[var], name)
                args.append(value)
                lines.append(line)
                if var.startswith("out"):
                    dtype, _, count = parsed(types[var])
                    prints.append(f'print("{name} {var}", {value}, {count or 1}, sizeof *{value}, '
                                  f"{int(dtype[0] == 'f')});")
        call = f"{name}({', '.join(args)});"
        if name == stem + "_step":
            call = f"for (int step = 0; step < 3; step++) {call}"
        order = {stem + "_init": 0, stem + "_step": 1}.get(name, 2)
        calls.append((order, call + " " + " ".join(prints)))
    body = lines + [c for _, c in sorted(calls, key=lambda c: c[0])] + after
    return SUPPORT + "int main(void) {\n" + "\n".join(body) + "\nreturn 0; }\n"


def digests(source, target):
    _, options, cc, runner, _ = target
    stem = os.path.basename(source)[:-3]
    folder = t.path("_".join([stem, *options]).replace("/", "_"))
    os.mkdir(folder)
    obj = os.path.join(folder, stem + ".o")
    run(bpc, "-c", *options, source, "-o", obj)
    with open(os.path.join(folder, stem + ".h"), encoding="utf-8") as f:
        header = f.read()
    main, exe = os.path.join(folder, "main.c"), os.path.join(folder, "main")
    with open(main, "w", encoding="utf-8") as f:
        f.write(f'#include "{stem}.h"\n' + main_of(header, stem))
    run(*cc, "-O1", "-w", main, obj, "-o", exe, "-lm")
    return run(*runner, exe).stdout.splitlines()


def missing(target):
    name, _, cc, runner, feature = target
    tools = [x for x in (cc[0], *runner) if not shutil.which(x)]
    if tools:
        return f"{name}: {' and '.join(tools)} not installed"
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        if feature and not re.search(rf"\b{feature}\b", f.read()):
            return f"{name}: this processor has no {feature}"
    return None


def same(source, target, wanted):
    got = digests(source, target)
    assert len(got) == len(wanted) > 10
    for a, b in zip(got, wanted):
        assert a == b, f"{target[0]}: {a}, {TARGETS[0][0]}: {b}"


reason = missing(TARGETS[0])
if reason:
    t.skip(reason)
    t.finish()
for source in (os.path.join(here, "targets.bp"), os.path.join(examples, "digits.bp")):
    wanted = digests(source, TARGETS[0])
    assert len(wanted) == len(set(wanted)), "a digest says nothing"
    for target in TARGETS[1:]:
        reason = missing(target)
        if reason:
            t.skip(reason)
        else:
            t.check(f"{os.path.basename(source)} {target[0]}", same, source, target, wanted)
t.finish()
