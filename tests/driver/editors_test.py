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


def words():
    script = os.path.join(root, "scripts", "editor-words")
    r = subprocess.run([sys.executable, script, bpc, "--check"], capture_output=True, text=True)
    assert r.returncode == 0, r.stdout + r.stderr
    text = read(editors, "vim", "syntax", "bp.vim")
    for word in ("module", "layer", "bf16", "inf", "matmul", "einsum"):
        assert re.search(rf"^syn keyword bp\w+ .*\b{word}\b", text, re.M), word


def vscode():
    grammar = json.loads(read(editors, "vscode", "syntaxes", "bp.tmLanguage.json"))
    package = json.loads(read(editors, "vscode", "package.json"))
    json.loads(read(editors, "vscode", "language-configuration.json"))
    for part in package["contributes"]["grammars"] + package["contributes"]["languages"]:
        assert os.path.exists(os.path.join(editors, "vscode", part.get("path") or part["configuration"]))
    for include in grammar["patterns"]:
        assert include["include"][1:] in grammar["repository"]
    for kind in ("keyword", "word", "type", "constant", "builtin"):
        assert re.fullmatch(r"\\b\(\?:\w+(\|\w+)*\)\\b", grammar["repository"][kind]["match"]), kind


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


t.check("words", words)
t.check("VS Code", vscode)
t.check("indentation", indentation)
t.finish()
