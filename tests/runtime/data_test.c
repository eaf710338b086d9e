/* csv, gzip, npz and datasets: what is read, the position of every error, hostile files. */
#include "tests/runtime/files.h"

#include <zlib.h>

/* ---- csv ---- */

static const CsvOptions plain = {-1, 0, ','};

static void test_cells(void **state) {
    Files *f = *state;
    Csv t;
    const char *path = text_file(f, "a,\"b, c\",d\r\n1, 2.5 ,-3e2\r\n4,5,inf\n\n");
    assert_true(csv_open(f->a, path, &plain, &t, &f->err));
    assert_int_equal(t.rows, 2);
    assert_int_equal(t.cols, 3);
    assert_string_equal(t.names[1], "b, c");
    double v[3];
    assert_true(csv_cells(&t, 0, 0, 3, v, &f->err));
    assert_true(v[0] == 1 && v[1] == 2.5 && v[2] == -300);
    assert_true(csv_cells(&t, 1, 1, 2, v, &f->err));
    assert_true(v[0] == 5 && v[1] > 1e300);
    size_t len;
    int64_t at;
    assert_int_equal(strncmp(csv_cell(&t, 0, 2, &len, &at), "-3e2", 4), 0);
    assert_int_equal(at, 9);
}

static void test_blanks_and_skip(void **state) {
    Files *f = *state;
    Csv t;
    const char *path = text_file(f, "made by hand\n 1   2\t3 \n4 5 6\n");
    CsvOptions o = {0, 1, ' '};
    assert_true(csv_open(f->a, path, &o, &t, &f->err));
    assert_int_equal(t.rows, 2);
    assert_int_equal(t.cols, 3);
    double v[2];
    assert_true(csv_cells(&t, 0, 2, 1, v, &f->err));
    assert_true(csv_cells(&t, 1, 2, 1, v + 1, &f->err));
    assert_true(v[0] == 3 && v[1] == 6);
}

static void test_csv_errors(void **state) {
    static const struct {
        const char *text, *error;
        int64_t column;
    } rows[] = {
        {"1,2\n3\n", ":2:1: error: 1 cells, the rows before have 2", 0},
        {"1,2\n3,x y\n", ":2:3: error: 'x y' is not a number", 1},
        {"1,2\n3,\n", ":2:3: error: '' is not a number", 1},
        {"", ":1:1: error: the file has no rows", 0},
        {"\n\n", ":2:1: error: the file has no rows", 0},
        {"1,2\n3, \"4\n", ":2:4: error: the cell is not one text in quotes", 1},
        {"1,2\n\"3\"4,5\n", ":2:1: error: the cell is not one text in quotes", 1},
        {"1,2\n3,0x1g\n", ":2:3: error: '0x1g' is not a number", 1},
    };
    Files *f = *state;
    for (size_t i = 0; i < LEN(rows); i++) {
        Csv t;
        double v;
        const char *path = text_file(f, rows[i].text);
        bool ok = csv_open(f->a, path, &plain, &t, &f->err);
        for (int64_t row = 0; ok && row < t.rows; row++)
            ok = csv_cells(&t, row, rows[i].column, 1, &v, &f->err);
        assert_false(ok);
        assert_string_equal(taken_error(f) + strlen(path), rows[i].error);
    }
    Csv t;
    assert_false(csv_open(f->a, "no/such/file.csv", &plain, &t, &f->err));
    assert_non_null(strstr(taken_error(f), "cannot open"));
}

static void test_gzip(void **state) {
    Files *f = *state;
    const char *path = arena_printf(f->a, "%s/d.csv.gz", f->dir);
    gzFile z = gzopen(path, "wb");
    for (int i = 0; i < 500; i++) gzprintf(z, "%d,%d\n", i, i * i);
    gzclose(z);
    Csv t;
    assert_true(csv_open(f->a, path, &plain, &t, &f->err));
    assert_int_equal(t.rows, 500);
    FILE *in = fopen(path, "rb");
    unsigned char bytes[16384];
    size_t len = fread(bytes, 1, sizeof bytes, in);
    fclose(in);
    for (size_t cut = 1; cut < len;
         cut += 37) { /* cut off anywhere: an error or fewer rows, no crash */
        const char *short_ = write_file(f, "cut.gz", bytes, cut);
        if (csv_open(f->a, short_, &plain, &t, &f->err)) assert_true(cut < 2);
        taken_error(f);
    }
}

/* ---- npz ---- */

