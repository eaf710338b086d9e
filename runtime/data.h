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
/* Cells from .. from + n - 1 of a row as numbers. */
bool csv_cells(const Csv *t, int64_t row, int64_t from, int64_t n, double *out, Text *err);
void csv_error(const Csv *t, int64_t row, int64_t col, Text *err, const char *text);

/* ---- npy.c ---- */
typedef struct Array {
    const char *name;
    MfType type; /* range 0 */
    void *data;
} Array;
/* An npy file in memory; NULL on success, else what is wrong. Leaves the name alone. */
const char *npy_parse(Arena *a, const void *bytes, size_t len, Array *out);
/* An npy or idx file, plain or gzip, of rank >= 1; its path becomes the name. */
bool array_read(Arena *a, const char *path, bool idx, Array *out, Text *err);
/* Element i as a double, or as an integer. */
double array_float(const Array *x, int64_t i);
int64_t array_int(const Array *x, int64_t i);
/* x as the type: floats convert, integers if none is lost, shapes must agree. dst has its bytes. */
bool array_convert(Arena *a, const Array *x, MfType type, void *dst, Text *err);

/* ---- npz.c ---- */
typedef struct Npz {
    const char *path;
    uint32_t n;
    Array *arrays;
} Npz;
bool npz_read(Arena *a, const char *path, Npz *out, Text *err);
const Array *npz_find(const Npz *z, const char *name);
/* Written beside and renamed. */
bool npz_write(Arena *a, const char *path, const Array *arrays, uint32_t n, Text *err);

/* ---- chars.c ---- */
/* A text: all its bytes, or its lines; a row of the latter is "\n", the line, "\n" for ever. */
typedef struct Chars {
    const char *path;
    const unsigned char *bytes;
    int64_t len, rows; /* rows: bytes or lines */
    const int64_t *line_at, *line_len;
} Chars;
bool chars_open(Arena *a, const char *path, bool lines, Chars *out, Text *err);
unsigned char chars_byte(const Chars *c, int64_t row, int64_t at);

/* The bytes that ids stand for, ascending. */
typedef struct Vocabulary {
    int32_t n;
    unsigned char bytes[256];
} Vocabulary;
void vocabulary_add(bool seen[256], const Chars *c);
/* The id of each byte, or -1. */
void vocabulary_ids(const Vocabulary *v, int16_t ids[256]);
/* Ids as text, those that stand for nothing as "?". line: without the "\n" before a line, and no
 * further than its end. */
void vocabulary_decode(const Vocabulary *v, const int64_t *ids, int64_t n, bool line, Text *out);

/* ---- dataset.c ---- */
typedef struct Stats { /* of a standardized field, one number per element of a row */
    bool used;
    double *mean, *deviation;
} Stats;
typedef struct Words { /* the texts of category(e), sorted; their numbers are its values */
    bool used;
    int64_t n;
    const char **words;
} Words;
/* What reading found out about the data, saved with the weights. */
typedef struct Learned {
    Stats *stats;     /* per field */
    Words *words;     /* per field */
    Vocabulary bytes; /* n is 0 where there is no text */
} Learned;
typedef struct Data {
    const MfDataset *spec;
    int64_t rows[MfSplitCount];
    /* which rows of the fields: those listed, or, index being NULL, first + i * step */
    int64_t *index[MfSplitCount], first[MfSplitCount], step[MfSplitCount];
    unsigned char **fields;       /* per field: row i begins at i * row_step */
    size_t *row_bytes, *row_step; /* windows of a text overlap */
    Learned learned;
} Data;
typedef struct LoadOptions {
    const char *source;   /* the .bp file, for errors of fields */
    DType real;         /* of statistics */
    const Learned *given; /* by an earlier training, or NULL */
    const Npz *made;      /* the rows that the program made, or NULL */
} LoadOptions;
static inline int64_t data_row(const Data *d, MfSplit s, int64_t i) {
    return d->index[s] ? d->index[s][i] : d->first[s] + i * d->step[s];
}
Data *data_load(Arena *a, const MfDataset *spec, const LoadOptions *o, Text *err);
/* order becomes a permutation of 0 .. n-1: docs/manifest.md, Keys. */
void shuffle(uint64_t key, int64_t *order, int64_t n);

#endif
