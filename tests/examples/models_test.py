#!/usr/bin/env python3
"""The models of examples/ on their data: the last figure of seeds 1 to 3 (docs/models.md shows mean and
spread), or with --smoke a few steps of those that take longer.

    models_test.py BPC            those that take seconds, of seed 1
    models_test.py BPC --smoke    the others: the loss falls, and what is printed is text
    models_test.py BPC --long     all, of three seeds
    models_test.py BPC NAME ...   those, of three seeds
"""
import gzip
import json
import math
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from bpc import Tests, examples, run  # noqa: E402

bpc = sys.argv[1]
seeds = (1, 2, 3) if len(sys.argv) > 2 else (1,)
t = Tests()


def build(name, *options):
    run(bpc, *options, os.path.join(examples, f"{name}.bp"), "-o", t.path(name))
    return t.path(name)


def train(name, *args):
    """What is printed, and the rows of metrics.jsonl by stage and split."""
    out = t.path("out")
    shown = run(t.path(name), *args, "--out", out, "--progress=none").stdout
    rows = {}
    for line in open(os.path.join(out, "metrics.jsonl")):
        row = json.loads(line)
        rows.setdefault((row["stage"], row["split"]), []).append(row)
    return shown, rows


def figures(name, read):
    """read(printed, rows) of each seed: a dict; shown as mean and spread, returned as lists."""
    build(name)
    each = [read(*train(name, "--seed", seed)) for seed in seeds]
    all_of = {key: [x[key] for x in each] for key in each[0]}
    for key, v in all_of.items():
        print(f"{name} {key}: {sum(v) / len(v):.4g} ({min(v):.4g} to {max(v):.4g})")
    return all_of


def last(rows, key="loss", stage="fit"):
    return rows[stage, "valid"][-1][key]


def digits():
    f = figures("digits", lambda _, rows: {"accuracy": last(rows, "acc")})
    assert min(f["accuracy"]) >= 0.965 and sum(f["accuracy"]) / len(seeds) >= 0.975, f


def breast_cancer():
    f = figures("breast_cancer", lambda _, rows: {"accuracy": last(rows, "acc")})
    assert min(f["accuracy"]) >= 0.95, f


def necessity():
    f = figures("necessity", lambda shown, rows: {"guessing": last(rows, "guessing"), "descending": last(rows, "descending")})
    assert max(f["descending"]) < 0.03 and min(f["guessing"]) > 3 * max(f["descending"]), f
    shown, _ = train("necessity", "--seed", "1")
    lines = shown.splitlines()
    assert len(lines) == 10 and all("guessing" in x and "descending" in x for x in lines), shown


def newton():
    def read(_, rows):
        return {stage: rows[stage, "train"][-1]["loss"] for stage in ("by_lbfgs", "by_newton", "by_adam")}
    f = figures("newton", read)
    for lbfgs, exact, adam in zip(f["by_lbfgs"], f["by_newton"], f["by_adam"]):
        assert max(lbfgs, exact) < 0.083 and adam > 1.02 * max(lbfgs, exact), f


def pinn():
    f = figures("pinn", lambda _, rows: {"error": last(rows, "error")})
    assert max(f["error"]) < 2e-3, f


def vae():
    f = figures("vae", lambda _, rows: {"loss": last(rows), "kl": last(rows, "kl")})
    assert max(f["loss"]) < 25.5 and min(f["kl"]) > 1.5, f


def gan():
    f = figures("gan", lambda _, rows: {"good": last(rows, "good"), "clouds": last(rows, "clouds")})
    assert min(f["good"]) > 0.75 and min(f["clouds"]) == 8, f


def maml():
    f = figures("maml", lambda _, rows: {"before": last(rows, "before"), "after": last(rows)})
    assert max(f["after"]) < 0.6 and min(f["before"]) > 2, f


def lstm():
    f = figures("lstm", lambda _, rows: {"mse": last(rows)})
    assert max(f["mse"]) < 1e-3, f


def surprise(names, of):
    """Nats per character of names under the pairs of characters in `of`."""
    pairs, firsts = {}, {}
    for name in of:
        for a, b in zip("\n" + name, name + "\n"):
            pairs[a + b] = pairs.get(a + b, 0) + 1
            firsts[a] = firsts.get(a, 0) + 1
    each = [-math.log((pairs.get(a + b, 0) + 0.1) / (firsts[a] + 2.7))
            for name in names for a, b in zip("\n" + name, name + "\n")]
    return sum(each) / len(each)


def gru_names():
    """The names made are as likely as real ones: 2.45 nats per character by their pairs; any mixture of
    their characters has 3.3."""
    known = gzip.open(os.path.join(examples, "data", "names.txt.gz"), "rt").read().split()
    f = figures("gru_names", lambda shown, rows: {"loss": last(rows), "pairs": surprise(shown.split()[-60:], known)})
    assert max(f["loss"]) < 2.0 and max(f["pairs"]) < 2.75, f


def chargpt():
    f = figures("chargpt", lambda _, rows: {"loss": last(rows)})
    assert max(f["loss"]) <= 1.85, f


def falls(name, *args, below=0.9):
    build(name)
    shown, rows = train(name, *args)
    first, end = rows["fit", "train"][0], rows["fit", "valid"][-1]
    assert end["loss"] < below * first["loss"], (name, first, end)
    return shown, rows


def smoke_recurrent():
    falls("lstm", "--steps", "60")
    shown, _ = falls("gru_names", "--steps", "30")
    names = shown.split()
    assert names and all(x.isalpha() and x.islower() for x in names), shown


def smoke_gpt():
    """Of two small blocks, on the first 30,000 characters."""
    with open(t.path("plays.txt"), "wb") as f:
        f.write(gzip.open(os.path.join(examples, "data", "tinyshakespeare.txt.gz")).read()[:30000])
    build("chargpt", "-DL=2", "-DD=32")
    shown, rows = train("chargpt", "--steps", "40", "--data", "plays=" + t.path("plays.txt"))
    assert last(rows) < 3.5 < rows["fit", "train"][0]["loss"] * 1.2, rows
    assert len(shown) > 400, shown


def smoke_games():
    falls("maml", "--steps", "400")
    build("gan")
    _, rows = train("gan", "--steps", "2000")
    assert last(rows, "clouds") >= 1, rows


quick = {"digits": digits, "breast_cancer": breast_cancer, "necessity": necessity, "newton": newton, "pinn": pinn,
         "vae": vae}
slow = {"gan": gan, "maml": maml, "lstm": lstm, "gru_names": gru_names, "chargpt": chargpt}
smoke = {"recurrent": smoke_recurrent, "chargpt": smoke_gpt, "games": smoke_games}
todo = {"--smoke": smoke, "--long": {**quick, **slow}}.get(sys.argv[2], None) if len(sys.argv) > 2 else quick
if todo is None:
    todo = {name: {**quick, **slow}[name] for name in sys.argv[2:]}
for name, fn in todo.items():
    t.check(name, fn)
t.finish()
