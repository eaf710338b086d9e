/* Types, interned shapes, attributes, and the list of a program's functions. */
#include "ir/ir.h"

/* ---- shapes ---- */
/* Open addressing, kept at most half full. */
typedef struct ShapeTable {
    const Shape **slots;
    size_t cap, used;
} ShapeTable;

static size_t shape_slot(const ShapeTable *t, const int64_t *dim, uint32_t rank) {
    size_t bytes = rank * sizeof *dim;
    size_t i = (size_t)(hash_bytes(dim, bytes) ^ rank) & (t->cap - 1);
    while (t->slots[i] && (t->slots[i]->rank != rank ||
                           (rank && memcmp(t->slots[i]->dim, dim, bytes) != 0))) {
        i = (i + 1) & (t->cap - 1);
    }
    return i;
}

static ShapeTable *shapes_with_room(Cx *cx) {
    if (!cx->shapes) cx->shapes = NEW(cx->arena, ShapeTable);
    ShapeTable *t = cx->shapes, old = *t;
    if (old.used * 2 < old.cap) return t;
    t->cap = old.cap ? old.cap * 2 : 64;
    t->slots = NEW_ARRAY(cx->arena, const Shape *, t->cap);
    for (size_t i = 0; i < old.cap; i++) {
        const Shape *s = old.slots[i];
        if (s) t->slots[shape_slot(t, s->dim, s->rank)] = s;
    }
    return t;
}

/* The product of the dimensions with 0 counted as 1 must fit too, eight bytes an element: so must
 * every stride and every offset. */
static bool shape_size(const int64_t *dim, uint32_t rank, int64_t *size) {
    if (rank > MaxRank) return false;
    int64_t extent = 8;
    bool empty = false;
    for (uint32_t i = 0; i < rank; i++) {
        if (dim[i] < 0) return false;
        empty |= dim[i] == 0;
        if (dim[i] && __builtin_mul_overflow(extent, dim[i], &extent)) return false;
    }
    *size = empty ? 0 : extent / 8;
    return true;
}

const Shape *shape_of(Cx *cx, const int64_t *dim, uint32_t rank) {
    int64_t size;
    if (!shape_size(dim, rank, &size)) return NULL;
    ShapeTable *t = shapes_with_room(cx);
    size_t i = shape_slot(t, dim, rank);
    if (!t->slots[i]) {
        Shape *s = arena_alloc(cx->arena, sizeof(Shape) + rank * sizeof *dim);
        s->rank = rank;
        s->size = size;
        copy_bytes(s->dim, dim, rank * sizeof *dim);
        t->slots[i] = s;
        t->used++;
    }
    return t->slots[i];
}

const char *shape_excess(Cx *cx, uint32_t rank) {
    if (rank <= MaxRank) return "has too many elements";
    return arena_printf(cx->arena, "has %u dimensions, more than %d", rank, MaxRank);
}

const Shape *shape_scalar(Cx *cx) {
    const int64_t none = 0;
    return shape_of(cx, &none, 0);
}

static int64_t row_length(const Shape *s) {
    for (uint32_t d = s->rank; d-- > 0;) {
        if (s->dim[d] != 1) return s->dim[d];
    }
    return 1;
}

bool shape_same_rows(const Shape *a, const Shape *b) {
    return a == b || (a->size == b->size && row_length(a) == row_length(b));
}

/* ---- types ---- */
Val memory_of(const Fn *fn, Val v) {
    while (fn->ins.data[v].op == Op_reshape) v = fn->ins.data[v].args[0];
    return v;
}

Type type_of(DType dt, const Shape *shape) { return (Type){.dt = dt, .shape = shape}; }

bool type_equal(Type a, Type b) {
    return a.dt == b.dt && a.range == b.range && a.shape == b.shape;
}

