/* What a value is called in print.
 *
 * Source names are kept where they can be: `h`, then `h_2` for the next of that name. Values that
 * have no name are t1, t2 ... Names of operations, functions and reserved words are avoided, except
 * that parameters keep theirs, because callers bind them by name. What is no identifier, a path
 * such as net.fc1.w, stays so in a parameter and is net_fc1_w elsewhere.
 *
 * A constant is written as a literal in its uses, not on a line of its own, if it is a splat with
 * no name, is no result, and can be typed back from every use. The reader types a literal operand
 * of an elementwise operation by its class: the operands that have one type (all; in `where` all
 * but c). It takes the type of the first operand of the class that is no literal, else that of the
 * result. So a use is such that all operands of the class are of one type and either one of them is
 * sure to be no literal or the result is of that type too; never in a cast, nor as c of `where`.
 * Tests: tests/ir/print_test.c. */
#include "ir/print.h"

#include <ctype.h>
#include <stdlib.h>

/* ---- literals ---- */
/* The shortest decimal that rounds to the bf16 value v. */
static void print_bf16(char *buf, float v) {
    for (int digits = 1; digits <= 9; digits++) {
        char decimal[32];
        snprintf(decimal, sizeof decimal, "%.*g", digits, (double)v);
        float near = strtof(decimal, NULL);
        if (round_bf16(near) == v) {
            print_f32(buf, near);
            return;
        }
    }
    print_f32(buf, v);
}

void print_num(Text *out, DType dt, Num x) {
    char buf[32];
    switch (dt) {
    case F32:
        print_f32(buf, (float)x.f);
        break;
    case BF16:
        print_bf16(buf, (float)x.f);
        break;
    case F64:
        print_f64(buf, x.f);
        break;
    case BOOL:
        snprintf(buf, sizeof buf, "%s", x.i ? "true" : "false");
        break;
    case I32:
    case I64:
    case DTypeCount:
        snprintf(buf, sizeof buf, "%lld", (long long)x.i);
        break;
    }
    text_add(out, "%s", buf);
}

/* ---- literals in place ---- */
static bool is_candidate(const Fn *fn, Val v) {
    const Ins *i = &fn->ins.data[v];
    return i->op == Op_const && i->ndata == 1 && !i->name;
}

/* Whether literals can stand among the operands from `first` on. */
static bool use_types_literals(const Fn *fn, const Ins *use, uint32_t first) {
    Type t = fn->ins.data[use->args[first]].type;
    bool anchored = type_equal(use->type, t);
    for (uint32_t k = first; k < use->nargs; k++) {
        if (!type_equal(fn->ins.data[use->args[k]].type, t)) return false;
        anchored |= !is_candidate(fn, use->args[k]);
    }
    return anchored;
}

static void forbid(const Fn *fn, const Ins *use, bool *inlined) {
    uint32_t first = use->op == Op_where ? 1 : 0;
    bool elem = op_info[use->op].cls == ClsElem && use->op != Op_cast && use->nargs > first;
    if (elem && use_types_literals(fn, use, first)) {
        if (first) inlined[use->args[0]] = false;
        return;
    }
    for (uint32_t k = 0; k < use->nargs; k++) inlined[use->args[k]] = false;
}

const bool *print_inlined(const Program *p, const Fn *fn) {
    uint32_t n = fn->ins.len;
    bool *inlined = NEW_ARRAY(p->cx->scratch, bool, n);
    bool *used = NEW_ARRAY(p->cx->scratch, bool, n);
    for (Val v = 0; v < n; v++) inlined[v] = is_candidate(fn, v);
    for (Val v = 0; v < n; v++) {
        const Ins *i = &fn->ins.data[v];
        for (uint32_t k = 0; k < i->nargs; k++) used[i->args[k]] = true;
        if (i->op != Op_get) forbid(fn, i, inlined);
    }
    for (uint32_t r = 0; r < fn->results.len; r++) inlined[fn->results.data[r]] = false;
    for (Val v = 0; v < n; v++) inlined[v] &= used[v];
    return inlined;
}

