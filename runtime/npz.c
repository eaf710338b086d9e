/* NumPy's npz: a zip of npy files. Headers are read by hand, every size is checked against what
 * the archive really holds. */
#include "runtime/data.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <minizip/unzip.h>
#include <minizip/zip.h>

/* ---- reading ---- */

/* The archive in memory, as minizip wants to see a file. */
typedef struct Memory {
    const char *bytes;
    uint64_t len, at;
} Memory;

static voidpf memory_open(voidpf m, const void *name, int mode) {
    (void)name, (void)mode;
    return m;
}
static uLong memory_read(voidpf m, voidpf stream, void *to, uLong n) {
    (void)stream;
    Memory *f = m;
    if (n > f->len - f->at) n = (uLong)(f->len - f->at);
    memcpy(to, f->bytes + f->at, n);
    f->at += n;
    return n;
}
static ZPOS64_T memory_tell(voidpf m, voidpf stream) {
    (void)stream;
    return ((Memory *)m)->at;
}
static long memory_seek(voidpf m, voidpf stream, ZPOS64_T offset, int origin) {
    (void)stream;
    Memory *f = m;
    uint64_t from = origin == ZLIB_FILEFUNC_SEEK_CUR   ? f->at
                    : origin == ZLIB_FILEFUNC_SEEK_END ? f->len
                                                       : 0;
    if (offset > f->len - from) return -1;
    f->at = from + offset;
    return 0;
}
static int memory_close(voidpf m, voidpf stream) {
    (void)m, (void)stream;
    return 0;
}

static unzFile open_memory(Memory *m) {
    zlib_filefunc64_def calls = {.zopen64_file = memory_open,
                                 .zread_file = memory_read,
                                 .ztell64_file = memory_tell,
                                 .zseek64_file = memory_seek,
                                 .zclose_file = memory_close,
                                 .zerror_file = memory_close,
                                 .opaque = m};
    return unzOpen2_64("", &calls);
}

/* budget: bytes of the file that no entry has claimed yet. */
static const char *read_entry(Arena *a, unzFile z, uint64_t *budget, Array *out) {
    unz_file_info64 info;
    char name[256];
    if (unzGetCurrentFileInfo64(z, &info, name, sizeof name, NULL, 0, NULL, 0) != UNZ_OK)
        return "a broken entry";
    name[sizeof name - 1] = 0;
    size_t n = strlen(name), len = (size_t)info.uncompressed_size;
    if (n > 4 && !strcmp(name + n - 4, ".npy")) n -= 4;
    out->name = arena_strndup(a, name, n);
    if (info.compressed_size > *budget || len > (size_t)2 << 30 ||
        len / 1100 > info.compressed_size + 1) {
        return "an entry is larger than the file can hold";
    }
    *budget -= info.compressed_size;
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
    return npy_parse(a, bytes, len, out);
}

static int by_name(const void *x, const void *y) {
    return strcmp(*(const char *const *)x, *(const char *const *)y);
}

/* A name that two entries have, or NULL. */
static const char *twice(Arena *a, const Npz *z) {
    const char **names = NEW_ARRAY(a, const char *, z->n);
    for (uint32_t i = 0; i < z->n; i++) names[i] = z->arrays[i].name;
    qsort(names, z->n, sizeof *names, by_name);
    for (uint32_t i = 1; i < z->n; i++) {
        if (!strcmp(names[i - 1], names[i])) return names[i];
    }
    return NULL;
}

bool npz_read(Arena *a, const char *path, Npz *out, Text *err) {
    *out = (Npz){.path = path};
    size_t len;
    Memory file = {.bytes = file_read(a, path, &len, err)};
    if (!file.bytes) return false;
    file.len = len;
    unzFile z = open_memory(&file);
    uint64_t budget = len;
    unz_global_info64 info;
    const char *wrong =
        z && unzGetGlobalInfo64(z, &info) == UNZ_OK ? NULL : "not an npz (zip) file";
    if (!wrong && info.number_entry > len / 46) wrong = "the directory is broken";
    if (!wrong) out->arrays = NEW_ARRAY(a, Array, (size_t)info.number_entry + 1);
    int at = wrong ? UNZ_END_OF_LIST_OF_FILE : unzGoToFirstFile(z);
    size_t total = 0;
    while (!wrong && at == UNZ_OK && out->n < info.number_entry) {
        Array *x = &out->arrays[out->n++];
        wrong = read_entry(a, z, &budget, x);
        if (!wrong && (total += mf_bytes(x->type)) > (size_t)8 << 30)
            wrong = "the arrays are too large";
        at = unzGoToNextFile(z);
    }
    if (z) unzClose(z);
    if (!wrong && (!out->n || out->n != info.number_entry)) wrong = "the directory is cut off";
    const char *again = wrong ? NULL : twice(a, out);
    if (again) {
        text_add(err, "%s: error: two arrays are named '%s'", path, again);
        return false;
    }
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

/* ---- writing ---- */

static const char *const descrs[DTypeCount] = {
    [F32] = "<f4", [F64] = "<f8", [BF16] = "<f4",
    [I32] = "<i4", [I64] = "<i8", [BOOL] = "|b1"};

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
    if (x->type.dt == BF16) { /* NumPy has no bf16: written as f32 */
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