static const char *make_npz(Files *f) {
    static const int64_t dim[] = {2, 3};
    static float x[] = {1, 2, 3, 4, 5, 6.5f};
    static int64_t y[] = {-1};
    Array arrays[] = {{"x", {F32, 2, 0, 6, dim}, x}, {"y", {I64, 0, 0, 1, NULL}, y}};
    const char *path = arena_printf(f->a, "%s/a.npz", f->dir);
    assert_true(npz_write(f->a, path, arrays, 2, &f->err));
    return path;
}

static void test_npz(void **state) {
    Files *f = *state;
    Npz z;
    assert_true(npz_read(f->a, make_npz(f), &z, &f->err));
    const Array *x = npz_find(&z, "x"), *y = npz_find(&z, "y");
    assert_non_null(x);
    assert_int_equal(x->type.rank, 2);
    assert_true(array_float(x, 5) == 6.5);
    assert_int_equal(array_int(y, 0), -1);
    assert_null(npz_find(&z, "z"));
    int32_t whole[6];
    static const int64_t dim[] = {2, 3};
    MfType want = {I32, 2, 0, 6, dim};
    assert_false(array_convert(f->a, x, want, whole, &f->err));
    assert_non_null(strstr(taken_error(f), "6.5 is not an integer"));
    MfType ranged = {I32, 0, 5, 1, NULL};
    assert_false(array_convert(f->a, y, ranged, whole, &f->err));
    assert_non_null(strstr(taken_error(f), "not in [0, 5)"));
    MfType other = {F32, 1, 0, 6, (int64_t[]){6}};
    assert_false(array_convert(f->a, x, other, whole, &f->err));
    assert_non_null(strstr(taken_error(f), "shape"));
}

static void test_npz_names(void **state) {
    Files *f = *state;
    static float x[1];
    Array arrays[] = {{"x", {F32, 0, 0, 1, NULL}, x}, {"x", {F32, 0, 0, 1, NULL}, x}};
    const char *path = arena_printf(f->a, "%s/a.npz", f->dir);
    assert_true(npz_write(f->a, path, arrays, 2, &f->err));
    Npz z;
    assert_false(npz_read(f->a, path, &z, &f->err));
    assert_non_null(strstr(taken_error(f), "two arrays are named 'x'"));
    assert_false(npz_read(f->a, f->dir, &z, &f->err)); /* a folder */
    assert_non_null(strstr(taken_error(f), "cannot read"));
}

static void test_hostile_npz(void **state) {
    Files *f = *state;
    FILE *in = fopen(make_npz(f), "rb");
    unsigned char bytes[4096];
    size_t len = fread(bytes, 1, sizeof bytes, in);
    fclose(in);
    for (size_t cut = 0; cut < len; cut++) {
        Npz z;
        const char *path = write_file(f, "cut.npz", bytes, cut);
        bool ok = npz_read(f->a, path, &z, &f->err);
        /* what is cut off may be the end of the directory alone: both arrays are there then */
        assert_true(!ok || (cut >= len - 22 && z.n == 2));
        if (!ok) assert_non_null(strstr(taken_error(f), "error: "));
    }
    for (size_t i = 0; i < len;
         i++) { /* a changed byte: an error, or arrays that can be read whole */
        Npz z;
        unsigned char old = bytes[i];
        bytes[i] ^= (unsigned char)(1 + rng_bits(7, i) % 255);
        const char *path = write_file(f, "bad.npz", bytes, len);
        if (npz_read(f->a, path, &z, &f->err)) {
            for (uint32_t k = 0; k < z.n; k++) {
                for (int64_t e = 0; e < z.arrays[k].type.size; e++) array_float(&z.arrays[k], e);
            }
        }
        taken_error(f);
        bytes[i] = old;
    }
}

/* ---- datasets ---- */

static const LoadOptions options = {.source = "m.bp", .real = F32};

static DataExpr cols(int64_t a, int64_t b) {
    return (DataExpr){.kind = DxCols, .a = a, .b = b};
}

