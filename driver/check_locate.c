/* Which line is wrong. Of an edited derivative: its values, instruction by instruction, against
 * those of the derivative that the rules give. Else by bisection: the last instruction of the
 * function from which on the derivative of the rest is wrong. */
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

/* ---- a derivative edited by hand ---- */

/* The first line of body that is not the one of want: operations, attributes and operands. */
static bool report_body(Check *c, const Fn *body, const Fn *want) {
    uint32_t n = body->ins.len < want->ins.len ? body->ins.len : want->ins.len;
    for (Val v = body->nparams; v < n; v++) {
        const Ins *x = &body->ins.data[v], *y = &want->ins.data[v];
        bool same = x->op == y->op && x->nargs == y->nargs;
        for (uint32_t k = 0; same && k < x->nargs; k++) same = x->args[k] == y->args[k];
        for (int k = 0; same && k < op_info[x->op].nattrs; k++) {
            same = x->attrs[k].kind == AttrFn || attr_equal(x->attrs[k], y->attrs[k]);
        }
        for (uint64_t k = 0; same && k < x->ndata && x->ndata == y->ndata; k++) {
            same = x->data[k].i == y->data[k].i;
        }
        if (same && op_info[x->op].cls == ClsRegion) {
            Region r = region_of(c->p, x), w = region_of(c->p, y);
            if (report_body(c, r.body, w.body)) return true;
        }
        if (same) continue;
        report_line(c, body, v);
        return true;
    }
    return false;
}

static void report_value(Check *c, const Fn *d, Val v, const Fn *want, Val w) {
    const Ins *x = &d->ins.data[v], *y = &want->ins.data[w];
    if (x->op == Op_get) x = &d->ins.data[x->args[0]], y = &want->ins.data[y->args[0]];
    if (op_info[x->op].cls == ClsRegion && x->op == y->op) {
        Region mine = region_of(c->p, x), theirs = region_of(c->p, y);
        if (report_body(c, mine.body, theirs.body)) return;
    }
    report_line(c, d, v);
}

/* Compares d, value by value, with the derivative that the rules give; true once reported. */
static bool locate_edit(Check *c, const Fn *d, const Header *h, const Tensor *args) {
    Program *p = c->p;
    Sym name = program_fresh(p, sym_fmt(p->cx, "%s_expected", d->name));
    const Fn *want = derive(p, h->op, h->f, name, h->wrt, h->n);
    if (!want) return true;
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
        report_value(c, d, mine[i], want, theirs[i]);
        return true;
    }
    const Sym *dn = print_names(p, d), *wn = print_names(p, want);
    for (uint32_t i = 0; nd != nw && i < nd; i++) { /* lines came or went: by name */
        uint32_t j = 0;
        while (j < nw && wn[theirs[j]] != dn[mine[i]]) j++;
        if (j == nw || !d->ins.data[mine[i]].rule || agree(dv[mine[i]], wv[theirs[j]])) continue;
        report_value(c, d, mine[i], want, theirs[j]);
        return true;
    }
    for (uint32_t i = 0; i < d->results.len && i < want->results.len; i++) {
        if (agree(&dr[i], &wr[i])) continue;
        report_line(c, d, d->results.data[i]);
        return true;
    }
    return false;
}

/* ---- a derivative as the rules give it: from where on f is differentiated wrongly ---- */

typedef struct Tail { /* f from instruction `from` on, as a function of what was computed before */
    Fn *fn;
    Tensor *args;
    uint32_t *wrt, n;
} Tail;

static Tail tail_of(Check *c, const Fn *f, Val from, Tensor *const *values) {
    Program *p = c->p;
    Arena *a = p->cx->arena;
    Tail t = {.args = NEW_ARRAY(c->a, Tensor, f->ins.len),
              .wrt = NEW_ARRAY(a, uint32_t, f->ins.len)};
    Builder *b = builder_new(p, program_fresh(p, sym_fmt(p->cx, "%s_tail", f->name)), false);
    Val *map = NEW_ARRAY(a, Val, f->ins.len);
    bool *used = NEW_ARRAY(a, bool, f->ins.len);
    for (Val v = from; v < f->ins.len; v++) {
        for (uint32_t k = 0; k < f->ins.data[v].nargs; k++) used[f->ins.data[v].args[k]] = true;
    }
    for (uint32_t r = 0; r < f->results.len; r++) used[f->results.data[r]] = true;
    for (Val v = 0, n = 0; v < from; v++) {
        const Ins *i = &f->ins.data[v];
        map[v] = NoVal;
        if (!used[v] || !i->type.shape) continue;
        b_at(b, i->loc, NULL);
        map[v] = b_param(b, fresh_param(p, b, "at", i->name ? i->name : "t"), i->type);
        if (dtype_is_float(i->type.dt)) t.wrt[t.n++] = n;
        t.args[n++] = *values[v];
    }
    for (Val v = from; v < f->ins.len; v++) {
        map[v] = b_copy(b, &f->ins.data[v], map);
    }
    for (uint32_t r = 0; r < f->results.len; r++) b_result(b, map[f->results.data[r]]);
    t.fn = builder_done(b);
    return t;
}

