#!/usr/bin/env python3
"""Memory: what --emit=plan says is what the trainer maps and uses; a budget is kept or is an error with source
lines; recomputation changes no bit, with random numbers, calls and loops inside."""
import hashlib
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from bpc import Tests, run  # noqa: E402

bpc = sys.argv[1]
t = Tests()

loop = """
dataset noise = rows(n=16, seed=1) { x: f32[120, 4] = uniform(); }
module Net[B](x: f32[B, 120, 4]) -> f32[B, 8] {
  param w: f32[4, 8] = he_normal();
  param u: f32[8, 8] = he_normal();
  let start: f32[B, 8] = 0.1;
  scan (a = x, axis=1) carry (h: f32[B, 8] = start) {
    let late = reshape(x[:, 119], [B, 4]);
    h = dropout(tanh((a + 0.1 * late) @ w + h @ u), rate=0.1) + 0.01 * h;
  }
  return h;
}
model net = Net;
train fit on noise.train as (x,) {
  loss mean((net(x) - 1) ** 2);
  optimizer = adam(lr=1e-2);
  batch = 4; epochs = 2; seed = 5;
}
"""
stack = """
dataset noise = rows(n=32, seed=1) { x: f32[16, 8] = uniform(); }
module Net[B](x: f32[B, 16, 8]) -> f32[B, 16, 8] {
  layer block[6] = TransformerBlock[NH=2, causal=true];
  var h = x;
  for i in 0..6 { h = block[i](h, rate=0.1); }
  return h;
}
model net = Net;
train fit on noise.train as (x,) {
  loss mean((net(x) - 1) ** 2);
  optimizer = adam(lr=1e-2);
  batch = 8; epochs = 2; seed = 5;
}
"""
wide = """
dataset noise = rows(n=1024, seed=1) { x: f32[64] = uniform(); }
module Net[B](x: f32[B, 64]) -> f32[B, 1] {
  layer a = Linear[O=1024];
  layer b = Linear[O=1024];
  layer c = Linear[O=1];
  return c(tanh(b(tanh(a(x)))));
}
model net = Net;
train fit on noise.train as (x,) {
  loss mean((net(x) - 1) ** 2);
  optimizer = adam(lr=1e-3);
  batch = 1024; epochs = 2; seed = 5;
}
"""


def plan(path, *options):
    """Bytes of fit_step by name."""
    out = run(bpc, "--emit=plan", *options, path).stdout
    head = re.search(r"^fn fit_step:\n((?:  [a-z]+ +\d+ bytes\n)*)", out, re.M)[1]
    return {m[1]: int(m[2]) for m in re.finditer(r"  (\w+) +(\d+) bytes", head)}


def trained(path, *options):
    out = path + ".run"
    run(bpc, "run", *options, path, "--", "--out", out, "--progress=none")
    with open(os.path.join(out, "last.safetensors"), "rb") as f:
        data = f.read()
    return hashlib.sha256(data[8 + int.from_bytes(data[:8], "little"):]).hexdigest()


def same_bits(name, text, part):
    path = t.write(name, text)
    full = plan(path)
    fixed = full["parameters"] + full["optimizer"]
    assert full["peak"] == fixed + full["saved"] + full["scratch"], full
    budget = fixed + int((full["peak"] - fixed) * part)
    less = plan(path, f"--memory={budget}")
    assert less["peak"] <= budget < full["peak"], (less, budget)
    assert trained(path) == trained(path, f"--memory={budget}")


def error_names_lines():
    path = t.write("loop.bp", loop)
    r = run(bpc, "--memory=1K", "--emit=plan", path, status=1)
    assert re.search(r"loop\.bp:\d+:\d+: error: 'fit_step' needs \d+ bytes", r.stderr), r.stderr
    assert len(re.findall(r"note: .*\d+ bytes are kept here", r.stderr)) >= 2, r.stderr
    assert re.search(r"loop\.bp:\d+:\d+: note:", r.stderr), r.stderr
    for wrong in ["0", "12X", "-1", "", "99999999999G"]:
        assert "not a number of bytes" in run(bpc, f"--memory={wrong}", path, status=1).stderr, wrong


def resident():
    path = t.write("wide.bp", wide)
    sizes = plan(path)
    exe = t.path("wide")
    run(bpc, path, "-o", exe)
    with open(exe, "rb") as f:
        mapped = re.search(rb'"arena": *(\d+)[^{}]*"name": *"fit_step"|"name": *"fit_step"[^{}]*"arena": *(\d+)', f.read())
    assert int(mapped[1] or mapped[2]) == sizes["saved"] + sizes["scratch"], (mapped, sizes)
    if b"__asan_init" in open(exe, "rb").read():
        t.skip("resident size: the address sanitizer keeps memory of its own")
        return
    pid = os.fork()
    if not pid:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.execv(exe, [exe, "--threads", "1", "--progress=none", "--out", path + ".run"])
    _, status, usage = os.wait4(pid, 0)
    assert status == 0, status
    data = 1024 * 64 * 4
    over = usage.ru_maxrss * 1024 - sizes["peak"] - data
    assert -(1 << 20) < over <= 8 << 20, (over, usage.ru_maxrss, sizes)


t.check("a loop, half", same_bits, "loop.bp", loop, 0.5)
t.check("a loop, a third", same_bits, "loop.bp", loop, 0.33)
t.check("calls, 75 %", same_bits, "stack.bp", stack, 0.75)
t.check("an error names lines", error_names_lines)
t.check("resident size", resident)
t.finish()
