/* Arrays: NumPy's npy and the idx files of MNIST, read by hand with every size checked against what
 * the file really holds; their elements; conversion to a type. */
#include "runtime/data.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* ---- reading ---- */

typedef struct Kind {
    char letter; /* f i u b */
    int size;
    DType as;        /* what it is kept as */
    unsigned char idx; /* its code in an idx file, or 0 */
} Kind;
static const Kind kinds[] = {
    {'f', 2, F32, 0},    {'f', 4, F32, 0x0D}, {'f', 8, F64, 0x0E}, {'i', 1, I32, 0x09},
    {'i', 2, I32, 0x0B}, {'i', 4, I32, 0x0C}, {'i', 8, I64, 0},    {'u', 1, I32, 0x08},
    {'u', 2, I32, 0},    {'u', 4, I64, 0},    {'u', 8, I64, 0},    {'b', 1, BOOL, 0},
};

/* What a header says of the elements behind it. */
typedef struct Npy {
    const Kind *kind;
    bool big, fortran;
    uint32_t rank;
    int64_t dim[MaxRank], size;
} Npy;

static const char *add_dim(Npy *h, int64_t n) {
    if (h->rank == MaxRank) return "too many dimensions";
    h->dim[h->rank++] = n;
    return __builtin_mul_overflow(h->size, n, &h->size) ? "its size overflows" : NULL;
}

static const char *check_length(const Npy *h, size_t len) {
    size_t needed;
    if (size_mul((size_t)h->size, (size_t)h->kind->size, &needed) && needed == len) return NULL;
    return "the data is not as long as the shape says";
}

static const char *after(const char *head, const char *key) {
    const char *p = strstr(head, key);
    if (!p) return NULL;
    p += strlen(key);
    return p + strspn(p, " :");
}

static const char *parse_descr(const char *head, Npy *h) {
    const char *p = after(head, "'descr'");
    if (!p || *p++ != '\'') return "no descr";
    h->big = *p == '>';
    if (strchr("<>=|", *p)) p++;
    char *end;
    long size = strtol(p + 1, &end, 10);
    for (size_t i = 0; i < LEN(kinds) && *end == '\''; i++) {
        if (kinds[i].letter == *p && kinds[i].size == size) h->kind = &kinds[i];
    }
    return h->kind ? NULL : "its element type is not supported";
}

static const char *parse_shape(const char *head, Npy *h) {
    const char *p = after(head, "'shape'");
    if (!p || *p++ != '(') return "no shape";
    h->size = 1;
    while (*p && *p != ')') {
        char *end;
        errno = 0;
        long long n = strtoll(p, &end, 10);
        if (end == p || errno || n < 0) return "a broken shape";
        const char *wrong = add_dim(h, n);
        if (wrong) return wrong;
        p = end + strspn(end, ", L");
    }
    return *p == ')' ? NULL : "a broken shape";
}

static const char *parse_npy(Arena *a, const unsigned char *bytes, size_t len, Npy *h,
                             size_t *data) {
    if (len < 10 || memcmp(bytes, "\x93NUMPY", 6)) return "not an npy file";
    size_t n = bytes[8] | (size_t)bytes[9] << 8, at = 10;
    if (bytes[6] >= 2) {
        if (len < 12) return "the header is cut off";
        n |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
        at = 12;
    }
    if (n > len - at) return "the header is cut off";
    const char *head = arena_strndup(a, (const char *)bytes + at, n);
    *data = at + n;
    const char *wrong = parse_descr(head, h);
    if (!wrong) wrong = parse_shape(head, h);
    const char *order = after(head, "'fortran_order'");
    h->fortran = order && !strncmp(order, "True", 4);
    return wrong ? wrong : check_length(h, len - *data);
}

/* Two zeros, the code of the element type, the rank, and each dimension in four bytes. */
static const char *parse_idx(const unsigned char *bytes, size_t len, Npy *h, size_t *data) {
    if (len < 4 || bytes[0] || bytes[1]) return "not an idx file";
    for (size_t i = 0; i < LEN(kinds); i++) {
        if (bytes[2] && kinds[i].idx == bytes[2]) h->kind = &kinds[i];
    }
    if (!h->kind) return "not an idx file (unknown element type)";
    *data = 4 + 4 * (size_t)bytes[3];
    if (*data > len) return "the header is cut off";
    h->big = true;
    h->size = 1;
    for (const unsigned char *p = bytes + 4; p < bytes + *data; p += 4) {
        const char *wrong = add_dim(h, (int64_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3]);
        if (wrong) return wrong;
    }
    return check_length(h, len - *data);
}

static double half_value(uint16_t h) {
    int e = h >> 10 & 31, m = h & 1023;
    double v = e == 31 ? m ? (double)NAN : (double)INFINITY
               : e     ? ldexp(1024 + m, e - 25)
                       : ldexp(m, -24);
    return h >> 15 ? -v : v;
}

