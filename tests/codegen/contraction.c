/* Contractions as programs of one kernel. */
#include "tests/codegen/contraction.h"

typedef struct Dims {
    int64_t v[3];
    uint32_t rank;
} Dims;

static Dims dims(const Contraction *c, int64_t rows, int64_t cols) {
    if (c->batch) return (Dims){{c->batch, rows, cols}, 3};
    return (Dims){{rows, cols}, 2};
}

static Type type(Program *p, const Contraction *c, Dims d) {
    return type_of(c->dt, shape_of(p->cx, d.v, d.rank));
}

/* A parameter [.., rows, cols], or the transpose of one that is stored the other way. */
static Val operand(Program *p, Builder *b, const Contraction *c, const char *name, int64_t rows,
                   int64_t cols, bool flipped) {
    Dims d = flipped ? dims(c, cols, rows) : dims(c, rows, cols);
    return b_param(b, sym(p->cx, name), type(p, c, d));
}

static Val swapped(Builder *b, Val x, bool flipped) {
    return flipped ? b_op(b, Op_transpose, &x, 1, NULL, NULL) : x;
}

void contraction_fuse(Program *p, Fn *f, Val root) {
    Arena *a = p->cx->arena;
    Kernel *k = NEW(a, Kernel);
    *k = (Kernel){.kind = KernContract, .root = root, .space = f->ins.data[root].type.shape};
    f->plan = NEW(a, Plan);
    f->plan->bufs = NEW_ARRAY(a, Buf, f->ins.len);
    for (Val v = 0; v < f->ins.len; v++) {
        if (v < f->nparams) {
            vec_push(a, &k->inputs, v);
            f->plan->bufs[v] = (Buf){.kind = BufArg, .index = v};
        } else {
            vec_push(a, &k->members, v);
        }
    }
    Val result = f->results.data[0];
    vec_push(a, &k->outputs, result);
    f->plan->bufs[result] = (Buf){.kind = BufResult};
    vec_push(a, &f->kernels, k);
    f->props |= PropNoOperators | PropInlined | PropFused | PropPlanned;
}

Val contraction_write(Program *p, const char *name, const Contraction *c) {
    Builder *b = builder_new(p, sym(p->cx, name), true);
    Val x[2], bias;
    x[0] = operand(p, b, c, "a", c->m, c->k, c->a_flipped);
    x[1] = operand(p, b, c, "b", c->k, c->n, c->b_flipped);
    bias = b_param(b, sym(p->cx, "bias"), type(p, c, (Dims){{c->n}, 1}));
    x[0] = swapped(b, x[0], c->a_flipped);
    x[1] = swapped(b, x[1], c->b_flipped);
    Val root = b_op(b, Op_matmul, x, 2, NULL, NULL), r = root;
    if (c->biased) {
        const Shape *out = b_type(b, root).shape;
        r = b_add(b, r, b_broadcast(b, bias, out));
        Val zero = b_float(b, b_type(b, root), 0);
        r = b_op(b, Op_max, (Val[]){r, zero}, 2, NULL, NULL);
    }
    if (c->rooted) r = b_op(b, Op_rsqrt, &r, 1, NULL, NULL);
    b_result(b, r);
    Fn *f = builder_done(b);
    f->exported = true;
    program_add(p, f);
    return root;
}

void contraction_add(Program *p, const char *name, const Contraction *c) {
    Val root = contraction_write(p, name, c);
    contraction_fuse(p, program_fn(p, sym(p->cx, name)), root);
}
