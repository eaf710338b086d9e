/* A folder of files for a test, gone after it, and the error that a reader gave. */
#ifndef TESTS_RUNTIME_FILES_H
#define TESTS_RUNTIME_FILES_H

#include "runtime/data.h"

#include <setjmp.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct Files {
    Arena *a;
    char dir[64];
    Text err;
} Files;

static inline int open_files(void **state) {
    Files *f = calloc(1, sizeof *f);
    f->a = arena_new();
    strcpy(f->dir, "data_test_XXXXXX");
    *state = mkdtemp(f->dir) ? f : NULL;
    return !*state;
}

static inline int close_files(void **state) {
    Files *f = *state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", f->dir);
    int status = system(command);
    arena_free(f->a);
    free(f->err.data);
    free(f);
    return status;
}

static inline const char *write_file(Files *f, const char *name, const void *bytes, size_t len) {
    const char *path = arena_printf(f->a, "%s/%s", f->dir, name);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, len, out), len);
    assert_int_equal(fclose(out), 0);
    return path;
}

static inline const char *text_file(Files *f, const char *text) {
    return write_file(f, "d.csv", text, strlen(text));
}

static inline const char *taken_error(Files *f) {
    char *text = text_done(&f->err, f->a);
    return text;
}

#endif
