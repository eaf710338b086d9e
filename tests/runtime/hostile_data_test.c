/* Hostile data files: each gives an error that says what is wrong with it, quickly and in little
 * memory; cut off at any byte, none is read as something else. */
#include "tests/runtime/files.h"

#include <time.h>

#include <zlib.h>

typedef struct Bytes {
    const char *at;
    size_t len;
} Bytes;
#define BYTES(literal) \
    { literal, sizeof(literal) - 1 }

/* ---- named files ---- */

typedef struct Hostile {
    const char *name, *kind;
    Bytes bytes;
    const char *error;
} Hostile;

static const Hostile files[] = {
    {"empty", "csv", BYTES(""), ":1:1: error: the file has no rows"},
    {"only a header", "csv", BYTES("a,b\n1,2\nx,y\n"), ":3:1: error: 'x' is not a number"},
    {"a row too short", "csv", BYTES("1,2\n3\n"), ":2:1: error: 1 cells, the rows before have 2"},
    {"a row too long", "csv", BYTES("1,2\n3,4,5\n"),
     ":2:1: error: 3 cells, the rows before have 2"},
    {"a quote without end", "csv", BYTES("1,2\n3,\"4\n5,6\n"),
     ":2:3: error: the cell is not one text in quotes"},
    {"text after a quote", "csv", BYTES("1,2\n\"3\"x,4\n"),
     ":2:1: error: the cell is not one text in quotes"},
    {"a NUL", "csv", BYTES("1,2\n3,4\0\n"), ":2:3: error: '4' is not a number"},
    {"binary", "csv", BYTES("\x7f\x45LF\x01\x02,\xff\n"),
     ":1:1: error: '\x7f\x45LF\x01\x02' is not"},
    {"one column", "csv", BYTES("1\n2\n"), ": error: field 'x': column 1 does not exist"},
    {"empty", "npy", BYTES(""), ": error: not an npy file"},
    {"wrong magic", "npy", BYTES("\x93NUMPZ\1\0\2\0{}"), ": error: not an npy file"},
    {"header of 64 KiB", "npy", BYTES("\x93NUMPY\1\0\xff\xff{'descr': '<f4'}"),
     ": error: the header is cut off"},
    {"header of 4 GiB", "npy", BYTES("\x93NUMPY\2\0\xff\xff\xff\xff{'descr': '<f4'}"),
     ": error: the header is cut off"},
    {"no header", "npy", BYTES("{}\n"), ": error: no descr"},
    {"objects", "npy", BYTES("{'descr': '|O', 'shape': (2,), }\n"),
     ": error: its element type is not supported"},
    {"records", "npy", BYTES("{'descr': [('a', '<f4')], 'shape': (2,), }\n"), ": error: no descr"},
    {"a size of minus one", "npy", BYTES("{'descr': '<f4', 'shape': (-1,), }\n"),
     ": error: a broken shape"},
    {"2^62 rows", "npy", BYTES("{'descr': '<f4', 'shape': (4611686018427387904, 2), }\n"),
     ": error: its size overflows"},
    {"2^61 rows", "npy", BYTES("{'descr': '<f8', 'shape': (2305843009213693952,), }\n"),
     ": error: the data is not as long as the shape says"},
    {"10^9 rows of 4 bytes", "npy", BYTES("{'descr': '<f4', 'shape': (1000000000,)}\nabcd"),
     ": error: the data is not as long as the shape says"},
    {"20 dimensions", "npy",
     BYTES("{'descr': '<f4', 'shape': (1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)}\nabcd"),
     ": error: too many dimensions"},
    {"a scalar", "npy", BYTES("{'descr': '<f4', 'shape': (), }\nabcd"),
     ": error: a single number, not rows"},
    {"no rows", "npy", BYTES("{'descr': '<f4', 'shape': (0, 2), }\n"),
     ": error: the file has no rows"},
    {"empty", "idx", BYTES(""), ": error: not an idx file"},
    {"wrong magic", "idx", BYTES("\1\0\x08\1\0\0\0\1a"), ": error: not an idx file"},
    {"unknown elements", "idx", BYTES("\0\0\x07\1\0\0\0\1a"),
     ": error: not an idx file (unknown element type)"},
    {"255 dimensions", "idx", BYTES("\0\0\x08\xff\0\0\0\1a"), ": error: the header is cut off"},
    {"no dimension", "idx", BYTES("\0\0\x08\0a"), ": error: a single number, not rows"},
    {"2^96 numbers", "idx", BYTES("\0\0\x08\3\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xffz"),
     ": error: its size overflows"},
    {"2^32 rows of one byte", "idx", BYTES("\0\0\x08\1\xff\xff\xff\xffz"),
     ": error: the data is not as long as the shape says"},
    {"a byte too many", "idx", BYTES("\0\0\x08\1\0\0\0\1ab"),
     ": error: the data is not as long as the shape says"},
    {"no rows", "idx", BYTES("\0\0\x08\1\0\0\0\0"), ": error: the file has no rows"},
    {"empty", "npz", BYTES(""), ": error: not an npz (zip) file"},
    {"no zip", "npz", BYTES("\x93NUMPY\1\0"), ": error: not an npz (zip) file"},
    {"empty zip", "npz", BYTES("PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
     ": error: not an npz (zip) file"},
    {"60,000 entries in no bytes", "npz",
     BYTES("PK\5\6\0\0\0\0\x60\xea\x60\xea\0\0\0\0\0\0\0\0\0\0"), ": error: not an npz (zip) file"},
    {"empty", "text", BYTES(""), ":1:1: error: the file is empty"},
    {"too many bytes", "text", BYTES("abcdef"),
     "field 'x': '%s' has 6 distinct bytes, more than i32<5>[2] holds"},
    {"gzip of nothing", "text", BYTES("\x1f\x8b\x08"), ": error: cannot read: "},
    {"broken gzip", "text", BYTES("\x1f\x8b\x08\0\0\0\0\0\0\3garbage and more of it"),
     ": error: cannot read: invalid block type"},
};

/* An npy may be given without magic and length: a header that ends with its line, then the data. */
static Bytes full_bytes(Files *f, const Hostile *h) {
    if (strcmp(h->kind, "npy") != 0 || h->bytes.at[0] != '{') return h->bytes;
    size_t head = (size_t)(strchr(h->bytes.at, '\n') + 1 - h->bytes.at);
    char *all = NEW_ARRAY(f->a, char, h->bytes.len + 10);
    memcpy(all, "\x93NUMPY\1\0", 8);
    all[8] = (char)head;
    memcpy(all + 10, h->bytes.at, h->bytes.len);
    return (Bytes){all, h->bytes.len + 10};
}

static bool load(Files *f, const char *kind, const char *path) {
    static const int64_t two[] = {2};
    bool text = !strcmp(kind, "text"), csv = !strcmp(kind, "csv");
    DataExpr x = {.kind = csv                    ? DxCols
                        : text                 ? DxWindow
                        : !strcmp(kind, "npz") ? DxKey
                                               : DxField,
                .b = csv ? 2 : 0,
                .s = "x"};
    MfField field = {"x", {text ? I32 : F32, 1, text ? 5 : 0, 2, two}, &x, 1, 1};
    MfDataset spec = {.name = "d",
                      .kind = kind,
                      .nfiles = 1,
                      .nfields = 1,
                      .files = &path,
                      .header = -1,
                      .sep = ',',
                      .fields = &field};
    LoadOptions o = {.source = "m.bp", .real = F32};
    return data_load(f->a, &spec, &o, &f->err);
}

static void test_named(void **state) {
    Files *f = *state;
    for (size_t i = 0; i < LEN(files); i++) {
        const Hostile *h = &files[i];
        Bytes b = full_bytes(f, h);
        const char *path = write_file(f, "hostile", b.at, b.len);
        const char *start = strstr(h->error, "%s");
        const char *want = start ? arena_printf(f->a, "%.*s%s%s", (int)(start - h->error), h->error,
                                                path, start + 2)
                                 : h->error;
        bool ok = load(f, h->kind, path);
        const char *error = taken_error(f);
        const char *note = strchr(error, '\n'); /* of the field; nothing that the file says */
        bool own = note && !strncmp(note + 1, "m.bp:1:1: note: ", 16) && !strchr(note + 1, '\n');
        if (!ok && strstr(error, want) && (!note || own)) continue;
        fail_msg("%s '%s': '%s', but it should say '%s'", h->kind, h->name, error, want);
    }
}

/* ---- files cut off ---- */

static const Hostile whole[] = {
    {"npy", "npy",
     BYTES("{'descr': '<i2', 'fortran_order': True, 'shape': (3, 2), }\n\1\0\2\0\3\0\4\0\5\0\6\0"),
     NULL},
    {"idx", "idx", BYTES("\0\0\x08\2\0\0\0\3\0\0\0\2abcdef"), NULL},
};

static void test_cut(void **state) {
    Files *f = *state;
    for (size_t i = 0; i < LEN(whole); i++) {
        const Hostile *h = &whole[i];
        Bytes b = full_bytes(f, h);
        assert_true(load(f, h->kind, write_file(f, "whole", b.at, b.len)));
        for (size_t cut = 0; cut < b.len; cut++) {
            assert_false(load(f, h->kind, write_file(f, "cut", b.at, cut)));
            assert_non_null(strstr(taken_error(f), "error: "));
        }
        for (size_t at = 0; at < b.len; at++) { /* a changed byte: an error, or numbers */
            char *bad = arena_strndup(f->a, b.at, b.len);
            memcpy(bad, b.at, b.len);
            bad[at] ^= (char)(1 + rng_bits(3, at) % 255);
            load(f, h->kind, write_file(f, "bad", bad, b.len));
            taken_error(f);
        }
    }
}

static size_t gzip(const void *from, size_t n, unsigned char *to, size_t room) {
    z_stream z = {.next_in = (unsigned char *)from, .avail_in = (unsigned)n};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 9, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_out = to;
    z.avail_out = (unsigned)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t len = room - z.avail_out;
    deflateEnd(&z);
    return len;
}

static void test_cut_gzip(void **state) {
    Files *f = *state;
    unsigned char packed[1024];
    for (size_t i = 0; i < LEN(whole); i++) {
        const Hostile *h = &whole[i];
        Bytes b = full_bytes(f, h);
        size_t n = gzip(b.at, b.len, packed, sizeof packed);
        assert_true(load(f, h->kind, write_file(f, "whole.gz", packed, n)));
        for (size_t cut = 0; cut < n; cut++) {
            assert_false(load(f, h->kind, write_file(f, "cut.gz", packed, cut)));
            assert_non_null(strstr(taken_error(f), "error: "));
        }
    }
}

/* ---- bombs ---- */

static void test_bomb(void **state) {
    Files *f = *state;
    enum { Zeros = 1 << 24, Members = 700 };
    char *zeros = calloc(1, Zeros);
    unsigned char *packed = calloc(1, Zeros / 500);
    size_t n = gzip(zeros, Zeros, packed, Zeros / 500);
    free(zeros);
    const char *path = arena_printf(f->a, "%s/bomb.gz", f->dir);
    FILE *out = fopen(path, "wb");
    for (int i = 0; i < Members; i++) assert_int_equal(fwrite(packed, 1, n, out), n);
    assert_int_equal(fclose(out), 0);
    free(packed);
    clock_t began = clock();
    assert_false(load(f, "text", path));
    assert_non_null(strstr(taken_error(f), "unpacks to more than 200 times its size"));
    assert_true(clock() - began < 10 * CLOCKS_PER_SEC);
}

/* Many entries of one zip that all claim the same bytes. */
static void test_overlap(void **state) {
    Files *f = *state;
    static const int64_t dim[] = {400};
    static float x[400];
    Array array = {"x", {F32, 1, 0, 400, dim}, x};
    const char *path = arena_printf(f->a, "%s/a.npz", f->dir);
    assert_true(npz_write(f->a, path, &array, 1, &f->err));
    size_t len;
    char *bytes = file_read(f->a, path, &len, &f->err), *entry = bytes;
    while (memcmp(entry, "PK\1\2", 4) != 0) entry++;
    size_t start = (size_t)(entry - bytes), size = len - 22 - start;
    enum { Entries = 10 };
    char *bomb = NEW_ARRAY(f->a, char, len + Entries * size), *end = bomb + start + Entries * size;
    memcpy(bomb, bytes, start);
    for (size_t i = 0; i < Entries; i++) memcpy(bomb + start + i * size, entry, size);
    memcpy(end, bytes + len - 22, 22);
    end[8] = end[10] = Entries;
    end[12] = (char)(Entries * size);
    end[13] = (char)(Entries * size >> 8);
    Npz z;
    path = write_file(f, "b.npz", bomb, start + Entries * size + 22);
    assert_false(npz_read(f->a, path, &z, &f->err));
    assert_non_null(strstr(taken_error(f), "an entry is larger than the file can hold"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_named, open_files, close_files),
        cmocka_unit_test_setup_teardown(test_cut, open_files, close_files),
        cmocka_unit_test_setup_teardown(test_cut_gzip, open_files, close_files),
        cmocka_unit_test_setup_teardown(test_bomb, open_files, close_files),
        cmocka_unit_test_setup_teardown(test_overlap, open_files, close_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
