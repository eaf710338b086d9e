#!/usr/bin/env python3
"""Metrics with `total` against metrics.npz (made by make_metrics.py), whose rows are the data: each data set is
a stage, evaluated in full batches and a remainder."""

import json
import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "support"))
from bpc import Tests, npz_read, run  # noqa: E402

bpc = sys.argv[1]
t = Tests()
arrays = npz_read(os.path.join(here, "metrics.npz"))
sets = {name[:-2]: a[1] for name, a in arrays.items() if name.endswith("_s")}

program = "module Weight(x: f64) -> f64 { param w: f64 = ones(); return w * x; }\nmodel net = Weight;\n"
stage = """
dataset {name}_data = npz("{file}") {{
  z: f64[4] = key("{name}_z"); y: i32<4> = key("{name}_y"); s: f64[{width}] = key("{name}_s");
  t: f64[{width}] = key("{name}_t"); p: f64[{width}] = key("{name}_p"); v: f64[{width}] = key("{name}_v");
}}
train {name} on {name}_data.train as (z, y, s, t, p, v) {{
  loss net(1.0);
  {metrics}
  optimizer = sgd(lr=0); batch = {batch}; steps = 1; valid = {name}_data.train;
}}
"""
expressions = {
    "precision": "precision(s, t)",
    "recall": "recall(s, t)",
    "f1": "f1(s, t)",
    "auc": "auc(s, t)",
    "r2": "r2(p, v)",
} | {f"c{i}{k}": f"confusion(z, y)[{i}, {k}]" for i in range(4) for k in range(4)}


def case(name, got):
    wanted = {m: arrays[f"{name}_{m}"][2][0] for m in ("precision", "recall", "f1", "auc", "r2")}
    flat = arrays[f"{name}_confusion"][2]
    wanted |= {f"c{i // 4}{i % 4}": count for i, count in enumerate(flat)}
    for metric, want in wanted.items():
        assert abs(got[metric] - want) <= 1e-10, (metric, got[metric], want)


for name, (n, width) in sets.items():
    program += stage.format(
        name=name, file=os.path.join(here, "metrics.npz"), width=width, batch=min(n, 8),
        metrics="\n  ".join(f"metric {m} = {e};" for m, e in expressions.items()),
    )
out = t.path("run")
run(bpc, "run", "-O0", t.write("metrics.bp", program), "--", "--out", out, "--progress=none")
rows = [json.loads(line) for line in open(os.path.join(out, "metrics.jsonl"))]
for name in sets:
    t.check(name, case, name, [r for r in rows if r["stage"] == name and r["split"] == "train"][-1])
t.finish()
