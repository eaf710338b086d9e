"""Runs programs in every way and says what is wrong with which: oracle.c on bits, `bpc check` on derivatives."""
import collections
import os
import re
import subprocess
import tempfile

Finding = collections.namedtuple("Finding", "program kind detail")
LIMIT = 600  # seconds of one command


class Checker:
    def __init__(self, bpc, seed):
        self.bpc, self.seed = bpc, seed
        self.oracle = os.path.join(os.path.dirname(os.path.abspath(bpc)), "tests", "random", "random_oracle")
        self.ops, self.rows, self.open = set(), 0, 0
        self.dir = tempfile.TemporaryDirectory(prefix="bpc-random-")
        self.env = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}

    def command(self, args, cwd):
        try:
            r = subprocess.run(args, capture_output=True, text=True, errors="replace", timeout=LIMIT, cwd=cwd, env=self.env)
            return r.returncode, r.stdout, r.stderr
        except subprocess.TimeoutExpired:
            return "hangs", "", ""

    def findings(self, text, way=None, only=None):
        """What is wrong with the text. way: of a batch, 0 compiles -O3 ahead of time and -O0 in memory, 1 -O0 and -O3,
        2 as 0 but for AVX2; None: all of them. only: the kinds that are asked for."""
        with tempfile.TemporaryDirectory(dir=self.dir.name) as folder:
            path = os.path.join(folder, "r.bp")
            with open(path, "w") as f:
                f.write(text)
            out = []
            if only is None or not only & {"derivative", "check"}:
                for w in (0, 1, 2) if way is None else (way,):
                    out += self.bits(folder, w)
                    if out:
                        break
            if not out and (only is None or only & {"derivative", "check"}):
                out += self.derivatives(folder)
            return out

    def bits(self, folder, way):
        level, cpu = (("3", None), ("0", None), ("3", "x86-64-v3"))[way]
        library = os.path.join(folder, "r.so")
        options = [f"-O{level}"] + ([f"-march={cpu}"] if cpu else [])
        status, _, err = self.command([self.bpc, "-shared", *options, "r.bp", "-o", library], folder)
        if status != 0:
            return [Finding("*", "compile" if status == 1 else "crash", f"bpc {' '.join(options)}: {status}\n{errors(err)}")]
        status, out, err = self.command([self.oracle, "r.bp", str(self.seed), "0" if level == "3" else "3", f"{level}{',' + cpu if cpu else ''}={library}"], folder)
        found = []
        for line in out.splitlines():
            name, _, rest = line.partition(" ")
            if name == "ops":
                self.ops |= set(rest.split())
            elif rest:
                kind, *detail = rest.split(" ", 1)
                found.append(Finding(name, kind, " ".join(detail) + ("\n" + errors(err) if name == "*" else "")))
        if status not in (0, 1) or (status == 1 and not found):
            found.append(Finding("*", "crash", f"oracle: {status}\n{err[-2000:]}"))
        return found

    def derivatives(self, folder):
        status, out, err = self.command([self.bpc, "check", "r.bp"], folder)
        if status not in (0, 1):
            return [Finding("*", "crash", f"bpc check: {status}\n{err[-2000:]}")]
        rows = out.splitlines()
        self.rows += sum(r.startswith("ok") for r in rows)
        found = []
        for line in err.splitlines():
            if "not finite at any point" in line:
                self.open += 1
            elif ": error: " in line and not rows_false(rows):
                found.append(Finding("*", "check", line))
        for row in rows_false(rows):
            m = re.search(r"\[f_(\d+)|\[[hr](\d+)", row)
            where = next((e for e in err.splitlines() if ": error:" in e and "not finite" not in e), "")
            found.append(Finding(f"p{m.group(1) or m.group(2)}" if m else "*", "derivative", f"{row}\n{where}"))
        return found


def rows_false(rows):
    return [r for r in rows if r.startswith("FALSE")]


def errors(err):
    return "\n".join([line for line in err.splitlines() if "error" in line or "bpc:" in line][:4])
