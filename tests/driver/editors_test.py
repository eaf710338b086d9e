#!/usr/bin/env python3
"""Words that editors colour are those of the lexer and of the tables of operations; Vim indents as bpc formats."""
import json
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from bpc import Tests, examples, root, run  # noqa: E402

bpc = sys.argv[1]
t = Tests()
editors = os.path.join(root, "docs", "editors")


def read(*path):
    with open(os.path.join(*path)) as f:
        return f.read()


def language():
    """The words of the language by kind."""
    words = re.findall(r'\{"(\w+)", (\w+), \w+\}', read(root, "frontend", "lex.c"))
    names = [w for w, _ in words]
    grammar = read(root, "frontend", "parser.y")
    contextual = set(re.findall(r"[A-Z]+", re.search(r"^name: ID(.*?)^%%", grammar, re.M | re.S)[1]))
    ops = re.findall(r"^  (\w+)\(", run(bpc, "--list-ops").stdout, re.M)
    builtin = re.findall(r'\{"(\w+)", near_', read(root, "frontend", "lower_builtin.c"))
    assert len(words) > 40 and len(contextual) > 10 and len(ops) > 50 and len(builtin) > 10
    constants = {"true", "false", "inf", "nan"}
    types = {w for w, kind in words if kind == "DTYPE"}
    other = {w for w, kind in words if kind in contextual}
    return {"type": types, "constant": constants, "word": other,
            "keyword": set(names) - types - constants - other,
            "builtin": set(ops) | set(builtin) - set(names)}


def vim():
    text = read(editors, "vim", "syntax", "bp.vim")
    for kind, want in language().items():
        lines = re.findall(rf"^syn keyword bp{kind.capitalize()} (.*)$", text, re.M)
        have = set(" ".join(lines).split())
        assert have == want - (language()["keyword"] if kind == "builtin" else set()), \
            (kind, have ^ want)


def vscode():
    grammar = json.loads(read(editors, "vscode", "syntaxes", "bp.tmLanguage.json"))
    package = json.loads(read(editors, "vscode", "package.json"))
    json.loads(read(editors, "vscode", "language-configuration.json"))
    for part in package["contributes"]["grammars"] + package["contributes"]["languages"]:
        assert os.path.exists(os.path.join(editors, "vscode", part.get("path") or part["configuration"]))
    for include in grammar["patterns"]:
        assert include["include"][1:] in grammar["repository"]
    for kind, want in language().items():
        match = grammar["repository"][kind]["match"]
        have = set(re.fullmatch(r"\\b\(\?:(.*)\)\\b", match)[1].split("|"))
        assert have == want - (language()["keyword"] if kind == "builtin" else set()), \
            (kind, have ^ want)


def indentation():
    if not shutil.which("vim"):
        t.skip("Vim is not installed")
        return
    for name in sorted(os.listdir(examples)):
        if not name.endswith(".bp"):
            continue
        path = t.path(name)
        run(bpc, "fmt", os.path.join(examples, name), "-o", path)
        want = read(path)
        with open(path, "w") as f:
            f.write(re.sub(r"^ +", "", want, flags=re.M))
        subprocess.run(["vim", "-u", "NONE", "-es", "-c", f"set rtp^={editors}/vim", "-c",
                        "filetype plugin indent on", "-c", "syntax on", "-c", f"edit {path}", "-c",
                        "normal! gg=G", "-c", "wq"], capture_output=True, timeout=60)
        assert read(path) == want, name


t.check("Vim", vim)
t.check("VS Code", vscode)
t.check("indentation", indentation)
t.finish()
