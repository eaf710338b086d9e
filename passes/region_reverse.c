/* Reverse mode of regions: what all share, and those that compute again what they need. A branch of
 * cond and the function of checkpoint are computed again in the backward part, the latter from
 * operands behind opt_barrier, so that nothing of it is merged with the first time. Loops:
 * region_scan.c, region_while.c. Tests: tests/passes/region_test.c */
#include "passes/reverse.h"

static Pulled pulled(Reverse *r, Val v) {
    Pulled q = {.r = r, .ins = &r->fn->ins.data[v], .a = r->a.region[v],
                .results = results_of(r->p, r->fn, v)};
    const Fn *body = q.a->r.body;
    q.wrt = marked_params(r->p, q.a->wrt, body->nparams, &q.nwrt);
    q.want = NEW_ARRAY(r->p->cx->scratch, bool, body->results.len);
    copy_bytes(q.want, q.a->result, body->results.len * sizeof *q.want);
    return q;
}

Type formal_type(const Pulled *q, uint32_t k) { return q->a->r.body->ins.data[k].type; }

Type region_result_type(const Pulled *q, uint32_t k) {
    const Fn *body = q->a->r.body;
    return body->ins.data[body->results.data[k]].type;
}

Val region_operand(const Pulled *q, uint32_t formal) {
    return q->r->map[q->ins->args[q->a->r.first + formal]];
}

Val region_cotangent(const Pulled *q, uint32_t k) {
    Val y = q->results.data[k];
    return q->r->adj[y] != NoVal ? q->r->adj[y]
                                 : b_float(q->r->b, q->r->fn->ins.data[y].type, 0);
}

Sym region_label(const Pulled *q) {
    Text t = {0};
    const char *name = q->ins->op == Op_call ? q->ins->attrs[0].s : op_info[q->ins->op].name;
    text_add(&t, "B[%s, %s", name, q->nwrt == 1 ? "" : "(");
    for (uint32_t k = 0; k < q->nwrt; k++) {
        text_add(&t, "%s%s", k ? ", " : "", q->a->r.body->ins.data[q->wrt[k]].name);
    }
    text_add(&t, "%s]", q->nwrt == 1 ? "" : ")");
    return sym(q->r->p->cx, text_done(&t, q->r->p->cx->scratch));
}

void region_add(const Pulled *q, const Val *adjoints) {
    for (uint32_t k = 0; k < q->nwrt; k++) {
        Val x = q->ins->args[q->a->r.first + q->wrt[k]];
        if (q->r->a.active[x]) add_adjoint(q->r, x, adjoints[k], NoVal, region_label(q));
    }
}

/* ---- cond, checkpoint ---- */

Fn *region_backward(const Pulled *q, const Fn *fn) {
    Program *p = q->r->p;
    Fn *back = transpose_fn(p, fn, fn->name, q->wrt, q->nwrt, q->want);
    if (back) add_fresh(p, back, fn->name, "back");
    return back;
}

static void backward_types(const Pulled *q, Type *types) {
    for (uint32_t k = 0; k < q->nwrt; k++) types[k] = formal_type(q, q->wrt[k]);
}

/* Appends the operands of the body, then the cotangents. */
static void backward_args(const Pulled *q, bool barrier, Vals *args) {
    Reverse *r = q->r;
    Arena *s = r->p->cx->scratch;
    const Fn *body = q->a->r.body;
    for (uint32_t k = 0; k < body->nparams; k++) {
        Val x = region_operand(q, k);
        if (barrier && dtype_is_float(formal_type(q, k).dt)) {
            x = b_op(r->b, Op_opt_barrier, &x, 1, NULL, NULL);
        }
        vec_push(s, args, x);
    }
    for (uint32_t k = 0; k < body->results.len; k++) {
        if (q->want[k]) vec_push(s, args, region_cotangent(q, k));
    }
}

static void pull_branches(Pulled *q) {
    Reverse *r = q->r;
    Arena *s = r->p->cx->scratch;
    const Fn *then = region_backward(q, q->a->r.body);
    const Fn *otherwise = then ? region_backward(q, q->a->r.other) : NULL;
    if (!otherwise) {
        r->errors++;
        return;
    }
    Vals args = {0};
    b_at(r->b, q->ins->loc, region_label(q));
    vec_push(s, &args, r->map[q->ins->args[0]]);
    backward_args(q, false, &args);
    Type *types = NEW_ARRAY(s, Type, q->nwrt);
    Val *adjoints = NEW_ARRAY(s, Val, q->nwrt);
    backward_types(q, types);
    Attr attrs[] = {attr_fn(then->name), attr_fn(otherwise->name)};
    b_multi(r->b, Op_cond, args.data, args.len, attrs, types, q->nwrt, adjoints);
    region_add(q, adjoints);
}

static void pull_checkpoint(Pulled *q) {
    Reverse *r = q->r;
    const Fn *back = region_backward(q, q->a->r.body);
    if (!back) {
        r->errors++;
        return;
    }
    Vals args = {0};
    b_at(r->b, q->ins->loc, region_label(q));
    backward_args(q, true, &args);
    Val *adjoints = NEW_ARRAY(r->p->cx->scratch, Val, q->nwrt);
    b_call(r->b, back, args.data, args.len, adjoints);
    region_add(q, adjoints);
}

void region_save(Reverse *r, Val v) {
    Pulled q = pulled(r, v);
    if (q.ins->op == Op_scan) save_scan(&q, v);
    else if (q.ins->op == Op_while) save_call(&q, v);
    else if (while_part(r->p, q.ins).pair) save_part(&q, v);
    else if (q.ins->op == Op_call) save_call(&q, v);
    else r->map[v] = b_copy(r->b, q.ins, r->map);
}

void region_pull(Reverse *r, Val v) {
    Pulled q = pulled(r, v);
    bool reached = false;
    for (uint32_t k = 0; k < q.results.len; k++) reached |= r->adj[q.results.data[k]] != NoVal;
    if (!reached) return;
    switch (q.ins->op) {
    case Op_scan:
        if (r->saved[v]) pull_scan(&q, r->saved[v]);
        break;
    case Op_cond: pull_branches(&q); break;
    case Op_while:
    case Op_call:
        if (while_part(r->p, q.ins).pair) pull_part(&q, r->saved[v]);
        else if (r->saved[v]) pull_call(&q, r->saved[v]);
        break;
    default: pull_checkpoint(&q);
    }
}
