"""The operators of mutation: for a scope of a source, edits (start, end, new text), one per site.

Each row of OPERATORS has one function for C and one for rules in .bp."""
import re

from source import COMPARE, CONTROL, OPEN, PRECEDENCE, is_name

# What only names, positions and messages depend on is no part of a derivative.
SAYS = {"b_at", "b_name", "name_adjoint", "diag_error", "diag_note", "diag_warn", "text_add", "bug_at", "BUG",
        "warn_infinite", "report_missing", "report_nodiff"}
# So is what a derivative costs: whether a call stays one changes no bit.
TALKS = {"is_worth_calling", "note_source", "reported", "op_title", "operand_title", "name_adjoint",
         "backward_label", "forward_label", "region_label", "formal_name", "rule_name"}
ROOM = {"NEW_ARRAY"}  # too little of it is for sanitizers to see
NAMES = {"fresh_param", "sym", "sym_fmt", "sym_n", "arena_printf", "program_fresh", "builder_new",
         "add_fresh"}
# Calls whose neighbouring operands may change places.
COMMUTE = {"b_add", "b_mul", "mask_sum", "accumulate", "attr_equal", "Op_eq", "Op_ne", "Op_and", "Op_or", "Op_min", "Op_max", "Op_add", "Op_mul"}
AXES = {"dim", "perm", "lo", "hi", "los", "his", "stride", "interior", "v"}


def silent(s, scope):
    """Tokens of C that no value depends on."""
    out = set()
    for i in range(scope.first, scope.last):
        told = s[i] in ("loc", "rule", "doc") and s[i + 1] == "="
        told |= s[i] == "source" and s[i + 1] == "[" and s[s.match[i + 1] + 1] == "="
        if told or s[i] in SAYS or s[i] == "Sym":
            first = i
            while first > scope.first and s[first - 1] not in (";", "{", "}"):
                first -= 1
            if s[first - 1] == "{" and s[first - 2] == ")" and s[s.match[first - 2] - 1] == "if":
                first = s.match[first - 2] - 1  # a block that reports, and what it is guarded by
            out.update(range(first, s.statement_end(i) + 1))
        elif s[i] in NAMES | ROOM and s[i + 1] == "(":
            out.update(range(i, s.match[i + 1] + 1))
    return out


def c_sites(s, scope):
    quiet = silent(s, scope)
    return [i for i in range(scope.first, scope.last) if i not in quiet]


def bp_sites(s, scope):
    return range(scope.first, scope.last)


def bp_entries(s, scope):
    """[first, last) of each `x: expression;`."""
    i = scope.first
    while i < scope.last:
        end = s.statement_end(i)
        if s[i] != "let":
            yield i + 2, end
        i = end + 1


# ---- dropped term: an operand is left out ----

def dropped(s, sites, both, one):
    for i in sites:
        if not s.binary(i) or s[i] not in both | one:
            continue
        first, last = s.left(i), s.right(i)
        yield *s.span(first, last), s.slice(first, i)
        chained = any(s.binary(j) and PRECEDENCE[s[j]] == PRECEDENCE[s[i]] for j in s.flat(first, i))
        if s[i] in both and not chained:
            yield *s.span(first, last), s.slice(i + 1, last)


def c_dropped(s, scope):
    return dropped(s, c_sites(s, scope), {"&&", "||", "+"}, {"-", "/", "%"})


def bp_dropped(s, scope):
    return dropped(s, bp_sites(s, scope), {"+", "*", "@"}, {"-", "/"})


# ---- flipped sign ----

def turned(s, i):
    """The sign or comparison at i the other way round."""
    swap = {**COMPARE, "+": "-", "-": "+"}
    if s[i] in swap and s.binary(i):
        return swap[s[i]]
    return {"true": "false", "false": "true"}.get(s[i])


def plain(s, first, last):
    """A condition that holds no sign of its own."""
    return s[first] not in ("!", "(") and s[last - 1] != "name" and not any(
        s[j] in COMPARE or s[j] in ("&&", "||", "=", "?") for j in s.flat(first, last))


def conditions(s, sites):
    for i in sites:
        if s[i] in ("if", "while"):
            yield i + 2, s.match[i + 1]
        elif s[i] == "?":
            yield s.left(i), i
        elif s[i] in ("&&", "||"):
            yield s.left(i), i
            yield i + 1, s.right(i)


