#!/usr/bin/env python3
"""--emit=dot and --emit=svg: well formed, with every function, value and kernel."""
import os
import re
import shutil
import stat
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from bpc import Tests, examples, run  # noqa: E402

bpc = sys.argv[1]
t = Tests()
source = os.path.join(examples, "digits.bp")


def dot():
    text = run(bpc, "--emit=dot", source).stdout
    kernels = run(bpc, "--emit=kernels", source).stdout
    names = re.findall(r"^fn (\S+): (\d+) kernels", kernels, re.M)
    assert names and text.startswith('digraph "digits" {') and text.endswith("}\n")
    for name, count in names:
        body = text[re.search(rf'label="(export )?fn {re.escape(name)}"', text).start():]
        body = body[:body.find("\n  }\n")]
        assert body.count("subgraph cluster_f") == int(count), (name, count)
    nodes = set(re.findall(r"^    (f\d+_[vr]\d+) \[", text, re.M))
    edges = re.findall(r"^    (\S+) -> (\S+);", text, re.M)
    assert len(edges) > 50 and all(a in nodes and b in nodes for a, b in edges)
    assert text.count("{") == text.count("}")
    assert text.count('"') % 2 == 0 and "tooltip=\"" in text


def stages():
    text = run(bpc, "--emit=dot", "--pass-limit=0", source).stdout
    assert "kernel" not in text and "\\nvalue_and_grad" in text
    text = run(bpc, "--emit=dot", "--stop-after=differentiate", source).stdout
    assert "kernel" not in text and "\\nvalue_and_grad" not in text


def svg():
    empty = os.path.join(t.dir.name, "empty")
    os.mkdir(empty)
    r = run(bpc, "--emit=svg", source, status=1, env={"PATH": empty})
    assert "cannot run 'dot'" in r.stderr and "Graphviz" in r.stderr, r.stderr
    fake = os.path.join(empty, "dot")
    with open(fake, "w") as f:
        f.write("#!/bin/sh\n[ $1 = -Tsvg ] && echo '<svg>' && exec /bin/cat\n")
    os.chmod(fake, os.stat(fake).st_mode | stat.S_IXUSR)
    r = run(bpc, "--emit=svg", source, env={"PATH": empty})
    assert r.stdout == "<svg>\n" + run(bpc, "--emit=dot", source).stdout
    with open(fake, "w") as f:
        f.write("#!/bin/sh\nexit 3\n")
    r = run(bpc, "--emit=svg", source, status=1, env={"PATH": empty})
    assert "'dot' failed" in r.stderr, r.stderr


def picture():
    if not shutil.which("dot"):
        t.skip("Graphviz is not installed")
        return
    r = run(bpc, "--emit=svg", source, "-o", t.path("out.svg"))
    assert "<svg" in open(t.path("out.svg")).read() and not r.stderr


t.check("dot", dot)
t.check("stages", stages)
t.check("svg", svg)
t.check("picture", picture)
t.finish()
