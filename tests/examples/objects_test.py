#!/usr/bin/env python3
"""bpc -c and -shared: an object that stands alone in a C program, a library for ctypes; both compute
the bits of bpc call. Assembly, LLVM IR, header and tables print."""
import ctypes
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from bpc import Tests, examples, npz_read, npz_write, run  # noqa: E402

bpc = sys.argv[1]
t = Tests()
digits = os.path.join(examples, "digits.bp")
image = [i % 17 / 16 for i in range(64)]

user = r"""
#include "digits.h"
#include <stdio.h>
#include <stdlib.h>
static float *array(size_t n) { return aligned_alloc(64, (n * 4 + 63) / 64 * 64); }
int main(void) {
    digits_state s = {array(64 * 128), array(128), array(128 * 10), array(10), array(64 * 128), array(64 * 128),
                      array(128), array(128), array(128 * 10), array(128 * 10), array(10), array(10)};
    unsigned char *arena = aligned_alloc(64, 1 << 20);
    float *x = array(64), *y = array(10);
    for (int i = 0; i < 64; i++) x[i] = (float)(i % 17) / 16;
    digits_init(&s, 42, arena);
    digits_predict(&s, x, y, arena);
    for (int i = 0; i < 10; i++) printf("%.9g\n", y[i]);
    return 0;
}
"""


def by_call():
    npz_write(t.path("in.npz"), {"x": ("f4", (1, 64), image)})
    run(bpc, "call", digits, "predict", "--in", t.path("in.npz"), "--out", t.path("out.npz"), "--seed", "42")
    return npz_read(t.path("out.npz"))["out0"][2]


def in_c_program():
    run(bpc, "-c", digits, "-o", t.path("digits.o"))
    open(t.path("user.c"), "w").write(user)
    run("cc", "-std=c11", "-Wall", "-Werror", "-static", t.path("user.c"), t.path("digits.o"), "-o", t.path("user"))
    got = [float(line) for line in run(t.path("user")).stdout.split()]
    assert [ctypes.c_float(v).value for v in got] == by_call(), got


def header_compiles_as_cpp():
    if not shutil.which("c++"):
        return
    open(t.path("user.cc"), "w").write('#include "digits.h"\nint main() { return 0; }\n')
    run("c++", "-Wall", "-Werror", "-Wno-unused-function", "-c", t.path("user.cc"), "-o", t.path("cc.o"))


def shared_library():
    run(bpc, "-shared", os.path.join(examples, "chain.bp"), "-o", t.path("libchain.so"))
    assert "bp_derivative" in open(t.path("chain.h")).read()
    lib = ctypes.CDLL(t.path("libchain.so"))
    x, j, d = (ctypes.c_double(v) for v in (0.7, 0.0, 0.0))
    args = (ctypes.c_void_p * 3)(*(ctypes.addressof(v) for v in (x, j, d)))
    lib.bp_derivative(args, None, None)
    assert abs(j.value - 0.37890127635787707) < 1e-15 and abs(d.value - 0.8047029207275974) < 1e-15, (j, d)


def draws():
    open(t.path("draws.bp"), "w").write("export fn f() -> f32[2] { let u: f32[2] = uniform(); return u; }\n")
    assert "draws_f(int64_t seed, float *out0" in run(bpc, "--emit=header", t.path("draws.bp")).stdout


def prints():
    assert "define void @bp_predict" in run(bpc, "--emit=llvm", digits).stdout
    assert "bp_predict" in run(bpc, "--emit=asm", digits).stdout
    assert "digits_predict" in run(bpc, "--emit=header", digits).stdout
    assert "peak" in run(bpc, "--emit=plan", digits).stdout
    assert "contract [64, 128]" in run(bpc, "--emit=kernels", digits).stdout
    assert "Module" in run(bpc, "--emit=ast", digits).stdout
    for option, word in (("--list-ops", "matmul"), ("--list-passes", "fuse"), ("--help", "--emit="), ("--version", "bpc")):
        assert word in run(bpc, option).stdout, option
    run(bpc, "-S", digits, "-o", t.path("digits.s"))
    run(bpc, "-emit-llvm", digits, "-o", t.path("digits.ll"))
    run(bpc, "--time-passes", "--emit=opt", digits)


def refusals():
    for args, text in ((["no_such.bp"], "cannot read"), (["--emit=lr", digits], "did you mean 'ir'"),
                       (["-march=x86-64-v2", digits, "-o", t.path("x")], "needs FMA"), ([], "no input file"),
                       (["-O9", digits], "-O9"), (["--emiit=ir", digits], "did you mean"),
                       (["-DQ=3", "--emit=ir", digits], "no const"), (["trace", digits], "the function is missing")):
        r = run(bpc, *args, status=1)
        assert text in r.stderr, (args, r.stderr)


t.check("a C program", in_c_program)
t.check("a C++ program", header_compiles_as_cpp)
t.check("a shared library", shared_library)
t.check("an export that draws", draws)
t.check("what is printed", prints)
t.check("what is refused", refusals)
t.finish()
