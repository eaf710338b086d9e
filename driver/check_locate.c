/* Which line of an edited derivative is wrong: its values, instruction by instruction, against
 * those of the derivative that the rules give. */
#include "driver/check.h"

#include <math.h>

/* What is compared: neither parameters nor constants, which the reader makes at every use. */
static Val *computed(Check *c, const Fn *fn, uint32_t *n) {
    Val *vals = NEW_ARRAY(c->a, Val, fn->ins.len);
    *n = 0;
    for (Val v = 0; v < fn->ins.len; v++) {
        uint16_t op = fn->ins.data[v].op;
        if (op != Op_param && op != Op_const) vals[(*n)++] = v;
    }
    return vals;
}

static bool agree(const Tensor *x, const Tensor *y) {
    if (!x || !y || !x->type.shape || !y->type.shape) return true;
    if (!type_equal(x->type, y->type)) return false;
    double size = 0, diff = 0;
    for (int64_t i = 0; i < x->type.shape->size; i++) {
        if (!dtype_is_float(x->type.dt)) {
            if (x->i[i] != y->i[i]) return false;
            continue;
        }
        size = fmax(size, fabs(y->re[i]));
        diff = fmax(diff, fabs(x->re[i] - y->re[i]));
    }
    return diff <= 1e-10 * size;
}

/* The line of the source where fn defines `name`. */
static Loc line_of(Check *c, const Fn *fn, Sym name) {
    Cx *cx = c->p->cx;
    size_t len;
    const char *line;
    char head[256], single[256], first[256], later[256];
    snprintf(head, sizeof head, "fn %s(", fn->name);
    snprintf(single, sizeof single, "let %s:", name);
    snprintf(first, sizeof first, "(%s:", name);
    snprintf(later, sizeof later, ", %s:", name);
    bool inside = false;
    for (uint32_t n = 1; (line = source_line(cx, c->p->path, n, &len)); n++) {
        const char *text = arena_strndup(c->a, line, len);
        if (strstr(text, head) && strstr(text, "fn ") <= text + 7)
            inside = true;
        else if (inside &&
                 (strstr(text, single) ||
                  (strstr(text, "let (") && (strstr(text, first) || strstr(text, later))))) {
            return (Loc){c->p->path, n, (uint16_t)(strspn(text, " ") + 1), 1};
        }
    }
    return (Loc){0};
}

static void report_line(Check *c, const Fn *d, Val v) {
    const Ins *ins = &d->ins.data[v];
    Sym name = print_names(c->p, d)[v];
    Loc at = line_of(c, d, name);
    diag_error(c->p->cx, at.line ? at : ins->loc, "'%s' is wrong: it is not what %s gives", name,
               ins->rule ? ins->rule : "the function");
    if (at.line && ins->loc.line) {
        diag_note(c->p->cx, ins->loc, "it belongs to this%s%s", ins->rule ? ", by the rule " : "",
                  ins->rule ? ins->rule : "");
    }
}

void locate_wrong(Check *c, const Fn *d, const Fn *f, Op op, const uint32_t *wrt, uint32_t n,
                  const Tensor *args) {
    Program *p = c->p;
    const Fn *want = derive(p, op, f, sym_fmt(p->cx, "%s_expected", d->name), wrt, n);
    if (!want) return;
    uint32_t nd, nw;
    Val *mine = computed(c, d, &nd), *theirs = computed(c, want, &nw);
    Tensor **dv = NEW_ARRAY(c->a, Tensor *, d->ins.len),
           **wv = NEW_ARRAY(c->a, Tensor *, want->ins.len);
    Tensor *dr = NEW_ARRAY(c->a, Tensor, d->results.len),
           *wr = NEW_ARRAY(c->a, Tensor, want->results.len);
    interp_run(p, d, InterpF64, c->a, args, dr, dv);
    interp_run(p, want, InterpF64, c->a, args, wr, wv);
    for (uint32_t i = 0; nd == nw && i < nd; i++) {
        if (agree(dv[mine[i]], wv[theirs[i]])) continue;
        report_line(c, d, mine[i]);
        return;
    }
    const Sym *dn = print_names(p, d), *wn = print_names(p, want);
    for (uint32_t i = 0; nd != nw && i < nd; i++) { /* lines came or went: by name */
        uint32_t j = 0;
        while (j < nw && wn[theirs[j]] != dn[mine[i]]) j++;
        if (j == nw || !d->ins.data[mine[i]].rule || agree(dv[mine[i]], wv[theirs[j]])) continue;
        report_line(c, d, mine[i]);
        return;
    }
    for (uint32_t i = 0; i < d->results.len && i < want->results.len; i++) {
        if (agree(&dr[i], &wr[i])) continue;
        report_line(c, d, d->results.data[i]);
        return;
    }
    diag_error(p->cx, d->loc, "%s is wrong, yet the rules give the same", d->rule);
}
