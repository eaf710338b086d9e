/* The rules of std/rules.bp for one instance. */
#include "tests/rules/rules_test.h"

#include <math.h>

#define GATE_COMPLEX 1e-11
#define GATE_DOT 1e-13

typedef struct Both { /* an instance and its rules */
    Suite *s;
    const Instance *x;
    const Fn *backward, *forward;
    Ins site;
    Tensor y;
} Both;

static double dot(const Tensor *a, const Tensor *b) {
    double sum = 0;
    for (int64_t i = 0; i < a->type.shape->size; i++) sum += a->re[i] * b->re[i];
    return sum;
}

static bool close(double a, double b, double scale, double gate) {
    return fabs(a - b) <= gate * fmax(1, fmax(scale, fmax(fabs(a), fabs(b))));
}

/* How much larger the terms are than their sum may be. */
static double size_of(const Tensor *a, const Tensor *b) {
    return sqrt(dot(a, a) * dot(b, b));
}

static bool is_float(Type t) {
    return dtype_is_float(t.dt);
}

/* fn (operands, v, weights...): the sum of weight * B[op, operand](v), y computed inside. */
static Fn *pulled(Both *q) {
    const Instance *x = q->x;
    Cx *cx = q->s->cx;
    Builder *b = builder_new(q->s->p, program_fresh(q->s->p, "pulled"), false);
    Val vals[MaxOperands * 2 + 2], weight[MaxOperands], bars[MaxOperands];
    for (uint32_t i = 0; i < x->n; i++) vals[i] = b_param(b, sym_fmt(cx, "x%u", i), x->args[i]);
    Val v = b_param(b, sym(cx, "v"), x->result);
    for (uint32_t i = 0; i < x->n; i++) {
        if (is_float(x->args[i])) weight[i] = b_param(b, sym_fmt(cx, "w%u", i), x->args[i]);
    }
    vals[x->n] = b_op(b, x->op, vals, x->n, x->attrs, NULL);
    vals[x->n + 1] = v;
    splice(q->s->p, b, q->backward, vals, NULL, &(Splice){0}, bars);
    Val total = NoVal;
    for (uint32_t i = 0; i < x->n; i++) {
        if (!is_float(x->args[i])) continue;
        Val term = b_mul(b, weight[i], b_sum_to(b, bars[i], x->args[i].shape));
        term = b_sum_to(b, term, shape_scalar(cx));
        total = total == NoVal ? term : b_add(b, total, term);
    }
    b_result(b, total);
    return builder_done(b);
}

/* The derivative of the rule, by the passes, against differences of the rule. */
static void second_order(Both *q) {
    Suite *s = q->s;
    const Instance *x = q->x;
    Fn *f = pulled(q);
    uint32_t wrt[MaxOperands + 1], n = 0;
    for (uint32_t i = 0; i < x->n; i++) {
        if (is_float(x->args[i])) wrt[n++] = i;
    }
    wrt[n++] = x->n; /* the cotangent: a rule is linear in it */
    program_add(s->p, f);
    Fn *d = differentiate(s->p, f, program_fresh(s->p, "second"), wrt, n);
    if (!d) {
        check(s, false, "%s: the rule cannot be differentiated", instance_text(s, x));
        return;
    }
    Tensor *args = NEW_ARRAY(s->a, Tensor, f->nparams),
           *got = NEW_ARRAY(s->a, Tensor, d->results.len);
    for (uint32_t i = 0; i < f->nparams; i++) {
        args[i] = i < x->n ? x->inputs[i] : draw_tensor(s, f->ins.data[i].type, DomAny);
    }
    interp_run(s->p, d, InterpF64, s->a, args, got, NULL);
    Tensor one = tensor_new(s->a, f->ins.data[f->results.data[0]].type, false);
    one.re[0] = 1;
    for (uint32_t k = 0; k < n; k++) {
        double err;
        Tensor u = draw_tensor(s, f->ins.data[wrt[k]].type, DomAny);
        double want = numdiff_directional(s->p, f, s->a, args, wrt[k], &u, &one, &err);
        double have = dot(&got[1 + k], &u);
        check(s,
              close(have, want, size_of(&got[1 + k], &u), 10 * GATE_COMPLEX) ||
                  fabs(have - want) <= 100 * err,
              "%s: second order in operand %u: %.12g, the difference is %.12g", instance_text(s, x),
              wrt[k], have, want);
    }
}

