#include "support.h"

#include <stdlib.h>

Fixture fixture_open(bool raw) {
    Cx *cx = cx_new();
    Program *p = program_new(cx);
    return (Fixture){cx, p, builder_new(p, sym(cx, "f"), raw)};
}

void fixture_close(Fixture *f) { cx_free(f->cx); }

Type type_from(Cx *cx, const char *text) {
    Type t = {0};
    int64_t dim[8];
    uint32_t rank = 0;
    size_t n = strcspn(text, "<[;");
    while (strncmp(dtype_name(t.dt), text, n) != 0 || dtype_name(t.dt)[n]) t.dt++;
    char *s = (char *)(uintptr_t)text + n;
    if (*s == '<') t.range = strtoll(s + 1, &s, 10), s++;
    if (*s == '[') {
        do dim[rank++] = strtoll(s + 1, &s, 10);
        while (*s == ',');
    }
    t.shape = shape_of(cx, dim, rank);
    return t;
}

Attr ints_from(Cx *cx, const char *text) {
    int64_t v[16];
    uint32_t n = 0;
    char *s = (char *)(uintptr_t)text;
    while (*s) v[n++] = strtoll(s, &s, 10);
    return attr_ints(cx, v, n);
}

Val param(Fixture *f, const char *name, const char *type) {
    return b_param(f->b, sym(f->cx, name), type_from(f->cx, type));
}

Val num(Fixture *f, const char *type, double v) {
    return b_float(f->b, type_from(f->cx, type), v);
}

Val op(Fixture *f, Op what, uint32_t nargs, ...) {
    Val args[8];
    va_list ap;
    va_start(ap, nargs);
    for (uint32_t k = 0; k < nargs; k++) args[k] = va_arg(ap, Val);
    va_end(ap);
    return b_op(f->b, what, args, nargs, NULL, NULL);
}

Val op_attr(Fixture *f, Op what, Attr attr, Val x) {
    Attr attrs[MaxAttrs] = {attr};
    return b_op(f->b, what, &x, 1, attrs, NULL);
}

Val op_given(Fixture *f, Op what, const char *type, Val x) {
    Type t = type_from(f->cx, type);
    return b_op(f->b, what, &x, 1, NULL, &t);
}

const char *text_with(Fixture *f, Val v) {
    Fn *fn = b_fn(f->b);
    fn->results.len = 0;
    b_result(f->b, v);
    Text t = {0}, plain = {0};
    print_fn(f->p, fn, &t);
    const char *s = text_done(&t, f->cx->arena);
    for (const char *origin; (origin = strstr(s, "  //@")); s = origin + strcspn(origin, "\n")) {
        text_addn(&plain, s, (size_t)(origin - s));
    }
    text_addn(&plain, s, strlen(s));
    return text_done(&plain, f->cx->arena);
}
