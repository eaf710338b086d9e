/* The safetensors format: 8 bytes of header length (little endian), a JSON header, then the
 * tensors' bytes. A file is hostile until checked: its header is believed only where offsets,
 * shapes, types and the SHA-256 of the bytes all agree. */
#include "runtime/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LengthBytes = 8, MaxHeader = 100 * 1000 * 1000, Align = 64 };

static const char *const st_dtypes[DTypeCount] = {
    [F32] = "F32", [F64] = "F64", [BF16] = "BF16",
    [I32] = "I32", [I64] = "I64", [BOOL] = "BOOL",
};

static json_t *entry_json(const Slot *t, size_t at) {
    json_t *e = json_object(), *shape = json_array(), *offsets = json_array();
    for (uint32_t i = 0; i < t->type.rank; i++) {
        json_array_append_new(shape, json_integer(t->type.dim[i]));
    }
    json_array_append_new(offsets, json_integer((json_int_t)at));
    json_array_append_new(offsets, json_integer((json_int_t)(at + mf_bytes(t->type))));
    json_object_set_new(e, "dtype", json_string(st_dtypes[t->type.dt]));
    json_object_set_new(e, "shape", shape);
    json_object_set_new(e, "data_offsets", offsets);
    return e;
}

char *st_header(Arena *a, const Slot *tensors, uint32_t n, const Meta *meta, uint32_t nmeta,
                size_t *len) {
    json_t *root = json_object(), *texts = json_object();
    Sha256 sha;
    sha256_init(&sha);
    size_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        json_object_set_new(root, tensors[i].name, entry_json(&tensors[i], at));
        at += mf_bytes(tensors[i].type);
        sha256_add(&sha, tensors[i].data, mf_bytes(tensors[i].type));
    }
    char hex[65];
    sha256_hex(&sha, hex);
    for (uint32_t i = 0; i < nmeta; i++) {
        json_object_set_new(texts, meta[i].key, json_string(meta[i].value));
    }
    json_object_set_new(texts, "sha256", json_string(hex));
    json_object_set_new(root, "__metadata__", texts);
    char *json = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(root);
    if (!json) return NULL;
    /* Blanks after the JSON let the tensors begin at a multiple of 64. */
    size_t text = strlen(json), total = (LengthBytes + text + Align - 1) / Align * Align;
    char *out = arena_array(a, total, 1);
    memset(out, ' ', total);
    memcpy(out + LengthBytes, json, text);
    free(json);
    uint64_t stated = total - LengthBytes;
    for (int i = 0; i < LengthBytes; i++) out[i] = (char)(stated >> 8 * i);
    *len = total;
    return out;
}

/* ---- reading ---- */
typedef struct StRegion {
    size_t begin, end;
    uint32_t tensor;
} StRegion;

typedef struct StFile {
    Arena *a;
    const char *path;
    const char *error;
    size_t data_len;
    StRegion *regions; /* per tensor */
} StFile;

