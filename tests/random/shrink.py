"""Makes a failing program small: takes away lines and results, puts constants for expressions and operands for
operations, as long as it fails in the same way."""
import re
import time

LET = re.compile(r"^(\s*)let (\w+)(: [^=]+)? = (.*);$")
NAME = re.compile(r"\b[a-z]\w*\b")


def blocks(lines):
    """(first, last) of everything in braces that spans lines."""
    out, stack = [], []
    for i, line in enumerate(lines):
        if line.strip().startswith("}") and stack:
            out.append((stack.pop(), i))
        if line.rstrip().endswith("{"):
            stack.append(i)
    return out


def without(lines, first, last):
    return lines[:first] + lines[last + 1:]


def exports_left_out(lines):
    tops = [(i, j) for i, j in blocks(lines) if lines[i].startswith(("export", "fn", "module"))]
    for i, j in sorted(tops, key=lambda t: t[0] - t[1]):
        yield without(lines, i, j)
    for i, line in enumerate(lines):
        if not line.startswith((" ", "}")) and not line.rstrip().endswith("{"):
            yield without(lines, i, i)


def lines_left_out(lines):
    for i, j in sorted(blocks(lines), key=lambda t: t[0] - t[1]):
        if lines[i].startswith(" "):
            yield without(lines, i, j)
            if "else" not in "".join(lines[i:j + 1]):
                yield lines[:i] + lines[i + 1:j] + lines[j + 1:]
    for n in (8, 4, 2, 1):
        for i in range(len(lines) - n, -1, -1):
            if all(re.match(r"^\s+(let|var)\b|^\s+\w+ = ", line) for line in lines[i:i + n]):
                yield without(lines, i, i + n - 1)


def simpler_expressions(lines):
    for i in range(len(lines) - 1, -1, -1):
        m = LET.match(lines[i])
        if not m:
            continue
        space, name, type_, expr = m.groups()
        options = []
        if type_:
            dt = type_[2:].split("[")[0].split("<")[0]
            options.append({"bool": "true"}.get(dt, "1" if dt.startswith("i") else "0.5"))
        if not re.fullmatch(r"[\w.]+", expr):
            options += sorted(set(NAME.findall(expr)))
        for o in options:
            if o != expr:
                yield lines[:i] + [f"{space}let {name}{type_ or ''} = {o};"] + lines[i + 1:]
        if type_ and re.match(r"^\w+\(", expr):
            for o in re.findall(r"\(([a-z]\w*)", expr):
                yield lines[:i] + [f"{space}let {name} = {expr.replace(o + ')', o + ')')};"] + lines[i + 1:]


def renamed(lines):
    """A name for another, where one is bound to the other."""
    for i in range(len(lines)):
        m = LET.match(lines[i])
        if m and re.fullmatch(r"[a-z]\w*", m.group(4)):
            rest = [re.sub(rf"\b{m.group(2)}\b", m.group(4), line) for line in lines[i + 1:]]
            yield lines[:i] + rest


def shorter_heads(lines):
    for i, line in enumerate(lines):
        m = re.match(r"^(\s*)return (.*);$", line)
        if m and ", " in m.group(2):
            for part in re.split(r", (?![^(\[]*[)\]])", m.group(2)):
                yield lines[:i] + [f"{m.group(1)}return {part};"] + lines[i + 1:]
        if re.match(r"^(export )?fn .* -> .* \{$", line) and not line.startswith("export"):
            yield lines[:i] + [re.sub(r" -> .* \{$", " {", line)] + lines[i + 1:]
        if ", reverse=true" in line:
            yield lines[:i] + [line.replace(", reverse=true", "")] + lines[i + 1:]


def shrink(text, fails, seconds=60):
    """The smallest text found for which fails(text)."""
    end = time.time() + seconds
    lines = text.rstrip("\n").split("\n")
    moved = True
    while moved and time.time() < end:
        moved = False
        for reducer in (exports_left_out, lines_left_out, shorter_heads, simpler_expressions, renamed):
            again = True
            while again and time.time() < end:
                again = False
                for candidate in reducer(lines):
                    if time.time() >= end:
                        break
                    if len("\n".join(candidate)) < len("\n".join(lines)) and fails("\n".join(candidate) + "\n"):
                        lines, again, moved = candidate, True, True
                        break
    return "\n".join(lines) + "\n"
