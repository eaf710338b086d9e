#!/usr/bin/env python3
"""bpc check --rules proves every rule, and its table is the one in docs/rules.md."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from bpc import Tests, root, run  # noqa: E402

bpc = sys.argv[1]
t = Tests()
table = run(bpc, "check", "--rules").stdout


def documented():
    text = open(os.path.join(root, "docs", "rules.md")).read()
    block = re.search(r"```\n(.*?)```", text, re.S)[1]
    assert block == table, "docs/rules.md is not current: scripts/rules-docs"


def complete():
    """Every operation of floats has a row, with sizes 0, 1 and a prime where it has dimensions."""
    rows = {line.split()[1]: line for line in table.splitlines() if line.startswith("ok ")}
    for name in "add mul tanh matmul reduce_max gather concat where softmax layer_norm attention_lse scan while if".split():
        assert name in rows, name
    for name in "add matmul reduce_sum gather transpose softmax".split():
        assert "0 1 prime" in rows[name], rows[name]
    assert "FALSE" not in table


t.check("docs/rules.md", documented)
t.check("complete", complete)
t.finish()
