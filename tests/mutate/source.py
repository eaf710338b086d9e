"""The text of a .c or .bp file as tokens, brackets and scopes, for finding sites of mutation."""
import collections
import re

TOKEN = re.compile(
    r"""(?P<skip>\s+|//[^\n]*|/\*.*?\*/|^[ \t]*\#[^\n]*)
    |"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[A-Za-z_]\w*|\d+(?:\.\d+)?(?:[eE][-+]?\d+)?\w*
    |->|\+\+|--|&&|\|\||<<|>>|[-+*/%|&^=!<>]=|\S""", re.S | re.X | re.M)
Tok = collections.namedtuple("Tok", "text start end")
# A function or a rule: the tokens [first, last) of its body; names: kind -> values of a rule.
Scope = collections.namedtuple("Scope", "name first last names")

PRECEDENCE = {"||": 1, "&&": 2, "|": 3, "&": 4, "==": 5, "!=": 5, "<": 6, ">": 6, "<=": 6, ">=": 6,
              "+": 7, "-": 7, "*": 8, "/": 8, "%": 8, "@": 8}
COMPARE = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
ENDS = {",", ";", "?", ":", "=", "+=", "-=", "|=", "&=", "return", "else", "case", "let"}
OPEN, CLOSE = {"(": ")", "[": "]", "{": "}"}, {")", "]", "}"}
CONTROL = {"if", "for", "while", "switch"}


def is_name(text):
    return bool(re.fullmatch(r"[A-Za-z_]\w*", text)) and text not in ENDS | CONTROL


class Source:
    def __init__(self, path, text):
        self.path, self.text = path, text
        self.toks, self.match, stack = [], {}, []
        for m in TOKEN.finditer(text):
            if m["skip"]:
                continue
            i, t = len(self.toks), m[0]
            self.toks.append(Tok(t, m.start(), m.end()))
            if t in OPEN:
                stack.append(i)
            elif t in CLOSE:
                self.match[i] = stack.pop()
                self.match[self.match[i]] = i
        self.scopes = list(self.rules() if path.endswith(".bp") else self.functions())

    def __getitem__(self, i):
        return self.toks[i].text if 0 <= i < len(self.toks) else ""

    def span(self, first, last):
        """Positions of the tokens [first, last)."""
        return self.toks[first].start, self.toks[last - 1].end

    def slice(self, first, last):
        a, b = self.span(first, last)
        return self.text[a:b]

    # ---- scopes ----

    def functions(self):
        for i, t in enumerate(self.toks):
            if t.text == "{" and self[i - 1] == ")" and (i == 0 or self.depth_at(i) == 0):
                name = self[self.match[i - 1] - 1]
                yield Scope(name, i + 1, self.match[i], {})

    def depth_at(self, i):
        return sum(1 for o, c in self.match.items() if self[o] in OPEN and o < i < c)

    def rules(self):
        """backward NAME(operands) -> results (cotangents) { body }"""
        i = 0
        while i < len(self.toks):
            if self[i] in ("backward", "forward") and self[i + 2] == "(":
                lists, k = [], i + 2
                while self[k] != "{":
                    if self[k] == "(":
                        lists.append([self[n] for n in range(k + 1, self.match[k]) if is_name(self[n])])
                        k = self.match[k]
                    elif is_name(self[k]):
                        lists.append([self[k]])
                    k += 1
                lets = [self[n + 1] for n in range(k, self.match[k]) if self[n] == "let"]
                names = {"primal": lists[0] + lists[1], "moving": lists[-1], "let": lets}
                yield Scope(f"{self[i]} {self[i + 1]}", k + 1, self.match[k], names)
                i = self.match[k]
            i += 1

    # ---- expressions ----

    def binary(self, i):
        before = self[i - 1]
        return self[i] in PRECEDENCE and (is_name(before) or before in (")", "]") or before[:1].isdigit())

    def left(self, i):
        """First token of the left operand of the operator at i; precedence of ? is 0."""
        p, j = PRECEDENCE.get(self[i], 0), i - 1
        while j >= 0 and self[j] not in OPEN and self[j] not in ENDS:
            if self.binary(j) and PRECEDENCE[self[j]] < p:
                break
            if self[j] == "}":
                break
            j = self.match[j] - 1 if self[j] in CLOSE else j - 1
        return j + 1

    def right(self, i):
        """One behind the right operand."""
        p, j = PRECEDENCE.get(self[i], 0), i + 1
        while self[j] not in CLOSE and self[j] not in ENDS:
            if j > i + 1 and self.binary(j) and PRECEDENCE[self[j]] <= p:
                break
            j = self.match[j] + 1 if self[j] in OPEN else j + 1
        return j

    def arguments(self, i):
        """[first, last) of each argument in the bracket at i."""
        out, first, j = [], i + 1, i + 1
        while j <= self.match[i]:
            if j == self.match[i] or self[j] == ",":
                if j > first:
                    out.append((first, j))
                first = j + 1
            j = self.match[j] + 1 if self[j] in OPEN else j + 1
        return out

    def flat(self, first, last):
        """The tokens of [first, last) outside of inner brackets."""
        j = first
        while j < last:
            yield j
            j = self.match[j] + 1 if self[j] in OPEN else j + 1

    # ---- statements of C ----

    def starts_statement(self, i):
        before = self[i - 1]
        if before == ")":
            return self[self.match[i - 1] - 1] in CONTROL
        return before in ("{", "}", ";", "else") and not self.in_for(i)

    def in_for(self, i):
        """Whether i stands in the header of a for."""
        return any(self[o - 1] == "for" and o < i < self.match[o]
                   for o in range(max(0, i - 60), i) if self[o] == "(")

    def statement_end(self, i):
        while self[i] != ";":
            i = self.match[i] + 1 if self[i] in OPEN else i + 1
        return i
