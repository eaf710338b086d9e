#!/usr/bin/env python3
"""Wrong programs. A file's first lines say which errors bpc must report and where, its last ones what
they mean and what to write instead:

    // error@LINE:COL: part of the text        (or warning@, or note@: that and other notes may come)
    ...
    // why: what is wrong
    // right: TEXT => OTHER TEXT               (the first such text; none: the fix-its are applied)

run.py BPC [FILE...]   checks that exactly these errors come, as JSON, with exit status 1 (0 where only
                       warnings are expected); that each fix-it removes its message; that the right
                       program has no error; that docs/errors.md is what --write makes.
run.py BPC --write     writes docs/errors.md
"""
import collections
import concurrent.futures
import json
import os
import re
import subprocess
import sys

here = os.path.dirname(os.path.abspath(__file__))
index = os.path.join(here, "..", "..", "docs", "errors.md")
Case = collections.namedtuple("Case", "path text expected why right")


def read(path):
    with open(path, encoding="latin-1", newline="") as f:
        return f.read()


def case(path):
    text = read(path)
    expected = re.findall(r"^// (error|warning|note)@(\d+):(\d+): (.*)$", text, re.M)
    why = re.search(r"^// why: (.*)$", text, re.M)
    right = [tuple(s.replace("\\n", "\n") for s in r.split(" => ", 1))
             for r in re.findall(r"^// right: (.*)$", text, re.M)]
    return Case(path, text, [(s, int(line), int(col), t.strip()) for s, line, col, t in expected],
                why and why[1], right)


def compile_text(bpc, text, path):
    """Exit status and diagnostics of a text that stands in for a file."""
    near = path[:-3] + f".{os.getpid()}.tmp"
    with open(near, "w", encoding="latin-1", newline="") as f:
        f.write(text)
    try:
        run = subprocess.run([bpc, "--emit=grad", "-fdiagnostics-format=json", near], capture_output=True,
                             text=True, errors="replace", timeout=60)
    finally:
        os.remove(near)
    diags = []
    for line in run.stderr.splitlines():
        d = json.loads(line)
        for each in [d] + d["notes"]:
            each["own"] = each["file"] == near
            assert each["file"] and each["line"] and each["column"] < each["end_column"], line
            for fix in each["fixits"]:
                assert fix["column"] <= fix["end_column"] and fix["file"] == near, line
        diags.append(d)
    return run.returncode, diags


def apply(text, fixits):
    lines = text.split("\n")
    for f in sorted(fixits, key=lambda f: (f["line"], f["column"]), reverse=True):
        line = lines[f["line"] - 1]
        lines[f["line"] - 1] = line[:f["column"] - 1] + f["text"] + line[f["end_column"] - 1:]
    return "\n".join(lines)


def right_text(c, diags):
    text, at = c.text, re.match(r"(// (error|warning|note)@.*\n)*", c.text).end()
    for old, new in c.right:
        end = text.find("\n// why:")
        found = text.find(old, at, end)
        if found < 0:
            return None
        text = text[:found] + new + text[found + len(old):]
    if not c.right:
        text = apply(text, [f for d in diags for group in fixes(d) for f in group])
    return text


def fixes(d):
    """Each group of fix-its that is applied together."""
    return [e["fixits"] for e in [d] + d["notes"] if e["fixits"]]