/* ---- unique names ---- */
typedef struct NameSet {
    Sym *slots;
    size_t cap;
} NameSet;

/* False if the name is there already. Interned names compare by pointer. */
static bool take(NameSet *set, Sym name) {
    size_t s = (size_t)rng_mix((uintptr_t)name) & (set->cap - 1);
    while (set->slots[s] && set->slots[s] != name) s = (s + 1) & (set->cap - 1);
    if (set->slots[s]) return false;
    set->slots[s] = name;
    return true;
}

static const char *const reserved[] = {
#define WORD(word, ...) word,
#include "ir/reserved.def"
};

/* With room for every name of fn, so that it never grows. */
static NameSet avoided_names(const Program *p, const Fn *fn) {
    Cx *cx = p->cx;
    size_t need = OpCount + LEN(reserved) + p->fns.len + fn->ins.len;
    NameSet set = {.cap = 256};
    while (set.cap < need * 2) set.cap *= 2;
    set.slots = NEW_ARRAY(cx->scratch, Sym, set.cap);
    for (int op = 0; op < OpCount; op++) take(&set, sym(cx, op_info[op].name));
    for (size_t k = 0; k < LEN(reserved); k++) take(&set, sym(cx, reserved[k]));
    for (uint32_t k = 0; k < p->fns.len; k++) take(&set, p->fns.data[k]->name);
    take(&set, fn->name);
    return set;
}

static Sym identifier(Cx *cx, Sym name) {
    Text t = {0};
    if (!isalpha((unsigned char)name[0]) && name[0] != '_') text_addn(&t, "_", 1);
    for (const char *s = name; *s; s++) {
        bool word = isalnum((unsigned char)*s) || *s == '_';
        if (*s != ']') text_addn(&t, word ? s : "_", 1);
    }
    Sym id = sym(cx, t.data ? t.data : "_");
    text_done(&t, cx->scratch);
    return id;
}

static Sym unique(Cx *cx, NameSet *taken, Sym name) {
    if (take(taken, name)) return name;
    for (int n = 2;; n++) {
        Sym numbered = sym_fmt(cx, "%s_%d", name, n);
        if (take(taken, numbered)) return numbered;
    }
}

static void name_params(const Program *p, const Fn *fn, NameSet *taken, Sym *names) {
    NameSet params = {NEW_ARRAY(p->cx->scratch, Sym, taken->cap), taken->cap};
    for (Val v = 0; v < fn->nparams; v++) {
        Sym given = fn->ins.data[v].name;
        names[v] = unique(p->cx, &params, given ? given : sym_fmt(p->cx, "a%u", v + 1));
        take(taken, names[v]);
    }
}

static Sym literal_name(const Program *p, const Ins *i) {
    Text t = {0};
    print_num(&t, i->type.dt, i->data[0]);
    return sym(p->cx, text_done(&t, p->cx->scratch));
}

const Sym *print_names(const Program *p, const Fn *fn) {
    const bool *inlined = print_inlined(p, fn);
    Sym *names = NEW_ARRAY(p->cx->scratch, Sym, fn->ins.len);
    NameSet taken = avoided_names(p, fn);
    name_params(p, fn, &taken, names);
    for (Val v = fn->nparams; v < fn->ins.len; v++) {
        const Ins *i = &fn->ins.data[v];
        if (inlined[v])
            names[v] = literal_name(p, i);
        else if (i->name && i->type.shape) {
            names[v] = unique(p->cx, &taken, identifier(p->cx, i->name));
        }
    }
    uint32_t count = 0;
    for (Val v = fn->nparams; v < fn->ins.len; v++) {
        if (!fn->ins.data[v].type.shape) continue;
        while (!names[v]) {
            Sym t = sym_fmt(p->cx, "t%u", ++count);
            if (take(&taken, t)) names[v] = t;
        }
    }
    for (Val v = 0; v + 1 < fn->ins.len; v++) {
        if (!names[v]) names[v] = names[v + 1];
    }
    return names;
}
