#!/usr/bin/env python3
"""What the documents promise of the tree and of bpc's tables: tree_test.py BPC"""
import glob
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from support.bpc import Tests, root, run  # noqa: E402

bpc = sys.argv[1]
tests = Tests()

# docs/architecture.md: what each folder may include beside itself.
may_include = {"base": "", "ir": "base", "frontend": "base ir", "passes": "base ir",
               "codegen": "base ir", "runtime": "base"}


def text(*path):
    with open(os.path.join(root, *path), encoding="utf-8") as f:
        return f.read()


def includes_point_one_way():
    for folder, others in may_include.items():
        allowed = {folder, *others.split()}
        files = [f for end in ("c", "h", "l", "y", "def")
                 for f in glob.glob(os.path.join(root, folder, "*." + end))]
        assert files, f"{folder} has no source files"
        for path in files:
            for to in re.findall(r'^#include "(\w+)/', open(path, encoding="utf-8").read(), re.M):
                assert to in allowed, f"{os.path.relpath(path, root)} includes {to}/"


def passes_are_documented():
    listed = [line.split()[0] for line in run(bpc, "--list-passes").stdout.splitlines()]
    rows = re.findall(r"^\| `(\w+)` \|", text("docs", "passes.md"), re.M)
    assert rows == listed, f"docs/passes.md has {rows}, bpc --list-passes {listed}"


def options_are_documented():
    doc = text("docs", "cli.md")
    listed = re.findall(r"^  (-[^\s]*)", run(bpc, "--help").stdout, re.M)
    assert len(listed) > 10, "bpc --help lists no options"
    for option in listed:
        name = re.match(r"-+[a-zA-Z-]+=?|-$", option)[0]
        short = re.match(r"-[ODIW]", option)
        assert (short[0] if short else name) in doc, f"docs/cli.md does not know {option}"
    for command in re.findall(r"^  bpc (\w+) ", run(bpc, "--help").stdout, re.M):
        assert f"`bpc {command} " in doc, f"docs/cli.md does not know bpc {command}"


def sources_have_headers():
    for folder in [*may_include, "driver"]:
        for path in glob.glob(os.path.join(root, folder, "*.[ch]")):
            assert text(path).startswith("/*"), f"{path} does not say what it is for"


for test in (includes_point_one_way, passes_are_documented, options_are_documented,
             sources_have_headers):
    tests.check(test.__name__, test)
tests.finish()
