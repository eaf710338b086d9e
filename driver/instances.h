/* Well-typed uses of an operation, drawn until the row's own shape rule accepts them: there is no
 * code for any one operation, so a new row is proven and tested without any. */
#ifndef BPC_INSTANCES_H
#define BPC_INSTANCES_H

#include "ir/ir.h"

typedef struct Drawer {
    Program *p;
    Arena *a; /* of tensors */
    uint64_t key;
} Drawer;

typedef struct Instance {
    Op op;
    uint32_t n;
    Type args[MaxOperands], result;
    Attr attrs[MaxAttrs];
    Fn *fn;         /* params are the operands, the result is the operation's */
    Tensor *inputs; /* from the row's domain */
} Instance;

uint64_t draw(Drawer *d, uint64_t below);
/* Operations with operands to draw. */
bool can_draw(Op op);
/* Up to `most` different instances with floats of type dt (differentiable: that take and give
 * floats); where the row allows it, with sizes 0, 1 and a prime among them. */
uint32_t instances_draw(Drawer *d, Op op, DType dt, bool differentiable, Instance *out,
                        uint32_t most);
/* "mul(f64[3], f64[3])" */
const char *instance_text(Drawer *d, const Instance *x);

#endif
