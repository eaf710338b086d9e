#!/usr/bin/env python3
"""Words of the language in the editors' files, from the lexer and the tables of operations.

editor_words.py BPC [--check]    rewrites docs/editors, or exits with 1 if that would change them
"""
import os
import re
import subprocess
import sys
import textwrap

root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
vim = os.path.join(root, "docs", "editors", "vim", "syntax", "bp.vim")
vscode = os.path.join(root, "docs", "editors", "vscode", "syntaxes", "bp.tmLanguage.json")


def read(path):
    with open(path) as f:
        return f.read()


def language(bpc):
    """The words by kind."""
    words = re.findall(r'\{"(\w+)", (\w+), \w+\}', read(os.path.join(root, "frontend", "lex.c")))
    grammar = read(os.path.join(root, "frontend", "parser.y"))
    contextual = re.findall(r"[A-Z]+", re.search(r"^name: ID(.*?)^%%", grammar, re.M | re.S)[1])
    listed = subprocess.run([bpc, "--list-ops"], capture_output=True, text=True, check=True).stdout
    ops = re.findall(r"^  (\w+)\(", listed, re.M)
    near = re.findall(r'\{"(\w+)", near_', read(os.path.join(root, "frontend", "lower_builtin.c")))
    assert len(words) > 40 and len(contextual) > 10 and len(ops) > 50 and len(near) > 10
    kinds = {"keyword": [], "word": [], "type": [], "constant": []}
    for word, token in words:
        kind = "constant" if word in ("true", "false", "inf", "nan") else \
            "type" if token == "DTYPE" else "word" if token in contextual else "keyword"
        kinds[kind].append(word)
    kinds["builtin"] = sorted({*ops, *near} - {word for word, _ in words})
    return kinds


def with_words(kinds):
    """path -> its text with these words"""
    syntax, grammar = read(vim), read(vscode)
    for kind, words in kinds.items():
        group = "bp" + kind.capitalize()
        lines = "".join(f"syn keyword {group} {line}\n" for line in textwrap.wrap(" ".join(words), 80))
        syntax = re.sub(rf"(^syn keyword {group} .*\n)+", lines, syntax, flags=re.M)
        grammar = re.sub(rf'("{kind}": \{{[^}}]*"match": )"[^"]*"',
                         lambda m: m[1] + '"\\\\b(?:' + "|".join(words) + ')\\\\b"', grammar)
    return {vim: syntax, vscode: grammar}


def main():
    stale = 0
    for path, text in with_words(language(sys.argv[1])).items():
        if read(path) == text:
            continue
        stale += 1
        if "--check" in sys.argv:
            print(f"{os.path.relpath(path, root)} is stale: scripts/editor_words.py build/bpc renews it")
        else:
            with open(path, "w") as f:
                f.write(text)
    return stale != 0 and "--check" in sys.argv


if __name__ == "__main__":
    sys.exit(main())