def c_flipped(s, scope):
    sites = c_sites(s, scope)
    for i in sites:
        if s[i] == "!" and s[i + 1] != "name":
            yield *s.span(i, i + 1), ""
        elif turned(s, i) and not (s[i] in COMPARE and s.in_for(i)):
            yield *s.span(i, i + 1), turned(s, i)
    for first, last in sorted(set(conditions(s, sites))):
        if plain(s, first, last):
            yield *s.span(first, last), f"!({s.slice(first, last)})"


def bp_flipped(s, scope):
    for i in bp_sites(s, scope):
        if s[i] in ("-", "!") and not s.binary(i):
            yield *s.span(i, i + 1), ""
        elif turned(s, i):
            yield *s.span(i, i + 1), turned(s, i)
    for first, last in bp_entries(s, scope):
        if s[first] not in ("-", "zero", "nodiff"):
            yield *s.span(first, last), f"-({s.slice(first, last)})"


# ---- stale value: an assignment left out; another value of the rule ----

def c_stale(s, scope):
    for i in c_sites(s, scope):
        if not s.starts_statement(i) or not (is_name(s[i]) or s[i] == "*"):
            continue
        end = s.statement_end(i)
        at = next((j for j in s.flat(i, end) if s[j] == "="), None)
        if at is None or any(is_name(s[j]) and (is_name(s[j + 1]) or s[j + 1] == "*") for j in range(i, at)):
            continue
        a, b = s.span(i, end)
        yield a, b, "\n" * s.text[a:b].count("\n")


def bp_stale(s, scope):
    for i in bp_sites(s, scope):
        if s[i + 1] in ("(", "=", ":") and s[i + 1] != "=" or s[i - 1] == "let" or s[i + 1] == "=":
            continue
        for names in scope.names.values():
            if s[i] in names:
                for other in names:
                    if other != s[i]:
                        yield *s.span(i, i + 1), other


# ---- missing accumulation ----

def c_missing(s, scope):
    for i in c_sites(s, scope):
        if s[i] in ("|=", "&=", "+=", "-="):
            yield *s.span(i, i + 1), "="
        if s[i] in ("accumulate", "mask_sum") and s[i + 1] == "(":
            for first, last in s.arguments(i + 1)[-2:]:
                yield *s.span(i, s.match[i + 1] + 1), s.slice(first, last)
        if not s.starts_statement(i) or not is_name(s[i]):
            continue
        end = s.statement_end(i)
        call = s[i + 1] == "(" and s.match[i + 1] + 1 == end
        if call or s[end - 1] in ("++", "--"):
            a, b = s.span(i, end)
            yield a, b, "\n" * s.text[a:b].count("\n")


def bp_missing(s, scope):
    for first, last in bp_entries(s, scope):
        if s[first] not in ("zero", "nodiff"):
            yield *s.span(first, last), "zero"


# ---- wrong axis ----

def c_axis(s, scope):
    for i in c_sites(s, scope):
        if s[i] == "axis" and s[i + 1] in (")", "]", ",", ";") and s[i - 1] not in ("*", "&"):
            if not (is_name(s[i - 1]) and s[i + 1] in (",", ";")):
                yield *s.span(i, i + 1), "axis + 1"
        if s[i] == "attr_int" and s[i + 2] == "0":
            yield *s.span(i + 2, i + 3), "1"
        if s[i] in AXES and s[i + 1] == "[":
            first, last = i + 2, s.match[i + 1]
            literal = last == first + 1 and s[first].isdigit()
            yield *s.span(first, last), str(1 - min(int(s[first]), 1)) if literal else "0"


def bp_axis(s, scope):
    for i in bp_sites(s, scope):
        if s[i] == "axis" and s[i + 1] in (")", ","):
            yield *s.span(i, i + 1), "all"
            yield *s.span(i, i + 1), "axis - 1"
        elif s[i] == "axis" and s[i + 1] == "=" and s[i + 2] == "-":
            yield *s.span(i + 2, i + 4), "0"
        elif s[i] == "inverse":
            yield *s.span(i, s.match[i + 1] + 1), s.slice(i + 2, s.match[i + 1])
        elif s[i] == "perm" and s[i - 2] != "inverse":
            yield *s.span(i, i + 1), "inverse(perm)"


# ---- swapped operand ----

def pairs(s, i):
    """Arguments and their neighbours. Texts are names."""
    args = s.arguments(i)
    for (a, b), (c, d) in zip(args, args[1:]):
        x, y = s.slice(a, b), s.slice(c, d)
        if x != y and '"' not in x + y and "=" not in (s[a + 1], s[c + 1]):
            start, end = s.toks[a].start, s.toks[d - 1].end
            yield start, end, y + s.text[s.toks[b - 1].end:s.toks[c].start] + x