static Tensor *rule_arguments(Both *q, const Tensor *more, uint32_t n) {
    Tensor *args = NEW_ARRAY(q->s->a, Tensor, q->x->n + 1 + n);
    for (uint32_t i = 0; i < q->x->n; i++) args[i] = q->x->inputs[i];
    args[q->x->n] = q->y;
    for (uint32_t i = 0; i < n; i++) args[q->x->n + 1 + i] = more[i];
    return args;
}

/* Each line of the backward rule, made as wide or narrow as its operand by `pulled`. */
static void first_order(Both *q) {
    Suite *s = q->s;
    const Instance *x = q->x;
    Tensor v = draw_tensor(s, x->result, DomAny), *dx = NEW_ARRAY(s->a, Tensor, x->n + 1);
    uint32_t wrt[MaxOperands], n = 0;
    for (uint32_t i = 0; i < x->n; i++) {
        if (!is_float(x->args[i])) continue;
        dx[n] = draw_tensor(s, x->args[i], DomAny);
        wrt[n++] = i;
    }
    Fn *t = transpose_fn(s->p, x->fn, program_fresh(s->p, "vjp"), wrt, n, NULL);
    if (!t) {
        check(s, false, "%s cannot be differentiated", instance_text(s, x));
        return;
    }
    Tensor *args = NEW_ARRAY(s->a, Tensor, x->n + 1), *bars = NEW_ARRAY(s->a, Tensor, n);
    memcpy(args, x->inputs, x->n * sizeof *args);
    args[x->n] = v;
    interp_run(s->p, t, InterpF64, s->a, args, bars, NULL);
    double back = 0, scale = 0;
    for (uint32_t k = 0; k < n; k++) {
        double err,
            want = numdiff_directional(s->p, x->fn, s->a, x->inputs, wrt[k], &dx[k], &v, &err);
        double have = dot(&bars[k], &dx[k]);
        back += have;
        scale += size_of(&bars[k], &dx[k]);
        check(s,
              close(have, want, size_of(&bars[k], &dx[k]), GATE_COMPLEX) ||
                  fabs(have - want) <= 100 * err,
              "B[%s] for operand %u: %.12g, the difference is %.12g", instance_text(s, x), wrt[k],
              have, want);
    }
    if (!q->forward) return;
    Tensor dy;
    interp_run(s->p, q->forward, InterpF64, s->a, rule_arguments(q, dx, n), &dy, NULL);
    double along = dot(&v, &dy);
    check(s,
          close(back, along, scale + size_of(&v, &dy),
                GATE_DOT * sqrt((double)v.type.shape->size + 1)),
          "J[%s]: <v, Ju> = %.15g, <B(v), u> = %.15g", instance_text(s, x), along, back);
}

static bool smooth(Op op) {
    static const Op kinked[] = {Op_abs,        Op_sign,       Op_floor,        Op_ceil,
                                Op_round,      Op_max,        Op_min,          Op_mod,
                                Op_reduce_max, Op_reduce_min, Op_stop_gradient};
    for (size_t i = 0; i < LEN(kinked); i++) {
        if (kinked[i] == op) return false;
    }
    return true;
}

void check_derivatives(Suite *s, const Instance *x) {
    bool floats = false;
    for (uint32_t i = 0; i < x->n; i++) floats |= is_float(x->args[i]);
    if (!floats || !is_float(x->result)) return;
    Attr none[MaxAttrs] = {{0}};
    Both q = {.s = s,
              .x = x,
              .site = {.op = (uint16_t)x->op,
                       .nargs = x->n,
                       .attrs = op_info[x->op].nattrs ? x->attrs : none}};
    Sym name = sym(s->cx, op_info[x->op].name);
    q.backward = s->p->rule(s->p, RuleBackward, name, &q.site, x->args, &x->result, 1);
    q.forward = s->p->rule(s->p, RuleForward, name, &q.site, x->args, &x->result, 1);
    if (x->op == Op_concat)
        q.forward = NULL; /* the engine's own rule */
    else
        check(s, q.backward && q.forward, "%s has no rule; write one, `zero` or `nodiff`", name);
    interp_run(s->p, x->fn, InterpF64, s->a, x->inputs, &q.y, NULL);
    if (x->op == Op_stop_gradient) return; /* not the derivative of its value, by intent */
    first_order(&q);
    if (q.backward && smooth(x->op)) second_order(&q);
}