static bool bad(StFile *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
static bool bad(StFile *f, const char *fmt, ...) {
    if (f->error) return false;
    va_list ap;
    va_start(ap, fmt);
    f->error = arena_printf(f->a, "%s: %s", f->path, arena_vprintf(f->a, fmt, ap));
    va_end(ap);
    return false;
}

static bool read_type(StFile *f, const char *name, const json_t *e, MfType *t) {
    const char *dtype = json_string_value(json_object_get(e, "dtype"));
    int dt = 0;
    while (dt < DTypeCount && (!dtype || strcmp(dtype, st_dtypes[dt]))) dt++;
    if (dt == DTypeCount) {
        return bad(f, "tensor '%s' has the unknown dtype '%s'", name, dtype ? dtype : "");
    }
    const json_t *shape = json_object_get(e, "shape");
    size_t rank = json_array_size(shape);
    if (!json_is_array(shape) || rank > MaxRank) return bad(f, "tensor '%s': bad shape", name);
    int64_t *dim = NEW_ARRAY(f->a, int64_t, rank);
    *t = (MfType){.dt = (DType)dt, .rank = (uint32_t)rank, .size = 1, .dim = dim};
    for (size_t i = 0; i < rank; i++) {
        const json_t *d = json_array_get(shape, i);
        dim[i] = json_integer_value(d);
        bool fits = json_is_integer(d) && dim[i] >= 0;
        if (!fits || __builtin_mul_overflow(t->size, dim[i], &t->size)) {
            return bad(f, "tensor '%s': bad shape", name);
        }
    }
    return true;
}

static bool read_entry(StFile *f, const char *name, const json_t *e, Slot *t, StRegion *at) {
    t->name = arena_printf(f->a, "%s", name);
    if (!json_is_object(e) || json_object_size(e) != 3) {
        return bad(f, "tensor '%s': bad description", name);
    }
    if (!read_type(f, name, e, &t->type)) return false;
    const json_t *offsets = json_object_get(e, "data_offsets");
    const json_t *from = json_array_get(offsets, 0), *to = json_array_get(offsets, 1);
    json_int_t b = json_integer_value(from), end = json_integer_value(to);
    if (json_array_size(offsets) != 2 || !json_is_integer(from) || !json_is_integer(to) || b < 0 ||
        end < b || (uint64_t)end > f->data_len) {
        return bad(f, "tensor '%s': its offsets lie outside the file", name);
    }
    size_t bytes;
    if (!size_mul((size_t)t->type.size, dtype_size(t->type.dt), &bytes) ||
        bytes != (size_t)(end - b)) {
        return bad(f, "tensor '%s': its shape and its offsets disagree", name);
    }
    at->begin = (size_t)b;
    at->end = (size_t)end;
    return true;
}

static int by_begin(const void *a, const void *b) {
    const StRegion *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* Together the tensors must cover the bytes exactly: no overlap, no hole. */
static bool check_cover(StFile *f, const Checkpoint *c) {
    size_t covered = 0;
    qsort(f->regions, c->n, sizeof *f->regions, by_begin);
    for (uint32_t i = 0; i < c->n; i++) {
        const StRegion *r = &f->regions[i];
        const char *name = c->tensors[r->tensor].name;
        if (r->begin != covered) {
            return bad(f, "tensor '%s' overlaps another or leaves a hole", name);
        }
        covered = r->end;
    }
    return covered == f->data_len || bad(f, "cut off, or bytes after the last tensor");
}

static bool read_meta(StFile *f, json_t *texts, Checkpoint *c) {
    if (!json_is_object(texts)) return bad(f, "its metadata is no object");
    c->meta = NEW_ARRAY(f->a, Meta, json_object_size(texts));
    const char *key;
    json_t *v;
    json_object_foreach(texts, key, v) {
        const char *s = json_string_value(v);
        if (!s) return bad(f, "its metadata holds something else than text");
        c->meta[c->nmeta++] = (Meta){arena_printf(f->a, "%s", key), arena_printf(f->a, "%s", s)};
    }
    return true;
}

static bool read_header(StFile *f, const char *text, size_t len, Checkpoint *c) {
    json_error_t e;
    if (text[0] != '{') return bad(f, "no safetensors file: its header is no JSON object");
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &e);
    if (!root) return bad(f, "no safetensors file: %s", e.text);
    size_t n = json_object_size(root);
    c->tensors = NEW_ARRAY(f->a, Slot, n);
    f->regions = NEW_ARRAY(f->a, StRegion, n);
    const char *key;
    json_t *v;
    bool ok = true;
    json_object_foreach(root, key, v) {
        if (strcmp(key, "__metadata__")) {
            f->regions[c->n].tensor = c->n;
            ok = ok && read_entry(f, key, v, &c->tensors[c->n], &f->regions[c->n]);
            c->n += ok;
            continue;
        }
        ok = ok && read_meta(f, v, c);
    }
    json_decref(root);
    return ok && check_cover(f, c);
}

static bool check_bytes(StFile *f, const Checkpoint *c) {
    for (uint32_t i = 0; i < c->n; i++) {
        const Slot *t = &c->tensors[i];
        const unsigned char *p = t->data;
        for (int64_t k = 0; t->type.dt == BOOL && k < t->type.size; k++) {
            if (p[k] > 1) return bad(f, "tensor '%s' holds a bool beside 0 and 1", t->name);
        }
    }
    const char *stated = ck_meta(c, "sha256");
    if (!stated) return true;
    Sha256 sha;
    char hex[65];
    sha256_init(&sha);
    sha256_add(&sha, c->data, f->data_len);
    sha256_hex(&sha, hex);
    return !strcmp(hex, stated) || bad(f, "damaged: its SHA-256 does not fit its contents");
}

static bool read_file(StFile *f, int fd, Checkpoint *c) {
    struct stat st;
    unsigned char length[LengthBytes];
    if (fstat(fd, &st) || !S_ISREG(st.st_mode)) return bad(f, "no regular file");
    uint64_t size = (uint64_t)st.st_size, header = 0;
    if (size < LengthBytes || !read_all(fd, length, sizeof length)) return bad(f, "cut off");
    for (int i = 0; i < LengthBytes; i++) header |= (uint64_t)length[i] << 8 * i;
    if (header < 2 || header > MaxHeader) return bad(f, "no safetensors file: bad header length");
    if (header > size - LengthBytes) return bad(f, "cut off in its header");
    char *text = malloc(header);
    bool ok = text && read_all(fd, text, header);
    f->data_len = size - LengthBytes - header;
    if (!ok) bad(f, "cannot read it: %s", strerror(errno));
    ok = ok && read_header(f, text, header, c);
    free(text);
    if (!ok) return false;
    c->data = malloc(f->data_len ? f->data_len : 1);
    if (!c->data) return bad(f, "out of memory");
    if (!read_all(fd, c->data, f->data_len)) return bad(f, "cut off");
    for (uint32_t i = 0; i < c->n; i++) {
        c->tensors[f->regions[i].tensor].data = c->data + f->regions[i].begin;
    }
    return check_bytes(f, c);
}

const char *ck_meta(const Checkpoint *c, const char *key) {
    for (uint32_t i = 0; i < c->nmeta; i++) {
        if (!strcmp(c->meta[i].key, key)) return c->meta[i].value;
    }
    return NULL;
}

void ck_free(Checkpoint *c) {
    free(c->data);
    *c = (Checkpoint){0};
}

const char *ck_read(Arena *a, const char *path, Checkpoint *c) {
    *c = (Checkpoint){0};
    StFile f = {.a = a, .path = path};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return arena_printf(a, "%s: %s", path, strerror(errno));
    bool ok = read_file(&f, fd, c);
    close(fd);
    if (!ok) ck_free(c);
    return f.error;
}
