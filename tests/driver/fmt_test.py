#!/usr/bin/env python3
"""bpc fmt on files: in place with permissions and links kept, --check, -o, standard input, errors."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from bpc import Tests, run  # noqa: E402

bpc = sys.argv[1]
t = Tests()
messy = "// c\nfn f( x:f32 )->f32{return x+1;}\n"
tidy = "// c\nfn f(x: f32) -> f32 { return x + 1; }\n"


def read(path):
    with open(path, newline="") as f:
        return f.read()


def in_place():
    a, b = t.write("a.bp", messy), t.write("b.bp", tidy)
    os.chmod(a, 0o640)
    before = os.stat(b).st_mtime_ns
    link = t.path("link.bp")
    os.symlink(a, link)
    r = run(bpc, "fmt", link, b)
    assert r.stdout == r.stderr == "", r
    assert read(a) == tidy and os.path.islink(link)
    assert os.stat(a).st_mode & 0o777 == 0o640
    assert os.stat(b).st_mtime_ns == before, "a file in canonical layout was written"
    assert sorted(os.listdir(t.dir.name)) == ["a.bp", "b.bp", "link.bp"]


def check():
    a, b = t.write("c.bp", messy), t.write("d.bp", tidy)
    r = run(bpc, "fmt", "--check", a, b, status=1)
    assert r.stdout == a + "\n" and read(a) == messy, r
    assert run(bpc, "fmt", "--check", b).stdout == ""


def streams():
    r = subprocess.run([bpc, "fmt", "-"], input=messy, capture_output=True, text=True)
    assert r.returncode == 0 and r.stdout == tidy, r
    r = subprocess.run([bpc, "fmt", "--check", "-"], input=messy, capture_output=True, text=True)
    assert r.returncode == 1 and r.stdout == "<stdin>\n", r
    a, out = t.write("e.bp", messy), t.path("out.bp")
    run(bpc, "fmt", a, "-o", out)
    assert read(a) == messy and read(out) == tidy


def errors():
    wrong = "fn f( x:f32 ) { return x }\n"
    a, b = t.write("wrong.bp", wrong), t.write("right.bp", messy)
    r = run(bpc, "fmt", a, b, status=1)
    assert f"{a}:1:25: error: expected ';' after this" in r.stderr, r.stderr
    assert read(a) == wrong and read(b) == tidy, "a wrong file hides the others"
    r = run(bpc, "fmt", t.path("missing.bp"), status=1)
    assert "cannot read" in r.stderr
    r = run(bpc, "fmt", status=1)
    assert "the file is missing" in r.stderr
    r = run(bpc, "--check", a, status=1)
    assert "'--check' is no option of 'bpc'" in r.stderr, r.stderr
    if os.getuid():
        os.chmod(t.dir.name, 0o500)
        r = run(bpc, "fmt", t.write("f.bp", messy), status=1)
        os.chmod(t.dir.name, 0o700)
        assert "cannot write" in r.stderr


t.check("in place", in_place)
t.check("--check", check)
t.check("streams", streams)
t.check("errors", errors)
t.finish()
