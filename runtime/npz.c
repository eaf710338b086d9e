/* NumPy's npz: a zip of npy files. Headers are read by hand, every size is checked against what
 * the archive really holds. */
#include "runtime/data.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include <minizip/unzip.h>
#include <minizip/zip.h>

/* ---- reading ---- */

typedef struct Kind {
    char letter; /* f i u b */
    int size;
    MfDType as; /* what it is kept as */
} Kind;
static const Kind kinds[] = {
    {'f', 2, MfF32}, {'f', 4, MfF32}, {'f', 8, MfF64}, {'i', 1, MfI32},
    {'i', 2, MfI32}, {'i', 4, MfI32}, {'i', 8, MfI64}, {'u', 1, MfI32},
    {'u', 2, MfI32}, {'u', 4, MfI64}, {'u', 8, MfI64}, {'b', 1, MfBool},
};

typedef struct Npy {
    const Kind *kind;
    bool big, fortran;
    uint32_t rank;
    int64_t dim[MfMaxRank], size;
} Npy;

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
        if (h->rank == MfMaxRank) return "too many dimensions";
        h->dim[h->rank++] = n;
        if (__builtin_mul_overflow(h->size, (int64_t)n, &h->size)) return "its size overflows";
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
    size_t bytes_needed;
    if (!wrong && (!size_mul((size_t)h->size, (size_t)h->kind->size, &bytes_needed) ||
                   bytes_needed != len - *data)) {
        wrong = "the data is not as long as the shape says";
    }
    return wrong;
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
    case MfF32:
        if (size == 2)
            ((float *)to)[i] = (float)half_value((uint16_t)u);
        else
            memcpy((float *)to + i, &w, 4);
        break;
    case MfF64:
        memcpy((double *)to + i, &u, 8);
        break;
    case MfBool:
        ((uint8_t *)to)[i] = u != 0;
        break;
    default: {
        int64_t v = (int64_t)u;
        if (h->kind->letter == 'i' && size < 8)
            v = (int64_t)(u << (64 - 8 * size)) >> (64 - 8 * size);
        if (h->kind->as == MfI32)
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

static const char *keep_array(Arena *a, const unsigned char *bytes, size_t len, Array *out) {
    Npy h = {0};
    size_t data;
    const char *wrong = parse_npy(a, bytes, len, &h, &data);
    if (wrong) return wrong;
    int64_t *dim = NEW_ARRAY(a, int64_t, h.rank + 1);
    memcpy(dim, h.dim, h.rank * sizeof *dim);
    out->type = (MfType){h.kind->as, h.rank, 0, h.size, dim};
    out->data = arena_array(a, (size_t)h.size + 1, mf_dtype_size(h.kind->as));
    for (int64_t i = 0; i < h.size; i++) {
        int64_t from = h.fortran ? fortran_at(&h, i) : i;
        keep_element(&h, bytes + data + (size_t)from * (size_t)h.kind->size, out->data, i);
    }
    return NULL;
}

static const char *read_entry(Arena *a, unzFile z, size_t file_size, Array *out) {
    unz_file_info64 info;
    char name[256];
    if (unzGetCurrentFileInfo64(z, &info, name, sizeof name, NULL, 0, NULL, 0) != UNZ_OK)
        return "a broken entry";
    name[sizeof name - 1] = 0;
    size_t n = strlen(name), len = (size_t)info.uncompressed_size;
    if (n > 4 && !strcmp(name + n - 4, ".npy")) n -= 4;
    out->name = arena_strndup(a, name, n);
    if (info.compressed_size > file_size || len > (size_t)2 << 30 ||
        len / 1100 > info.compressed_size + 1) {
        return "an entry is larger than the file can hold";
    }
    if (unzOpenCurrentFile(z) != UNZ_OK) return "an entry cannot be opened";
    unsigned char *bytes = arena_array(a, len + 1, 1);
    size_t got = 0;
    int r = 0;
    while (got < len &&
           (r = unzReadCurrentFile(z, bytes + got,
                                   (unsigned)(len - got > 1 << 30 ? 1 << 30 : len - got))) > 0) {
        got += (size_t)r;
    }
    bool more = got == len && unzReadCurrentFile(z, (unsigned char[1]){0}, 1) > 0;
    int closed = unzCloseCurrentFile(z);
    if (got != len || more || r < 0) return "an entry is cut off";
    if (closed == UNZ_CRCERROR) return "an entry is damaged (checksum)";
    return keep_array(a, bytes, len, out);
}

bool npz_read(Arena *a, const char *path, Npz *out, Text *err) {
    *out = (Npz){.path = path};
    FILE *f = fopen(path, "rb");
    if (!f) {
        text_add(err, "%s: error: cannot open: %s", path, strerror(errno));
        return false;
    }
    fseek(f, 0, SEEK_END);
    size_t file_size = (size_t)ftell(f);
    fclose(f);
    unzFile z = unzOpen64(path);
    unz_global_info64 info;
    const char *wrong =
        z && unzGetGlobalInfo64(z, &info) == UNZ_OK ? NULL : "not an npz (zip) file";
    if (!wrong && info.number_entry > file_size / 46) wrong = "the directory is broken";
    if (!wrong) out->arrays = NEW_ARRAY(a, Array, (size_t)info.number_entry + 1);
    int at = wrong ? UNZ_END_OF_LIST_OF_FILE : unzGoToFirstFile(z);
    size_t total = 0;
    while (!wrong && at == UNZ_OK && out->n < info.number_entry) {
        Array *x = &out->arrays[out->n++];
        wrong = read_entry(a, z, file_size, x);
        if (!wrong && (total += mf_bytes(x->type)) > (size_t)8 << 30)
            wrong = "the arrays are too large";
        at = unzGoToNextFile(z);
    }
    if (z) unzClose(z);
    if (!wrong && (!out->n || out->n != info.number_entry)) wrong = "the directory is cut off";
    if (!wrong) return true;
    const char *name = out->n ? out->arrays[out->n - 1].name : NULL;
    text_add(err, "%s: error: %s%s%s", path, name ? name : "", name ? ": " : "", wrong);
    return false;
}

const Array *npz_find(const Npz *z, const char *name) {
    for (uint32_t i = 0; i < z->n; i++) {
        if (!strcmp(z->arrays[i].name, name)) return &z->arrays[i];
    }
    return NULL;
}

/* ---- elements ---- */

double array_float(const Array *x, int64_t i) {
    if (x->type.dt == MfF32) return (double)((const float *)x->data)[i];
    if (x->type.dt == MfF64) return ((const double *)x->data)[i];
    return (double)array_int(x, i);
}

int64_t array_int(const Array *x, int64_t i) {
    switch (x->type.dt) {
    case MfI32:
        return ((const int32_t *)x->data)[i];
    case MfI64:
        return ((const int64_t *)x->data)[i];
    case MfBool:
        return ((const uint8_t *)x->data)[i];
    default:
        break;
    }
    double v = array_float(x, i);
    return v >= -0x1p63 && v < 0x1p63 ? (int64_t)v : 0;
}

void store_float(MfDType dt, void *data, int64_t i, double v) {
    uint32_t bits;
    float f = dt == MfBF16 ? round_bf16((float)v) : (float)v;
    switch (dt) {
    case MfF32:
        ((float *)data)[i] = f;
        break;
    case MfF64:
        ((double *)data)[i] = v;
        break;
    case MfBF16:
        memcpy(&bits, &f, 4);
        ((uint16_t *)data)[i] = (uint16_t)(bits >> 16);
        break;
    case MfI32:
        ((int32_t *)data)[i] = (int32_t)v;
        break;
    case MfI64:
        ((int64_t *)data)[i] = (int64_t)v;
        break;
    case MfBool:
        ((uint8_t *)data)[i] = v != 0;
        break;
    case MfDTypeCount:
        break;
    }
}

/* NULL if element i fits the type. */
static const char *misfit(Arena *a, const Array *x, MfType t, int64_t i) {
    bool from_float = x->type.dt == MfF32 || x->type.dt == MfF64;
    bool to_float = t.dt == MfF32 || t.dt == MfF64 || t.dt == MfBF16;
    if (to_float) return NULL;
    double v = array_float(x, i);
    if (from_float && v != floor(v)) return arena_printf(a, "%g is not an integer", v);
    int64_t n = array_int(x, i), low = t.dt == MfI32 ? INT32_MIN : INT64_MIN,
            high = t.dt == MfI32 ? INT32_MAX : INT64_MAX;
    if (t.dt == MfBool) low = 0, high = 1;
    if (t.range) low = 0, high = t.range - 1;
    if (from_float && !(v >= -0x1p63 && v < 0x1p63)) n = high, low = INT64_MAX;
    if (n >= low && n <= high) return NULL;
    return t.range ? arena_printf(a, "%g is not in [0, %lld)", v, (long long)t.range)
                   : arena_printf(a, "%g does not fit %s", v, mf_dtype_name(t.dt));
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
        if (t.dt == MfI32)
            ((int32_t *)dst)[i] = (int32_t)array_int(x, i);
        else if (t.dt == MfI64)
            ((int64_t *)dst)[i] = array_int(x, i);
        else
            store_float(t.dt, dst, i, array_float(x, i));
    }
    return true;
}

