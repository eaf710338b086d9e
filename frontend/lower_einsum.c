/* einsum("bij,bjk->bik", a, b): letters name axes, "..." the others; those that are not in the
 * result are summed. Operands are taken together from left to right: a letter that neither the
 * result nor a later operand has is summed, and the rest is one batched matmul. */
#include "frontend/lower.h"

enum { MaxLetters = 52, MaxSpec = 256, MaxDots = 16 };

/* A tensor with a letter per axis. */
typedef struct Lettered {
    Value x;
    char letter[MaxLetters + 1];
    uint32_t n;
    bool dots;
} Lettered;

typedef struct Einsum {
    Frame *f;
    const Expr *e, *spec;
    const char *text;
    Dim size[128]; /* by letter */
    bool known[128];
    char result[MaxSpec + MaxDots];
    uint32_t nresult, ndots;
} Einsum;

/* A report with the caret at byte `at` of the string. */
static bool wrong(const Einsum *s, size_t at, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    Loc loc = s->spec->loc;
    loc.col += (uint32_t)at + 1;
    loc.len = 1;
    diag_error(s->f->fr->cx, loc, "%s", arena_vprintf(s->f->fr->cx->arena, fmt, ap));
    va_end(ap);
    return false;
}

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

static bool has(const char *letters, uint32_t n, char c) {
    return n && memchr(letters, c, n) != NULL;
}

static Val transposed(Frame *f, Val x, const int64_t *perm, uint32_t n) {
    bool same = true;
    for (uint32_t d = 0; d < n; d++) same &= perm[d] == d;
    Attr attr = attr_ints(f->fr->cx, perm, n);
    return same ? x : b_op(f->b, Op_transpose, &x, 1, &attr, NULL);
}

/* The axes of a letter that stands twice become one: its diagonal, by a mask and a sum. */
static void take_diagonals(Einsum *s, Lettered *t) {
    Frame *f = s->f;
    for (uint32_t i = 0; i < t->n; i++) {
        for (uint32_t k = i + 1; k < t->n; k++) {
            if (t->letter[k] != t->letter[i]) continue;
            Type type = b_type(f->b, t->x.v);
            int64_t n = type.shape->dim[i];
            Attr count = attr_int(n);
            Val at = b_op(f->b, Op_iota, NULL, 0, &count, NULL);
            int64_t *dim = NEW_ARRAY(f->fr->cx->arena, int64_t, type.shape->rank);
            Val mask[2];
            for (int side = 0; side < 2; side++) {
                for (uint32_t d = 0; d < type.shape->rank; d++) dim[d] = 1;
                dim[side ? k : i] = n;
                Val one = b_reshape(f->b, at, shape_of(f->fr->cx, dim, type.shape->rank));
                mask[side] = b_broadcast(f->b, one, type.shape);
            }
            Val own = b_op(f->b, Op_eq, mask, 2, NULL, NULL);
            Val args[] = {own, t->x.v, b_float(f->b, type, 0)};
            Val kept = b_op(f->b, Op_where, args, 3, NULL, NULL);
            int64_t drop = k;
            Attr axes = attr_ints(f->fr->cx, &drop, 1);
            t->x.v = b_op(f->b, Op_reduce_sum, &kept, 1, &axes, NULL);
            memmove(&t->letter[k], &t->letter[k + 1], t->n - k);
            t->n--;
            k--;
        }
    }
}

/* Sums the axes whose letter nobody else needs. */
static void sum_private(Einsum *s, Lettered *t, const char *needed, uint32_t nneeded) {
    int64_t axes[MaxLetters];
    uint32_t n = 0, kept = 0;
    for (uint32_t d = 0; d < t->n; d++) {
        if (has(needed, nneeded, t->letter[d])) t->letter[kept++] = t->letter[d];
        else axes[n++] = d;
    }
    if (!n) return;
    Attr attr = attr_ints(s->f->fr->cx, axes, n);
    t->x.v = b_op(s->f->b, Op_reduce_sum, &t->x.v, 1, &attr, NULL);
    t->n = kept;
}

