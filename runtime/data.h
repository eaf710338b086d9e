/* The data side of the runtime: files to rows of typed fields, their statistics and splits. Files
 * are hostile: sizes are checked, errors name file, line and column. */
#ifndef BPRT_DATA_H
#define BPRT_DATA_H

#include "runtime/manifest.h"

/* ---- gz.c ---- */
/* A whole file, plain or gzip, with a NUL behind it. NULL after an error was added to err. */
char *file_read(Arena *a, const char *path, size_t *len, Text *err);

/* ---- csv.c ---- */
typedef struct CsvOptions {
    int header; /* -1: detect, 0, 1 */
    int64_t skip;
    char sep;
} CsvOptions;
typedef struct Csv {
    const char *path, *text;
    size_t len;
    char sep;
    int64_t rows, cols;
    const size_t *line_at;    /* per row: where its line begins */
    const int64_t *line;      /* per row: its number in the file, from 1 */
    const char *const *names; /* per column, or NULL */
} Csv;
bool csv_open(Arena *a, const char *path, const CsvOptions *o, Csv *out, Text *err);
/* The cell's text and its 1-based byte column. */
const char *csv_cell(const Csv *t, int64_t row, int64_t col, size_t *len, int64_t *at);
/* Column col of every row into out[row * stride]. */
bool csv_column(const Csv *t, int64_t col, double *out, int64_t stride, Text *err);
void csv_error(const Csv *t, int64_t row, int64_t col, Text *err, const char *text);

/* ---- npz.c ---- */
typedef struct Array {
    const char *name;
    MfType type; /* range 0 */
    void *data;
} Array;
typedef struct Npz {
    const char *path;
    uint32_t n;
    Array *arrays;
} Npz;
bool npz_read(Arena *a, const char *path, Npz *out, Text *err);
const Array *npz_find(const Npz *z, const char *name);
/* Written beside and renamed. */
bool npz_write(Arena *a, const char *path, const Array *arrays, uint32_t n, Text *err);
/* Element i as a double, or as an integer. */
double array_float(const Array *x, int64_t i);
int64_t array_int(const Array *x, int64_t i);
/* x as the type: floats convert, integers if none is lost, shapes must agree. dst has its bytes. */
bool array_convert(Arena *a, const Array *x, MfType type, void *dst, Text *err);
/* v stored as element i of an array of the type. */
void store_float(MfDType dt, void *data, int64_t i, double v);

/* ---- dataset.c ---- */
typedef struct Stats { /* of a standardized field, one number per element of a row */
    bool used;
    double *mean, *deviation;
} Stats;
typedef struct Data {
    const MfDataset *spec;
    int64_t rows[MfSplitCount];
    int64_t *index[MfSplitCount]; /* rows of the fields */
    void **fields;                /* per field: all rows, dense */
    size_t *row_bytes;
    Stats *stats;
} Data;
/* source: the .bp file, for errors of fields. real: the type of statistics. stats: of an earlier
 * training by field, or NULL. */
Data *data_load(Arena *a, const MfDataset *spec, const char *source, MfDType real,
                const Stats *stats, Text *err);
/* order becomes a permutation of 0 .. n-1: docs/manifest.md, Keys. */
void shuffle(uint64_t key, int64_t *order, int64_t n);

#endif