/* Whether the tail's gradient is not its slope along a random direction. */
static bool tail_wrong(Check *c, const Tail *t, const Tensor *w) {
    Program *p = c->p;
    Fn *back = t->n ? transpose_fn(p, t->fn, sym(p->cx, "tail_vjp"), t->wrt, t->n, NULL) : NULL;
    if (!back) return false;
    Tensor *args = NEW_ARRAY(c->a, Tensor, back->nparams), *bars;
    Tensor *along = NEW_ARRAY(c->a, Tensor, t->fn->nparams);
    bars = NEW_ARRAY(c->a, Tensor, back->results.len);
    copy_bytes(args, t->args, t->fn->nparams * sizeof *args);
    for (uint32_t r = 0, n = t->fn->nparams; r < t->fn->results.len; r++) {
        if (dtype_is_float(w[r].type.dt)) args[n++] = w[r];
    }
    Runner value = {.c = c, .fn = t->fn, .watch = true}, adjoint = {.c = c, .fn = back};
    Runner *runs[] = {&value, &adjoint};
    Code *code = fn_work(p, t->fn) > 2e6 ? code_new(c, runs, 2, 1) : NULL;
    Evaluator by = {run_function, &value};
    run_function(&adjoint, c->a, args, bars);
    double sum = 0, size = 0;
    for (uint32_t j = 0; j < t->n; j++) {
        Tensor u = along[t->wrt[j]] = random_direction(c, bars[j].type);
        sum += tensor_dot(&bars[j], &u);
        size += tensor_norm(&bars[j]) * tensor_norm(&bars[j]);
    }
    NumDiff nd = numdiff_at(p, t->fn, code ? &by : NULL, c->a, t->args, w);
    Compared r = compare_slope(c, &nd, along, sum, sqrt(size), 0);
    code_free(code);
    return !r.ok && !r.kink;
}

/* The last instruction whose tail is wrong, while all behind it is right. */
static void locate_rule(Check *c, const Fn *d, const Header *h, const Tensor *args,
                        const Tensor *w) {
    Program *p = c->p;
    const Fn *f = inline_calls(p, h->f, KeepBackward);
    Tensor **values = NEW_ARRAY(c->a, Tensor *, f->ins.len);
    Tensor *results = NEW_ARRAY(c->a, Tensor, f->results.len);
    interp_run(p, f, InterpF64, c->a, args, results, values);
    Val wrong = f->nparams, right = f->ins.len;
    while (right - wrong > 1) {
        Val middle = wrong + (right - wrong) / 2, cut = middle;
        while (f->ins.data[cut].op == Op_get) cut--; /* results stay with their instruction */
        if (cut <= wrong) {
            for (cut = middle; cut < right && f->ins.data[cut].op == Op_get;) cut++;
            if (cut == right) break;
        }
        Tail t = tail_of(c, f, cut, values);
        if (tail_wrong(c, &t, w)) wrong = cut;
        else right = cut;
    }
    const Ins *i = &f->ins.data[wrong];
    diag_error(p->cx, i->loc, "%s is wrong from here on: what B[%s] gives is not the derivative of "
               "'%s'", d->rule, i->op == Op_call ? i->attrs[0].s : op_info[i->op].name,
               i->op == Op_call ? i->attrs[0].s : op_info[i->op].name);
}

void locate_wrong(Check *c, const Fn *d, const Header *h, const Tensor *args, const Tensor *w) {
    if (locate_edit(c, d, h, args)) return;
    if (w && h->op != Op_jvp && h->op != Op_hvp) locate_rule(c, d, h, args, w);
    else diag_error(c->p->cx, d->loc, "%s is wrong, yet the rules give the same", d->rule);
}