/* ---- writing ---- */

static const char *const descrs[MfDTypeCount] = {
    [MfF32] = "<f4", [MfF64] = "<f8", [MfBF16] = "<f4",
    [MfI32] = "<i4", [MfI64] = "<i8", [MfBool] = "|b1"};

static bool write_entry(Arena *a, zipFile z, const Array *x) {
    Text head = {0};
    text_add(&head, "{'descr': '%s', 'fortran_order': False, 'shape': (", descrs[x->type.dt]);
    for (uint32_t d = 0; d < x->type.rank; d++)
        text_add(&head, "%lld, ", (long long)x->type.dim[d]);
    text_add(&head, "), }");
    while ((10 + head.len + 1) % 64) text_addn(&head, " ", 1);
    text_addn(&head, "\n", 1);
    unsigned char start[10] = {0x93,
                               'N',
                               'U',
                               'M',
                               'P',
                               'Y',
                               1,
                               0,
                               (unsigned char)head.len,
                               (unsigned char)(head.len >> 8)};
    size_t bytes = mf_bytes(x->type);
    void *data = x->data;
    if (x->type.dt == MfBF16) { /* NumPy has no bf16: written as f32 */
        uint32_t *wide = NEW_ARRAY(a, uint32_t, (size_t)x->type.size + 1);
        for (int64_t i = 0; i < x->type.size; i++)
            wide[i] = (uint32_t)((uint16_t *)x->data)[i] << 16;
        data = wide;
        bytes *= 2;
    }
    zip_fileinfo when = {.tmz_date = {.tm_mday = 1, .tm_year = 1980}};
    const char *name = arena_printf(a, "%s.npy", x->name);
    bool ok = zipOpenNewFileInZip64(z, name, &when, NULL, 0, NULL, 0, NULL, 0, 0, 1) == ZIP_OK &&
              zipWriteInFileInZip(z, start, sizeof start) == ZIP_OK &&
              zipWriteInFileInZip(z, head.data, (unsigned)head.len) == ZIP_OK &&
              (!bytes || zipWriteInFileInZip(z, data, (unsigned)bytes) == ZIP_OK);
    ok = zipCloseFileInZip(z) == ZIP_OK && ok;
    free(head.data);
    return ok;
}

bool npz_write(Arena *a, const char *path, const Array *arrays, uint32_t n, Text *err) {
    const char *temp = arena_printf(a, "%s.tmp%d", path, (int)getpid());
    zipFile z = zipOpen64(temp, APPEND_STATUS_CREATE);
    bool ok = z != NULL;
    for (uint32_t i = 0; ok && i < n; i++) ok = write_entry(a, z, &arrays[i]);
    if (z) ok = zipClose(z, NULL) == ZIP_OK && ok;
    ok = ok && rename(temp, path) == 0;
    if (!ok) {
        text_add(err, "%s: error: cannot write: %s", path, strerror(errno));
        unlink(temp);
    }
    return ok;
}