def check(bpc, path):
    c = case(path)
    problems = []
    status, diags = compile_text(bpc, c.text, path)
    got = [(e.get("severity", "note"), e["line"] if e["own"] else 0, e["column"], e["message"])
           for d in diags for e in [d] + d["notes"]]
    errors = any(s == "error" for s, *_ in c.expected)
    if not c.expected:
        problems.append("the file names no error")
    if status != errors:
        problems.append(f"exit status {status}, {int(errors)} is expected")

    def same(want, have):
        return want[:3] == have[:3] and want[3] in have[3]
    for want in c.expected:
        if not any(same(want, g) for g in got):
            problems.append(f"missing: {want[0]}@{want[1]}:{want[2]}: {want[3]}")
    for g in got:
        if g[0] != "note" and not any(same(want, g) for want in c.expected):
            problems.append(f"unexpected: {g[0]}@{g[1]}:{g[2]}: {g[3]}")
    for d in diags:
        for group in fixes(d):
            _, after = compile_text(bpc, apply(c.text, group), path)
            if any((a["message"], a["line"]) == (d["message"], d["line"]) for a in after):
                problems.append(f"the fix-it {group[0]['text']!r} leaves: {d['message']}")
    if not c.why:
        problems.append("no line '// why: ...'")
    text = right_text(c, diags)
    if text is None:
        problems.append(f"a text of '// right:' is not in the file: {c.right}")
    elif text == c.text:
        problems.append("no line '// right: ...' and no fix-it")
    else:
        _, after = compile_text(bpc, text, path)
        problems += [f"the right program: {a['line']}:{a['column']}: {a['message']}" for a in after]
    return problems, c, text


def program(text):
    """The lines of the program itself."""
    return re.sub(r"^// (error|warning|note|why|right)[@:].*\n?", "", text, flags=re.M).strip("\n")


def entry(c, right):
    wrong, good = program(c.text).split("\n"), program(right).split("\n")
    out = []
    for severity, _, _, text in c.expected:
        if severity != "note":
            out.append(("**warning** " if severity == "warning" else "") + f"`{text}`  ")
    changed = [w for w in wrong if w not in good], [g for g in good if g not in wrong]
    return "\n".join(out) + f"\n{c.why}\n\n```\n" + "\n".join(f"- {x}" for x in changed[0]) + "\n" + \
        "\n".join(f"+ {x}" for x in changed[1]) + "\n```\n"


GROUPS = [("Syntax", "syntax_"), ("Data", "dataset_ rows_ data_ decode_ field_"),
          ("Shapes and types", "shape_ rank_ matmul_ dtype_ int_float label_ reshape_ return_type argument_shape argument_names "
           "two_names undeclared_ uninferable inexact_ negative_ hyper_in einsum_ list_ literal_ too_large float_too index_ run_time_ "
           "too_many split_ axis_ bool_ not_of"),
          ("Derivatives and rules", "grad_ jvp_ jacobian_ no_derivative rule_"),
          ("Loops and branches", "scan_ while_ if_ for_ condition"),
          ("Training", "accumulate_ all_frozen best_ no_group no_loss no_optimizer nothing_ optimizer_ pattern_ precision_ print_ "
           "total_ update_ metric_ stage_ loss_ unknown_optimizer unknown_train unknown_split unknown_dataset unreached_"),
          ("Names, functions and modules", "")]


def document(results):
    groups = {title: [] for title, _ in GROUPS}
    for path, (_, c, right) in sorted(results.items()):
        name = os.path.basename(path)
        for title, prefixes in GROUPS:
            if not prefixes or any(name.startswith(p) for p in prefixes.split()):
                groups[title].append(entry(c, right))
                break
    parts = ["# Errors and warnings\n\nEach entry has the text of the message (`name`, `3` and the like differ), what it means, the wrong lines (-)"
             " and right ones (+).\nMade from the programs in `tests/errors` by `tests/errors/run.py build/bpc --write`.\n"]
    for title, entries in groups.items():
        parts.append(f"## {title}\n\n" + "\n".join(entries))
    return "\n".join(parts)


def main():
    bpc, args = sys.argv[1], sys.argv[2:]
    write = args == ["--write"]
    files = [] if write else args
    whole = not files
    files = files or sorted(os.path.join(here, f) for f in os.listdir(here) if f.endswith(".bp"))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = dict(zip(files, pool.map(lambda f: check(bpc, f), files)))
    failed = 0
    for path, (problems, _, _) in results.items():
        failed += bool(problems)
        for p in problems:
            print(f"{os.path.basename(path)}: {p}")
    if whole and not failed:
        text = document(results).encode("latin-1").decode("utf-8")
        if write:
            with open(index, "w", encoding="utf-8") as f:
                f.write(text)
        elif not os.path.exists(index) or open(index, encoding="utf-8").read() != text:
            print("docs/errors.md is stale: tests/errors/run.py BPC --write")
            failed += 1
    print(f"{len(files) - failed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