static void keep_element(const Npy *h, const unsigned char *from, void *to, int64_t i) {
    uint64_t u = 0;
    int size = h->kind->size;
    for (int b = 0; b < size; b++) u |= (uint64_t)from[h->big ? size - 1 - b : b] << (8 * b);
    uint32_t w = (uint32_t)u;
    switch (h->kind->as) {
    case F32:
        if (size == 2)
            ((float *)to)[i] = (float)half_value((uint16_t)u);
        else
            memcpy((float *)to + i, &w, 4);
        break;
    case F64:
        memcpy((double *)to + i, &u, 8);
        break;
    case BOOL:
        ((uint8_t *)to)[i] = u != 0;
        break;
    default: {
        int64_t v = (int64_t)u;
        if (h->kind->letter == 'i' && size < 8)
            v = (int64_t)(u << (64 - 8 * size)) >> (64 - 8 * size);
        if (h->kind->as == I32)
            ((int32_t *)to)[i] = (int32_t)v;
        else
            ((int64_t *)to)[i] = v;
    }
    }
}

/* Where row-major element i stands in Fortran order. */
static int64_t fortran_at(const Npy *h, int64_t i) {
    int64_t at = 0, stride = h->size;
    for (uint32_t d = h->rank; d-- > 0;) {
        stride /= h->dim[d] ? h->dim[d] : 1;
        at += i % h->dim[d] * stride;
        i /= h->dim[d];
    }
    return at;
}

static void keep_array(Arena *a, const Npy *h, const unsigned char *from, Array *out) {
    int64_t *dim = NEW_ARRAY(a, int64_t, h->rank + 1);
    memcpy(dim, h->dim, h->rank * sizeof *dim);
    out->type = (MfType){h->kind->as, h->rank, 0, h->size, dim};
    out->data = arena_array(a, (size_t)h->size + 1, dtype_size(h->kind->as));
    for (int64_t i = 0; i < h->size; i++) {
        int64_t at = h->fortran ? fortran_at(h, i) : i;
        keep_element(h, from + (size_t)at * (size_t)h->kind->size, out->data, i);
    }
}

const char *npy_parse(Arena *a, const void *bytes, size_t len, Array *out) {
    Npy h = {0};
    size_t data;
    const char *wrong = parse_npy(a, bytes, len, &h, &data);
    if (!wrong) keep_array(a, &h, (const unsigned char *)bytes + data, out);
    return wrong;
}

bool array_read(Arena *a, const char *path, bool idx, Array *out, Text *err) {
    size_t len, data;
    const unsigned char *bytes = (const unsigned char *)file_read(a, path, &len, err);
    if (!bytes) return false;
    *out = (Array){.name = path};
    Npy h = {0};
    const char *wrong =
        idx ? parse_idx(bytes, len, &h, &data) : parse_npy(a, bytes, len, &h, &data);
    if (!wrong && !h.rank) wrong = "a single number, not rows";
    if (!wrong) keep_array(a, &h, bytes + data, out);
    if (wrong) text_add(err, "%s: error: %s", path, wrong);
    return !wrong;
}

/* ---- elements ---- */

double array_float(const Array *x, int64_t i) { return mf_load(x->type.dt, x->data, i); }

int64_t array_int(const Array *x, int64_t i) {
    switch (x->type.dt) {
    case I32:
        return ((const int32_t *)x->data)[i];
    case I64:
        return ((const int64_t *)x->data)[i];
    case BOOL:
        return ((const uint8_t *)x->data)[i];
    default:
        break;
    }
    double v = array_float(x, i);
    return v >= -0x1p63 && v < 0x1p63 ? (int64_t)v : 0;
}

/* NULL if element i fits the type. */
static const char *misfit(Arena *a, const Array *x, MfType t, int64_t i) {
    bool from_float = dtype_is_float(x->type.dt);
    if (dtype_is_float(t.dt)) return NULL;
    double v = array_float(x, i);
    if (from_float && v != floor(v)) return arena_printf(a, "%g is not an integer", v);
    int64_t n = array_int(x, i), low = t.dt == I32 ? INT32_MIN : INT64_MIN,
            high = t.dt == I32 ? INT32_MAX : INT64_MAX;
    if (t.dt == BOOL) low = 0, high = 1;
    if (t.range) low = 0, high = t.range - 1;
    if (from_float && !(v >= -0x1p63 && v < 0x1p63)) n = high, low = INT64_MAX;
    if (n >= low && n <= high) return NULL;
    return t.range ? arena_printf(a, "%g is not in [0, %lld)", v, (long long)t.range)
                   : arena_printf(a, "%g does not fit %s", v, dtype_name(t.dt));
}

bool array_convert(Arena *a, const Array *x, MfType t, void *dst, Text *err) {
    if (!mf_same_shape(x->type, t)) {
        text_add(err, "'%s' has shape %s, %s is needed", x->name, mf_type_text(a, x->type),
                 mf_type_text(a, t));
        return false;
    }
    for (int64_t i = 0; i < t.size; i++) {
        const char *wrong = misfit(a, x, t, i);
        if (wrong) {
            text_add(err, "'%s', element %lld: %s", x->name, (long long)i, wrong);
            return false;
        }
        if (t.dt == I32)
            ((int32_t *)dst)[i] = (int32_t)array_int(x, i);
        else if (t.dt == I64)
            ((int64_t *)dst)[i] = array_int(x, i);
        else
            mf_store(t.dt, dst, i, array_float(x, i));
    }
    return true;
}
