/* Reading one dataset, inside dataset.c, source.c and row.c. */
#ifndef BPRT_LOAD_H
#define BPRT_LOAD_H

#include "runtime/data.h"

/* A stretch of the rows: what one group of files holds. */
typedef struct Part {
    const char *path;
    uint32_t ncsv;
    Csv *csv;   /* tables joined by columns */
    Npz arrays; /* of an npz by name, of others by number */
    Chars chars;
    int64_t rows, first; /* first: of its rows among all */
} Part;

typedef struct Load {
    Arena *a;
    const MfDataset *spec;
    const LoadOptions *o;
    Text *err;
    uint32_t nparts;
    Part part[MfSplitCount + 1];
    int64_t rows;
    int16_t ids[256]; /* of the bytes of a text, or -1 */
    Data *data;
    uint32_t f; /* the field being read */
    const MfField *field;
} Load;

/* Reports what is wrong with the field; false. */
bool load_fail(const Load *l, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Says which field wants what a file has not; false. */
bool load_note(const Load *l);

/* ---- source.c ---- */
/* Opens files, joined, as the next part. */
bool source_open(Load *l, const char *const *files, uint32_t n);
bool source_is_text(const Load *l);   /* text(f) */
bool source_is_stream(const Load *l); /* text(f) without lines: a row is a byte */
const Part *source_part(const Load *l, int64_t row);
/* Column *col of joined tables: its table, *col is then the column there. NULL if there is none. */
const Csv *source_column(const Part *p, int64_t *col);
int64_t source_columns(const Part *p);
int64_t source_named_column(const Part *p, const char *name); /* or -1 */

/* ---- row.c ---- */
typedef struct Node Node;
/* An expression of the field, ready to be read on any row; NULL after a report. */
Node *row_node(Load *l, const DataExpr *e);
int64_t row_width(const Node *n);
void row_read(const Load *l, const Node *n, int64_t row, double *out);
/* Says what is wrong with element c of the field on a row, where it stands in the file; false. */
bool row_error(const Load *l, int64_t row, int64_t c, const char *text);

#endif
