#!/usr/bin/env python3
"""What bpc run compiles is kept, found again, and never trusted blindly; entries that the first step
does not need are compiled when they are called."""
import os
import re
import stat
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from bpc import Tests, examples, npz_write, run  # noqa: E402

bpc = sys.argv[1]
t = Tests()

PROGRAM = """
export fn twice(x: f32[8]) -> f32[8] { return 2 * x; }
export fn sum_of(x: f32[8]) -> f32 { return sum(x); }
"""


class Folder:
    """A program and a cache of its own."""

    def __init__(self, **env):
        self.at = tempfile.TemporaryDirectory()
        self.cache = os.path.join(self.at.name, "cache")
        self.env = {"XDG_CACHE_HOME": self.cache, **env}
        self.source, self.x = (os.path.join(self.at.name, n) for n in ("m.bp", "x.npz"))
        with open(self.source, "w", encoding="utf-8") as f:
            f.write(PROGRAM)
        npz_write(self.x, {"x": ("f4", (8,), list(range(8)))})

    def call(self, *options):
        return run(bpc, "call", *options, self.source, "twice", "--in", self.x, env=self.env).stdout

    def files(self):
        at = os.path.join(self.cache, "bpc")
        return [os.path.join(at, n) for n in sorted(os.listdir(at))] if os.path.isdir(at) else []


def read(path):
    with open(path, "rb") as f:
        return f.read()


def kept():
    f = Folder()
    first = f.call()
    assert "14" in first, first
    files = f.files()
    assert files and all(re.fullmatch(r"[0-9a-f]{64}", os.path.basename(n)) for n in files)
    assert stat.S_IMODE(os.stat(os.path.dirname(files[0])).st_mode) == 0o700
    assert all(stat.S_IMODE(os.stat(n).st_mode) == 0o600 for n in files)
    nodes = [os.stat(n).st_ino for n in files]
    assert f.call() == first
    assert [os.stat(n).st_ino for n in f.files()] == nodes, "compiled again"
    f.call("-O0")
    assert len(f.files()) > len(files), "another level is other code"


def damaged():
    f = Folder()
    first = f.call()
    name, = f.files()
    whole = read(name)
    for broken in (b"", whole[:-1], whole[:100] + b"?" + whole[101:], b"0" * len(whole)):
        with open(name, "wb") as out:
            out.write(broken)
        assert f.call() == first
        assert read(name) == whole, "a damaged object is replaced"
    os.remove(name)
    os.mkdir(name)
    assert f.call() == first


def not_ours_alone():
    f = Folder()
    os.makedirs(os.path.join(f.cache, "bpc"))
    os.chmod(os.path.join(f.cache, "bpc"), 0o777)
    first = f.call()
    assert not f.files(), "others can write here"
    for env in ({"XDG_CACHE_HOME": "", "HOME": ""}, {"XDG_CACHE_HOME": "relative", "HOME": ""},
                {"XDG_CACHE_HOME": "/dev/null"}):
        assert Folder(**env).call() == first, env


def later():
    """The last step's evaluation is no part of what is compiled before the first."""
    f = Folder()
    source = os.path.join(examples, "digits.bp")
    r = run(bpc, "run", "--time-passes", source, "--", "--steps", "2", "--out", f.at.name, env=f.env)
    stages = re.findall(r"^ +[\d.]+ ms  (\w+)$", r.stderr, re.M)
    assert stages.count("emit") == stages.count("compile") == 2, stages
    assert stages[:2] == ["parse", "lower"] and stages.index("link") < len(stages) - 1, stages


for test in (kept, damaged, not_ours_alone, later):
    t.check(test.__name__, test)
t.finish()