def c_swapped(s, scope):
    for i in c_sites(s, scope):
        call = s[i] == "(" and is_name(s[i - 1]) and s[i - 1] != "return"
        listed = s[i] == "{" and s[i - 1] in (")", "=") and s[i + 1] != "."
        if call or listed:
            around = range(s.left(i) if call else i - 8, s.match[i] + 1)
            if not any(s[j] in COMMUTE for j in around):
                yield from pairs(s, i)
        elif s[i] == "?":
            colon = s.right(i)
            if s[colon] == ":" and s[i + 1][0] != '"':
                last = s.right(colon)
                yield *s.span(i + 1, last), f"{s.slice(colon + 1, last)} : {s.slice(i + 1, colon)}"


def bp_swapped(s, scope):
    for i in bp_sites(s, scope):
        if s[i] == "(" and is_name(s[i - 1]) and s[i - 1] not in ("max", "min"):
            yield from pairs(s, i)
        elif s.binary(i) and s[i] in ("-", "/", "@", "<", ">"):
            first, last = s.left(i), s.right(i)
            x, y = s.slice(first, i), s.slice(i + 1, last)
            if x != y:
                yield *s.span(first, last), f"({y}) {s[i]} ({x})"


# ---- off by one trip ----

def c_trip(s, scope):
    """One step fewer at either end of a loop."""
    for i in c_sites(s, scope):
        if s[i] != "for":
            continue
        close = s.match[i + 1]
        semi = [j for j in s.flat(i + 2, close) if s[j] == ";"]
        if "ins.len" in s.slice(i + 1, close):  # all values: the ends are a parameter and what is returned anyway
            continue
        start = next((j for j in s.flat(i + 2, semi[0]) if s[j] == "="), None)
        if start:
            last = next((j for j in s.flat(start, semi[0]) if s[j] == ","), semi[0])
            down = "--" in (s[j] for j in range(semi[0], close))
            yield *s.span(start + 1, last), f"{s.slice(start + 1, last)} {'-' if down else '+'} 1"
        for j in s.flat(semi[0], semi[1]):
            if s[j] == "<" and s.binary(j):
                yield *s.span(s.left(j), j), f"{s.slice(s.left(j), j)} + 1"
            elif s[j] == ">" and s[j - 1] == "--":
                yield *s.span(j + 1, j + 2), "1"


SIZES = {"lo", "hi", "interior", "stride", "size", "within", "groups", "batch_groups", "lhs_dilation", "rhs_dilation"}


def bp_trip(s, scope):
    for i in bp_sites(s, scope):
        if s[i] in SIZES and s[i + 1] != "=":
            yield *s.span(i, i + 1), f"({s[i]} + 1)"
        elif s[i].isdigit() and (s[i - 1] == "[" or s[i + 1] == ":"):
            yield *s.span(i, i + 1), str(int(s[i]) + 1)
            yield *s.span(i, i + 1), str(int(s[i]) - 1)


OPERATORS = {
    "dropped-term": (c_dropped, bp_dropped),
    "flipped-sign": (c_flipped, bp_flipped),
    "stale-value": (c_stale, bp_stale),
    "missing-accumulation": (c_missing, bp_missing),
    "wrong-axis": (c_axis, bp_axis),
    "swapped-operand": (c_swapped, bp_swapped),
    "off-by-one-trip": (c_trip, bp_trip),
}


class Mutant:
    def __init__(self, s, scope, operator, start, end, new):
        self.path, self.scope, self.operator = s.path, scope.name, operator
        self.text = s.text[:start] + new + s.text[end:]
        a, b = s.span(scope.first, scope.last)
        self.body = self.text[a:b + len(self.text) - len(s.text)]
        first = s.text.rfind("\n", 0, start) + 1
        last = s.text.find("\n", end)
        self.line = s.text.count("\n", 0, start) + 1
        flat = [re.sub(r"\s+", " ", t).strip() for t in (s.text[first:last], self.text[first:last + len(self.text)
                                                                                     - len(s.text)])]
        self.before, self.after = flat
        self.key = (self.path, self.scope, operator, *flat)

    def shown(self):
        return f"{self.path}: {self.scope}: {self.operator}\n- {self.before}\n+ {self.after}\n"


def mutants(s):
    """Every operator at every site, each text once."""
    seen = {s.text}
    for scope in s.scopes:
        if scope.name in TALKS or scope.name.startswith("report_"):
            continue
        for name, functions in OPERATORS.items():
            for edit in functions[s.path.endswith(".bp")](s, scope):
                m = Mutant(s, scope, name, *edit)
                if m.text not in seen:
                    seen.add(m.text)
                    yield m
