#!/usr/bin/env python3
"""Help, manual page and completions name the same verbs and options."""
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from bpc import Tests, run  # noqa: E402

bpc = sys.argv[1]
t = Tests()
text = run(bpc, "--help").stdout
verbs = re.findall(r"^  bpc ([a-z]+)\b", text, re.M)
options = re.findall(r"^  (-[-A-Za-z]*=?)", text, re.M)
options.remove("-")


def verb_help():
    assert {"run", "call", "check", "fmt"} <= set(verbs), verbs
    for verb in verbs:
        r = run(bpc, verb, "--help").stdout
        assert r.startswith(f"usage: bpc {verb} "), r
        assert run(bpc, "--help", verb).stdout == r
        own = set(re.findall(r"^  (-[-A-Za-z]*=?)", r, re.M)) - {"-"}
        assert own <= set(options) and "--help" in own, own - set(options)
    assert "--check" in run(bpc, "fmt", "--help").stdout
    assert "-march=" not in run(bpc, "fmt", "--help").stdout
    assert len(options) > 20 and all(len(line) < 120 for line in text.split("\n")), text


def manual():
    page = run(bpc, "--print-man").stdout
    assert page.startswith(".TH BPC 1")
    plain = page.replace("\\-", "-")
    for name in options + [f"bpc {v}" for v in verbs]:
        assert f".B {name}" in plain, name
    if not shutil.which("man"):
        t.skip("no man to read the page with")
        return
    r = subprocess.run(["man", "--warnings", "-l", "-"], input=page, capture_output=True, text=True,
                       env={**os.environ, "LC_ALL": "C.UTF-8", "MANROFFSEQ": ""})
    assert r.returncode == 0 and r.stderr == "", r.stderr


def complete(*words):
    """What bash offers for the last word."""
    script = run(bpc, "--print-completions").stdout
    array = " ".join(f"'{w}'" for w in words)
    script += f"\nCOMP_WORDS=({array}); COMP_CWORD={len(words) - 1}; _bpc; printf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
    r = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=t.dir.name)
    assert r.returncode == 0 and r.stderr == "", r.stderr
    return set(r.stdout.split())


def completions():
    if not shutil.which("bash"):
        t.skip("no bash to complete with")
        return
    open(t.path("model.bp"), "w").close()
    open(t.path("other.txt"), "w").close()
    assert complete("bpc", "") == set(verbs) | {"model.bp"}, complete("bpc", "")
    assert complete("bpc", "fmt", "m") == {"model.bp"}
    assert complete("bpc", "fmt", "--c") == {"--check"}
    assert complete("bpc", "run", "--c") == set()
    assert complete("bpc", "--emit=k") == {"kernels"}, complete("bpc", "--emit=k")
    assert complete("bpc", "-Wno-log") == {"-Wno-log-softmax"}
    offered = {o for o in complete("bpc", "-") if not o.startswith("-W")}
    assert len(offered) > 20 and all(f"\n  {o}" in text for o in offered), offered
    assert {"-O", "-D", "--emit=", "--help"} <= offered and "--rules" not in offered, offered


def mistakes():
    for args, text in [(["--emit=grd", "x.bp"], "--emit=grd: no such stage; did you mean 'grad'?"),
                       (["--time-pases", "x.bp"], "unknown option '--time-pases'; did you mean '--time-passes'?"),
                       (["-fdiagnostics-format=jsn", "x.bp"], "did you mean 'json'?"),
                       (["-O7", "x.bp"], "-O7"), (["-o"], "-o needs FILE"),
                       (["-Wno-log-sofmax", "x.bp"], "did you mean 'log-softmax'?"),
                       (["run", "-c", "x.bp"], "'-c' is no option of 'bpc run'")]:
        r = run(bpc, *args, status=1)
        assert text in r.stderr, (args, r.stderr)


t.check("help of verbs", verb_help)
t.check("manual page", manual)
t.check("completions", completions)
t.check("mistakes", mistakes)
t.finish()