static void test_dataset(void **state) {
    Files *f = *state;
    Text csv = {0};
    for (int i = 0; i < 100; i++) text_add(&csv, "%d,%d,%s\n", i, 2 * i, i % 3 ? "b" : "a");
    const char *path = text_file(f, csv.data);
    free(csv.data);
    static const int64_t two[] = {2};
    DataExpr raw = cols(0, 2), scaled = {.kind = DxStandardize, .x = &raw};
    DataExpr col = {.kind = DxCol, .a = 2}, kind = {.kind = DxCategory, .x = &col};
    MfField fields[] = {{"x", {F32, 1, 0, 2, two}, &scaled, 3, 5},
                        {"y", {I32, 0, 2, 1, NULL}, &kind, 4, 5}};
    MfDataset spec = {.name = "d",
                      .kind = "csv",
                      .nfiles = 1,
                      .nfields = 2,
                      .files = &path,
                      .header = 0,
                      .sep = ',',
                      .split = SplitRandom,
                      .valid = 0.2,
                      .test = 0.1,
                      .fields = fields};
    Data *d = data_load(f->a, &spec, &options, &f->err);
    assert_non_null(d);
    assert_int_equal(d->rows[MfTrain], 70);
    assert_int_equal(d->rows[MfValid], 20);
    assert_int_equal(d->rows[MfTest], 10);
    bool seen[100] = {false};
    double sum = 0;
    for (MfSplit s = MfTrain; s < MfSplitCount; s++) {
        for (int64_t i = 0; i < d->rows[s]; i++) {
            assert_false(seen[d->index[s][i]]);
            seen[d->index[s][i]] = true;
            if (s == MfTrain) sum += (double)((float *)d->fields[0])[2 * d->index[s][i]];
        }
    }
    assert_true(sum > -1e-4 && sum < 1e-4);
    assert_int_equal(((int32_t *)d->fields[1])[3], 0);
    assert_int_equal(((int32_t *)d->fields[1])[4], 1);
    fields[0].type = (MfType){F32, 0, 0, 1, NULL};
    assert_null(data_load(f->a, &spec, &options, &f->err));
    assert_string_equal(taken_error(f),
                        "m.bp:3:5: error: field 'x': f32 has 1 numbers a row, its value has 2");
}

static void test_labels(void **state) {
    Files *f = *state;
    const char *path = text_file(f, "1,0\n2,1\n3,2\n");
    DataExpr col = {.kind = DxCol, .a = 1};
    MfField y = {"y", {I32, 0, 2, 1, NULL}, &col, 1, 1};
    MfDataset spec = {.name = "d",
                      .kind = "csv",
                      .nfiles = 1,
                      .nfields = 1,
                      .files = &path,
                      .header = 0,
                      .sep = ',',
                      .fields = &y};
    assert_null(data_load(f->a, &spec, &options, &f->err));
    assert_string_equal(taken_error(f) + strlen(path), ":3:3: error: label 2 is not in [0, 2)\n"
                                                       "m.bp:1:1: note: field 'y' is i32<2>");
}

static void test_vocabulary(void **state) {
    Files *f = *state;
    Chars c;
    assert_true(chars_open(f->a, text_file(f, "to be\nor"), true, &c, &f->err));
    assert_int_equal(c.rows, 2);
    bool seen[256] = {false};
    vocabulary_add(seen, &c);
    Vocabulary v = {0};
    for (int b = 0; b < 256; b++) {
        if (seen[b]) v.bytes[v.n++] = (unsigned char)b;
    }
    assert_int_equal(v.n, 7); /* \n space b e o r t */
    int16_t ids[256];
    vocabulary_ids(&v, ids);
    assert_int_equal(ids['t'], 6);
    assert_int_equal(ids['x'], -1);
    int64_t row[8];
    for (int64_t i = 0; i < 5; i++) row[i] = ids[chars_byte(&c, 1, i)];
    row[5] = -1;
    row[6] = 7;
    Text out = {0}, line = {0};
    vocabulary_decode(&v, row, 7, false, &out);
    assert_string_equal(text_done(&out, f->a), "\nor\n\n??");
    vocabulary_decode(&v, row, 7, true, &line);
    assert_string_equal(text_done(&line, f->a), "or");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_cells, open_files, close_files),
        cmocka_unit_test_setup_teardown(test_blanks_and_skip, open_files, close_files),
        cmocka_unit_test_setup_teardown(test_csv_errors, open_files, close_files),
        cmocka_unit_test_setup_teardown(test_gzip, open_files, close_files),
        cmocka_unit_test_setup_teardown(test_npz, open_files, close_files),
        cmocka_unit_test_setup_teardown(test_npz_names, open_files, close_files),
        cmocka_unit_test_setup_teardown(test_hostile_npz, open_files, close_files),
        cmocka_unit_test_setup_teardown(test_dataset, open_files, close_files),
        cmocka_unit_test_setup_teardown(test_labels, open_files, close_files),
        cmocka_unit_test_setup_teardown(test_vocabulary, open_files, close_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