/* Axes in the order of `letters`. */
static void reorder(Einsum *s, Lettered *t, const char *letters, uint32_t n) {
    int64_t perm[MaxLetters] = {0};
    for (uint32_t d = 0; d < n; d++) {
        perm[d] = (const char *)memchr(t->letter, letters[d], t->n) - t->letter;
    }
    t->x.v = transposed(s->f, t->x.v, perm, n);
    copy_bytes(t->letter, letters, n);
}

typedef struct Kinds { /* of the letters of a product */
    char batch[MaxLetters], left[MaxLetters], right[MaxLetters], inner[MaxLetters];
    uint32_t nbatch, nleft, nright, ninner;
} Kinds;

static Kinds sort_letters(const Lettered *a, const Lettered *b, const char *needed, uint32_t n) {
    Kinds k = {0};
    for (uint32_t d = 0; d < a->n; d++) {
        char c = a->letter[d];
        if (!has(b->letter, b->n, c)) k.left[k.nleft++] = c;
        else if (has(needed, n, c)) k.batch[k.nbatch++] = c;
        else k.inner[k.ninner++] = c;
    }
    for (uint32_t d = 0; d < b->n; d++) {
        if (!has(a->letter, a->n, b->letter[d])) k.right[k.nright++] = b->letter[d];
    }
    return k;
}

static int64_t extent(const Einsum *s, const char *letters, uint32_t n) {
    int64_t size = 1;
    for (uint32_t d = 0; d < n; d++) size *= s->size[(unsigned char)letters[d]].n;
    return size;
}

static uint32_t join(char *to, uint32_t n, const char *letters, uint32_t more) {
    copy_bytes(to + n, letters, more);
    return n + more;
}

/* t as [batch.., rows, columns] */
static Val as_matrices(Einsum *s, Lettered *t, const Kinds *k, const char *rows, uint32_t nrows,
                       const char *cols, uint32_t ncols) {
    char order[3 * MaxLetters];
    int64_t dim[3];
    uint32_t n = join(order, 0, k->batch, k->nbatch);
    n = join(order, n, rows, nrows);
    n = join(order, n, cols, ncols);
    reorder(s, t, order, n);
    dim[0] = extent(s, k->batch, k->nbatch);
    dim[1] = extent(s, rows, nrows);
    dim[2] = extent(s, cols, ncols);
    return b_reshape(s->f->b, t->x.v, shape_of(s->f->fr->cx, dim, 3));
}

/* a and b as one tensor with the letters that are needed. */
static void multiply(Einsum *s, Lettered *a, Lettered *b, const char *needed, uint32_t n) {
    Cx *cx = s->f->fr->cx;
    char both[2 * MaxLetters + MaxSpec];
    uint32_t m = join(both, 0, needed, n);
    sum_private(s, a, both, join(both, m, b->letter, b->n));
    sum_private(s, b, both, join(both, m, a->letter, a->n));
    Kinds k = sort_letters(a, b, needed, n);
    Val x = as_matrices(s, a, &k, k.left, k.nleft, k.inner, k.ninner);
    Val y = as_matrices(s, b, &k, k.inner, k.ninner, k.right, k.nright);
    a->x.v = b_op(s->f->b, Op_matmul, (Val[]){x, y}, 2, NULL, NULL);
    a->n = join(a->letter, 0, k.batch, k.nbatch);
    a->n = join(a->letter, a->n, k.left, k.nleft);
    a->n = join(a->letter, a->n, k.right, k.nright);
    int64_t dim[MaxLetters];
    for (uint32_t d = 0; d < a->n; d++) dim[d] = s->size[(unsigned char)a->letter[d]].n;
    a->x.v = b_reshape(s->f->b, a->x.v, shape_of(cx, dim, a->n));
}

