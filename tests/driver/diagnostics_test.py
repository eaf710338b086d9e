#!/usr/bin/env python3
"""Messages: as JSON with any bytes, at most 20 errors, warnings by name, carets behind tabs."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from bpc import Tests  # noqa: E402

bpc = sys.argv[1]
t = Tests()


def compile_(text, *options):
    path = t.path("x.bp")
    with open(path, "wb") as f:
        f.write(text if isinstance(text, bytes) else text.encode())
    r = subprocess.run([bpc, "--emit=ir", *options, path], capture_output=True)
    return r.returncode, r.stderr.decode("utf-8").replace(path, "x.bp")


def objects(text, *options):
    status, err = compile_(text, "-fdiagnostics-format=json", *options)
    return status, [json.loads(line) for line in err.splitlines()]


def as_json():
    status, got = objects("export fn f(x: f32[3]) -> f32[4] {\n  return lgo(x);\n}\n")
    assert status == 1 and len(got) == 1
    place = {"file": "x.bp", "line": 2, "column": 10, "end_column": 13}
    assert got[0] == {**place, "message": "unknown function 'lgo'; did you mean 'log'?",
                      "fixits": [{**place, "text": "log"}], "severity": "error", "flag": None,
                      "notes": []}, got
    _, got = objects("export fn f(x: f32[3], y: f32[4]) -> f32[3] { return x + y; }")
    assert [n["message"] for n in got[0]["notes"]] == ["this is f32[3]", "this is f32[4]"], got
    _, got = objects("const H = 3\nexport fn f(x: f32[H]) -> f32[H] { return x; }")
    fix = got[0]["fixits"][0]
    assert fix["column"] == fix["end_column"] == 12 and fix["text"] == ";", got


def any_bytes():
    for text in [b"import \"\xff\xc3\x28\xed\xa0\x80\";", b"import \"a\\\"b\\\\c\\n\xc3\xa9\x01\";", b"\x80", b"a\x00b"]:
        status, got = objects(text)
        assert status == 1 and got and got[0]["line"] == 1, (text, got)
    _, got = objects(b"import \"\xff\xc3\xa9\";")
    assert "\ufffd\u00e9" in got[0]["message"], got


def command_line():
    r = subprocess.run([bpc, "-fdiagnostics-format=json", "--emit=irr", "x.bp"], capture_output=True, text=True)
    got = json.loads(r.stderr)
    assert r.returncode == 1 and got["file"] is None and got["line"] == 0 and "'ir'" in got["message"]


def at_most():
    text = "".join(f"export fn f{i}(x: f32) -> f32 {{ return y{i}; }}\n" for i in range(30))
    status, err = compile_(text)
    assert status == 1 and err.count("error: ") == 20 and "too many errors" in err, err
    status, got = objects(text)
    assert status == 1 and len(got) == 20


def warnings():
    text = "export fn f(x: f32[3]) -> f32[3] { let y = x; return log(softmax(x)); }"
    status, err = compile_(text)
    assert status == 0 and err.count("warning: ") == 2 and "[-Wunused-let]" in err, err
    status, err = compile_(text, "-Werror")
    assert status == 1 and err.count("error: ") == 2, err
    status, err = compile_(text, "-Wno-unused-let")
    assert status == 0 and err.count("warning: ") == 1 and "[-Wlog-softmax]" in err, err
    assert compile_(text, "-Werror", "-Wno-unused-let", "-Wno-log-softmax") == (0, "")
    _, got = objects(text)
    assert sorted(d["flag"] for d in got) == ["log-softmax", "unused-let"]


def carets():
    _, err = compile_("export fn f(x: f32) -> f32 {\n\treturn\tlgo(x);\n}\n")
    lines = err.splitlines()
    assert lines[1].endswith("| \treturn\tlgo(x);") and lines[2] == "       | \t      \t^~~", lines
    assert lines[3] == "       | \t      \tlog", lines
    _, err = compile_("export fn f(x: f32) -> f32 { return lgo(x); }", "-fdiagnostics-color=always")
    assert "\033[1;31merror" in err and "\033[0m" in err
    _, err = compile_("export fn f(x: f32) -> f32 { return lgo(x); }")
    assert "\033" not in err


t.check("JSON", as_json)
t.check("any bytes", any_bytes)
t.check("command line", command_line)
t.check("at most 20", at_most)
t.check("warnings", warnings)
t.check("carets", carets)
t.finish()
