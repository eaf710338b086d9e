/* Adjoints that arrive in parts. The adjoint of a slice is the cotangent between zeros, so each
 * part of a value that was split would add zeros to all the others. Parts are kept until all have
 * arrived; those that lie side by side become one concat:
 *
 *   let (f, g) = split(z, parts=2);     d_z = pad(d_f, 0, ..) + pad(d_g, 0, ..)
 *
 *   let d_z: f64[8] = concat(d_f, d_g, axis=0);  //@ m.bp:2:14 B[slice, x]
 *
 * Tests: tests/passes/reverse_test.c */
#include "passes/reverse.h"

typedef struct Part {
    Val v;           /* the pad */
    uint32_t axis;   /* along which there are zeros */
    int64_t lo, end; /* where its operand lies */
    Sym rule;
} Part;

struct Parts {
    VEC(Part) all;
};

/* A pad by zeros along one axis. */
static bool find_part(const Builder *b, Val v, Part *part) {
    const Ins *i = b_ins(b, v);
    uint32_t axes = 0;
    if (i->op != Op_pad || !is_zero(b, i->args[1])) return false;
    const Shape *from = b_type(b, i->args[0]).shape;
    for (uint32_t d = 0; d < from->rank; d++) {
        int64_t lo = i->attrs[0].is.v[d], hi = i->attrs[1].is.v[d];
        if (i->attrs[2].is.v[d]) return false;
        if (!lo && !hi) continue;
        if (axes++) return false;
        *part = (Part){.v = v, .axis = d, .lo = lo, .end = lo + from->dim[d]};
    }
    return axes == 1;
}

bool keep_part(Reverse *r, Val x, Val contribution, Sym rule) {
    Part part;
    if (!find_part(r->b, contribution, &part)) return false;
    part.rule = rule;
    if (!r->parts[x]) r->parts[x] = NEW(r->p->cx->scratch, struct Parts);
    vec_push(r->p->cx->scratch, &r->parts[x]->all, part);
    return true;
}

static bool comes_before(const Part *x, const Part *y) {
    return x->axis != y->axis ? x->axis < y->axis : x->lo < y->lo;
}

static void sort(Part *p, uint32_t n) {
    for (uint32_t i = 1; i < n; i++) {
        Part x = p[i];
        uint32_t k = i;
        for (; k && comes_before(&x, &p[k - 1]); k--) p[k] = p[k - 1];
        p[k] = x;
    }
}

/* n parts side by side as one value of their type. */
static Val join(Reverse *r, const Part *p, uint32_t n) {
    Builder *b = r->b;
    if (n == 1) return p->v;
    Val *inner = NEW_ARRAY(r->p->cx->scratch, Val, n), zero = b_ins(b, p->v)->args[1];
    for (uint32_t i = 0; i < n; i++) inner[i] = b_ins(b, p[i].v)->args[0];
    const Shape *whole = b_type(b, p->v).shape;
    const Attr axis = attr_int(p->axis);
    b_at(b, b_ins(b, p->v)->loc, p->rule);
    Val y = b_op(b, Op_concat, inner, n, &axis, NULL);
    int64_t lo = p[0].lo, hi = whole->dim[p->axis] - p[n - 1].end;
    if (!lo && !hi) return y;
    int64_t *los = NEW_ARRAY(r->p->cx->scratch, int64_t, whole->rank);
    int64_t *his = NEW_ARRAY(r->p->cx->scratch, int64_t, whole->rank);
    int64_t *none = NEW_ARRAY(r->p->cx->scratch, int64_t, whole->rank);
    los[p->axis] = lo;
    his[p->axis] = hi;
    Attr attrs[] = {attr_ints(r->p->cx, los, whole->rank), attr_ints(r->p->cx, his, whole->rank),
                    attr_ints(r->p->cx, none, whole->rank)};
    return b_op(b, Op_pad, (Val[]){y, zero}, 2, attrs, NULL);
}

void settle_parts(Reverse *r, Val x) {
    if (!r->parts[x]) return;
    Part *p = r->parts[x]->all.data;
    uint32_t n = r->parts[x]->all.len;
    r->parts[x] = NULL;
    sort(p, n);
    for (uint32_t i = 0, k; i < n; i = k) {
        for (k = i + 1; k < n && p[k].axis == p[i].axis && p[k].lo == p[k - 1].end;) k++;
        sum_adjoint(r, x, join(r, p + i, k - i), p[i].rule);
    }
}