/* ---- the string ---- */

static bool ends(const char *at) { return !*at || *at == ',' || !strncmp(at, "->", 2); }

/* The next axis of t has letter c. */
static bool name_axis(Einsum *s, size_t pos, unsigned char c, uint32_t index, Lettered *t) {
    uint32_t rank = b_type(s->f->b, t->x.v).shape->rank;
    if (t->n == rank || t->n == MaxLetters) {
        return wrong(s, pos, "operand %u has only %u axes: it is %s", index + 1, rank,
                     v_describe(s->f, t->x));
    }
    Dim d = t->x.dims[t->n];
    if (s->known[c] && s->size[c].n != d.n) {
        const char *name = is_letter((char)c) ? (char[]){(char)c, 0} : "...";
        return wrong(s, pos, "'%s' is %lld here and %lld before", name, (long long)d.n,
                     (long long)s->size[c].n);
    }
    if (!s->known[c]) s->size[c] = d;
    s->known[c] = true;
    t->letter[t->n++] = (char)c;
    return true;
}

/* The axes under the dots at *at are named by their distance from the last of them: 1, 2, .... */
static bool name_dots(Einsum *s, const char **at, uint32_t index, Lettered *t) {
    size_t pos = (size_t)(*at - s->text);
    uint32_t rank = b_type(s->f->b, t->x.v).shape->rank, rest = 0;
    if (strncmp(*at, "...", 3) != 0) return wrong(s, pos, "a letter or '...' names axes");
    *at += 2;
    for (const char *p = *at + 1; !ends(p); p++) rest += *p != ' ';
    if (t->dots) return wrong(s, pos, "'...' stands once for each operand");
    t->dots = true;
    uint32_t n = rank > t->n + rest ? rank - t->n - rest : 0;
    if (n > MaxDots) return wrong(s, pos, "'...' stands for %u axes at most", MaxDots);
    if (n > s->ndots) s->ndots = n;
    for (uint32_t k = n; k > 0; k--) {
        if (!name_axis(s, pos, (unsigned char)k, index, t)) return false;
    }
    return true;
}

static bool read_operand(Einsum *s, const char **at, uint32_t index, Lettered *t) {
    uint32_t rank = b_type(s->f->b, t->x.v).shape->rank;
    for (; !ends(*at); ++*at) {
        size_t pos = (size_t)(*at - s->text);
        char c = **at;
        if (c == ' ') continue;
        if (c == '.') {
            if (!name_dots(s, at, index, t)) return false;
        } else if (!is_letter(c)) {
            return wrong(s, pos, "a letter names an axis; '%c' is none", c);
        } else if (!name_axis(s, pos, (unsigned char)c, index, t)) {
            return false;
        }
    }
    if (t->n == rank) return true;
    return wrong(s, (size_t)(*at - s->text), "operand %u has %u axes, %u are named: it is %s",
                 index + 1, rank, t->n, v_describe(s->f, t->x));
}

static void dots_of_result(Einsum *s) {
    for (uint32_t k = s->ndots; k > 0; k--) s->result[s->nresult++] = (char)k;
}

/* NumPy's rule where the string has no arrow: the axes under the dots, then the letters that
 * stand once, in alphabetic order. */
static void implied_result(Einsum *s) {
    dots_of_result(s);
    for (int c = 'A'; c <= 'z'; c++) {
        uint32_t count = 0;
        for (const char *p = s->text; *p; p++) count += *p == c;
        if (is_letter((char)c) && count == 1) s->result[s->nresult++] = (char)c;
    }
}