const char *type_text(Cx *cx, Type t) {
    Text out = {0};
    text_add(&out, "%s", dtype_name(t.dt));
    if (t.range) text_add(&out, "<%lld>", (long long)t.range);
    for (uint32_t i = 0; t.shape && i < t.shape->rank; i++) {
        text_add(&out, "%s%lld", i ? ", " : "[", (long long)t.shape->dim[i]);
    }
    if (t.shape && t.shape->rank) text_add(&out, "]");
    return text_done(&out, cx->arena);
}

/* ---- attributes ---- */
Attr attr_int(int64_t i) { return (Attr){.kind = AttrInt, .i = i}; }
Attr attr_bool(bool b) { return (Attr){.kind = AttrBool, .i = b}; }
Attr attr_float(double f) { return (Attr){.kind = AttrFloat, .f = f}; }
Attr attr_fn(Sym fn) { return (Attr){.kind = AttrFn, .s = fn}; }

Attr attr_ints(Cx *cx, const int64_t *v, uint32_t n) {
    int64_t *copy = NEW_ARRAY(cx->arena, int64_t, n);
    copy_bytes(copy, v, n * sizeof *v);
    return (Attr){.kind = AttrInts, .is = {n, copy}};
}

Attr attr_names(Cx *cx, const Sym *v, uint32_t n) {
    Sym *copy = NEW_ARRAY(cx->arena, Sym, n);
    copy_bytes(copy, v, n * sizeof *v);
    return (Attr){.kind = AttrNames, .names = {n, copy}};
}

bool attr_equal(Attr a, Attr b) {
    if (a.kind != b.kind) return false;
    switch (a.kind) {
    case AttrNone: return true;
    case AttrInt:
    case AttrBool: return a.i == b.i;
    case AttrFloat: return !memcmp(&a.f, &b.f, sizeof a.f);
    case AttrFn: return a.s == b.s;
    case AttrInts:
        return a.is.n == b.is.n &&
               (!a.is.n || !memcmp(a.is.v, b.is.v, a.is.n * sizeof *a.is.v));
    case AttrNames:
        return a.names.n == b.names.n &&
               (!a.names.n || !memcmp(a.names.v, b.names.v, a.names.n * sizeof *a.names.v));
    }
    return false;
}

/* ---- entries of rules ---- */
RuleEntry entry_named(const char *word) {
    if (!word) return EntryValue;
    return !strcmp(word, "zero") ? EntryZero : !strcmp(word, "nodiff") ? EntryNoDiff : EntryValue;
}

RuleEntry rule_entry(const Ins *i) {
    return i->op == Op_const ? entry_named(i->rule) : EntryValue;
}

/* ---- programs ---- */
Program *program_new(Cx *cx) {
    Program *p = NEW(cx->arena, Program);
    p->cx = cx;
    p->real = F32;
    return p;
}

Fn *program_fn(const Program *p, Sym name) {
    for (uint32_t i = 0; i < p->fns.len; i++) {
        if (p->fns.data[i]->name == name) return p->fns.data[i];
    }
    return NULL;
}

bool program_is_entry(const Program *p, const Fn *fn) {
    if (fn->exported || fn->name == p->init) return true;
    for (uint32_t i = 0; i < p->stages.len; i++) {
        const Stage *s = p->stages.data[i];
#define FN(name) s->name,
        const Sym entries[] = {STAGE_ENTRIES(FN)};
#undef FN
        for (size_t k = 0; k < LEN(entries); k++) {
            if (fn->name == entries[k]) return true;
        }
    }
    for (uint32_t i = 0; i < p->datasets.len; i++) {
        if (fn->name == p->datasets.data[i]->row) return true;
    }
    return false;
}

void program_add(Program *p, Fn *fn) {
    for (uint32_t i = 0; i < p->fns.len; i++) {
        if (p->fns.data[i]->name == fn->name) {
            p->fns.data[i] = fn;
            return;
        }
    }
    vec_push(p->cx->arena, &p->fns, fn);
}

Sym program_fresh(const Program *p, const char *base) {
    Sym name = sym(p->cx, base);
    for (int n = 2; program_fn(p, name) || op_by_name(name) != OpCount; n++)
        name = sym_fmt(p->cx, "%s_%d", base, n);
    return name;
}
