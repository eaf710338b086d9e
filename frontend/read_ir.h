/* What the files that read IR text share. */
#ifndef BPC_READ_IR_H
#define BPC_READ_IR_H

#include "frontend/frontend.h"

typedef struct Reader {
    Program *p;
    Cx *cx;
    Builder *b;
    const Item *item;
    VEC(struct Named {
        Sym name;
        Val v;
    })
    names;
} Reader;

/* Reports; always false. */
bool ir_wrong(Reader *r, Loc loc, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The value that an operand names. */
bool ir_find(Reader *r, const Expr *e, Val *out);
bool ir_read_let(Reader *r, const Stmt *st);

/* ---- read_ir_attr.c: false where e is none; those with a reader report ---- */
bool ir_read_type(Reader *r, const TypeX *t, Type *out);
/* A number of the type, negative ones too. */
bool ir_read_num(const Expr *e, DType dt, Num *out);
bool ir_is_literal(const Expr *e);
/* Among the attributes of op, the one that a names. */
bool ir_read_attr(Reader *r, Op op, const Arg *a, Attr *attrs);

#endif