static bool read_result(Einsum *s, const char *at) {
    bool dots = false;
    for (; *at; at++) {
        size_t pos = (size_t)(at - s->text);
        if (*at == ' ') continue;
        if (!dots && !strncmp(at, "...", 3)) {
            dots_of_result(s);
            dots = true;
            at += 2;
            continue;
        }
        if (!is_letter(*at) || !s->known[(unsigned char)*at])
            return wrong(s, pos, "'%c' names no axis of an operand", *at);
        if (has(s->result, s->nresult, *at)) return wrong(s, pos, "'%c' stands twice", *at);
        s->result[s->nresult++] = *at;
    }
    if (dots || !s->ndots) return true;
    return wrong(s, (size_t)(at - s->text), "the result has no '...', an operand has");
}

static bool read_spec(Einsum *s, Lettered *t, uint32_t n) {
    const char *at = s->text;
    for (uint32_t i = 0; i < n; i++) {
        if (!read_operand(s, &at, i, &t[i])) return false;
        if (i + 1 < n) {
            if (*at != ',')
                return wrong(s, (size_t)(at - s->text), "%u operands are given, the string has %u",
                             n, i + 1);
            at++;
        }
    }
    if (*at == ',') {
        return wrong(s, (size_t)(at - s->text), "%u operand%s given, the string has more", n,
                     n == 1 ? " is" : "s are");
    }
    if (!strncmp(at, "->", 2)) return read_result(s, at + 2);
    implied_result(s);
    return true;
}

/* What the result and operands from i on name, each once. */
static uint32_t needed_from(const Einsum *s, const Lettered *t, uint32_t n, uint32_t i, char *out) {
    uint32_t m = join(out, 0, s->result, s->nresult);
    for (; i < n; i++) {
        for (uint32_t d = 0; d < t[i].n; d++) {
            if (!has(out, m, t[i].letter[d])) out[m++] = t[i].letter[d];
        }
    }
    return m;
}

static bool evaluate_operands(Frame *f, const Expr *e, Lettered *t, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        const Arg *a = &e->args.data[i + 1];
        t[i].x = v_materialise(f, a->loc, lower_expr(f, a->value, NULL), -1, NULL);
        if (t[i].x.kind == VError) return false;
        DType dt = v_type(f, t[i].x).dt;
        if (dtype_is_float(dt) && dt == v_type(f, t[0].x).dt) continue;
        diag_error(f->fr->cx, a->loc, "einsum takes floats of one type, this is %s",
                   v_describe(f, t[i].x));
        return false;
    }
    return true;
}

Value near_einsum(Frame *f, const Expr *e, Sym name, const Want *want) {
    (void)name, (void)want;
    Cx *cx = f->fr->cx;
    uint32_t n = e->args.len ? e->args.len - 1 : 0;
    const Expr *spec = n ? e->args.data[0].value : NULL;
    if (!spec || spec->kind != ExString) {
        diag_error(cx, e->loc, "einsum needs a string and tensors: einsum(\"ij,jk->ik\", a, b)");
        return v_error();
    }
    Einsum s = {.f = f, .e = e, .spec = spec, .text = spec->name};
    if (strlen(s.text) >= MaxSpec) {
        wrong(&s, MaxSpec, "the string is too long");
        return v_error();
    }
    Lettered *t = NEW_ARRAY(cx->arena, Lettered, n);
    if (!evaluate_operands(f, e, t, n) || !read_spec(&s, t, n)) return v_error();
    char *needed = NEW_ARRAY(cx->arena, char, MaxSpec * 2);
    b_at(f->b, e->loc, NULL);
    for (uint32_t i = 0; i < n; i++) take_diagonals(&s, &t[i]);
    for (uint32_t i = 1; i < n; i++) {
        multiply(&s, &t[0], &t[i], needed, needed_from(&s, t, n, i + 1, needed));
    }
    sum_private(&s, &t[0], s.result, s.nresult);
    reorder(&s, &t[0], s.result, s.nresult);
    Dim *dims = NEW_ARRAY(cx->arena, Dim, s.nresult);
    for (uint32_t d = 0; d < s.nresult; d++) dims[d] = s.size[(unsigned char)s.result[d]];
    return v_tensor(f, t[0].x.v, dims);
}
