"""What the Python tests share: running bpc, npz files without NumPy, one closing line."""
import ast
import os
import struct
import subprocess
import sys
import tempfile
import zipfile

root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
examples = os.path.join(root, "examples")


def run(*args, status=0, env=None, cwd=None):
    """The finished process; a status other than the one expected (None: any) is an error."""
    r = subprocess.run([str(a) for a in args], capture_output=True, text=True, cwd=cwd,
                       env={**os.environ, **(env or {})})
    if status is not None and r.returncode != status:
        raise AssertionError(f"{' '.join(map(str, args))}: exit status {r.returncode}\n{r.stdout}{r.stderr}")
    return r


def npz_read(path):
    """name -> (dtype, shape, flat list)"""
    arrays = {}
    with zipfile.ZipFile(path) as z:
        for name in z.namelist():
            data = z.read(name)
            start = 10 if data[6] == 1 else 12
            n = struct.unpack("<H", data[8:10])[0] if data[6] == 1 else struct.unpack("<I", data[8:12])[0]
            head = ast.literal_eval(data[start:start + n].decode())
            count = 1
            for d in head["shape"]:
                count *= d
            code = {"f4": "f", "f8": "d", "i4": "i", "i8": "q", "b1": "?"}[head["descr"][1:]]
            values = struct.unpack(f"<{count}{code}", data[start + n:])
            arrays[name[:-4]] = (head["descr"][1:], tuple(head["shape"]), list(values))
    return arrays


def npz_write(path, arrays):
    """name -> (dtype "f4" ..., shape, flat list)"""
    with zipfile.ZipFile(path, "w") as z:
        for name, (dtype, shape, values) in arrays.items():
            head = repr({"descr": "<" + dtype, "fortran_order": False, "shape": tuple(shape)}).encode()
            head += b" " * (-(10 + len(head) + 1) % 64) + b"\n"
            code = {"f4": "f", "f8": "d", "i4": "i", "i8": "q"}[dtype]
            data = struct.pack(f"<{len(values)}{code}", *values)
            z.writestr(name + ".npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data)


class Tests:
    """Named checks; an exception is a failure, the rest goes on."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.dir = tempfile.TemporaryDirectory()

    def path(self, name):
        return os.path.join(self.dir.name, name)

    def write(self, name, content):
        """A file of that name with text or bytes; gives its path."""
        with open(self.path(name), "wb") as f:
            f.write(content if isinstance(content, bytes) else content.encode())
        return self.path(name)

    def check(self, name, fn, *args):
        try:
            fn(*args)
            self.passed += 1
        except AssertionError as e:
            self.failed += 1
            print(f"FAILED {name}: {e}")

    def skip(self, why):
        self.skipped += 1
        print(f"skipped: {why}")

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        sys.exit(self.failed != 0)
