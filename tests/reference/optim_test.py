#!/usr/bin/env python3
"""Optimizers over ten steps and schedules over their course against optim.npz (made by make_optim.py)."""
import json
import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "support"))
from bpc import Tests, npz_read, run  # noqa: E402

bpc = sys.argv[1]
t = Tests()
arrays = npz_read(os.path.join(here, "optim.npz"))

program = """
dataset none = rows(n=1, seed=0) {{ x: f32 = 0.0; }}
module Weights[B](x: f32[B]) -> f32[4] {{ param w: f32[4] = [{start}]; return w; }}
model net = Weights;
train fit on none.train as (x) {{
  let w = net(x);
  let a: f32[4] = [1, 0.5, 2, 3];
  loss {loss};
  metric w0 = w[0]; metric w1 = w[1]; metric w2 = w[2]; metric w3 = w[3];
  optimizer = {optimizer};
  batch = 1; steps = {steps}; eval_every = 1;
}}
"""
optimizers = {
    "sgd": "sgd(lr=1e-2)",
    "momentum": "sgd(lr=1e-2, momentum=0.9)",
    "nesterov": "sgd(lr=1e-2, momentum=0.9, nesterov=true, weight_decay=0.1)",
    "adam": "adam(lr=1e-2)",
    "adamw": "adamw(lr=1e-2, beta1=0.8, beta2=0.99, weight_decay=0.1)",
    "rmsprop": "rmsprop()",
    "adagrad": "adagrad(lr=1e-1)",
    "lamb": "lamb(lr=1e-2)",
    "lion": "lion(lr=1e-2, weight_decay=0.1)",
    "lbfgs": "lbfgs()",
    "lbfgs_short": "lbfgs(lr=0.8, history=2)",
    "lbfgs_searched": "lbfgs()",
    "lbfgs_searched_short": "lbfgs(lr=0.9, history=3)",
    "newton_cg": "newton_cg()",
    "newton_cg_few": "newton_cg(lr=0.9, iterations=2, tol=1e-1, damping=1e-2)",
}
schedules = {
    "cosine": "cosine(0.1, final=0.01)",
    "exponential": "exponential(0.1, 0.9)",
    "step_decay": "step_decay(0.1, 12, factor=0.5)",
    "one_cycle": "one_cycle(0.1)",
    "linear": "linear(0.1, final=0.01)",
    "cosine_warm": "cosine(0.1, warmup=8)",
    "exponential_warm": "exponential(0.1, 0.9, warmup=8)",
    "step_decay_warm": "step_decay(0.1, 12, factor=0.5, warmup=8)",
    "linear_warm": "linear(0.1, warmup=8)",
}


bowl = "sum(a * w * w) + sum(sin(w))"
valley = "10 * sum((w[1:] - w[:3] ** 2) ** 2) + sum((1 - w[:3]) ** 2)"
in_valley = {name for name in optimizers if "searched" in name or name.startswith("newton")}


def trajectory(**settings):
    """The weights before each update."""
    source, out = t.path("optim.bp"), t.path("run")
    open(source, "w").write(program.format(**settings))
    run(bpc, "run", "--float=f64", source, "--", "--out", out, "--progress=none", "--threads", "1")
    rows = [json.loads(line) for line in open(os.path.join(out, "metrics.jsonl"))]
    return [[r[f"w{i}"] for i in range(4)] for r in rows]


def agree(got, want, what):
    assert abs(got - want) <= 1e-10 * max(1.0, abs(want)), f"{what}: {got}, the reference is {want}"


def optimizer(name):
    _, (n, width), flat = arrays[name]
    got = trajectory(start="0.5, -1.2, 2.0, 0.1", loss=valley if name in in_valley else bowl,
                     optimizer=optimizers[name], steps=n)
    assert len(got) == n
    for i in range(n):
        for k in range(width):
            agree(got[i][k], flat[i * width + k], f"step {i}, weight {k}")


def schedule(name):
    """The gradient is 1, so that every update moves by its rate."""
    _, (n,), rates = arrays[name]
    got = trajectory(start="0, 0, 0, 0", loss="sum(w)", optimizer=f"sgd(lr={schedules[name]})", steps=n)
    at = 0.0
    for i in range(n):
        agree(got[i][0], at, f"before update {i}")
        at -= rates[i]


for name in optimizers:
    t.check(name, optimizer, name)
for name in schedules:
    t.check(name, schedule, name)
assert set(arrays) == set(optimizers) | set(schedules)
t.finish()
