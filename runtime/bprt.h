/* libbprt: what a compiled program is linked to. Generated code and runtime meet here.
 *
 * An entry reads its arguments and writes its results through `args`: first a pointer per
 * parameter, then one per result; a result donated a parameter's storage gets the same pointer.
 * Arrays are dense, row-major, 64-byte aligned. `arena` is scratch of the size that the manifest
 * states, 64-byte aligned. env may be NULL: everything then runs on the calling thread. */
#ifndef BPRT_H
#define BPRT_H

#include <stdint.h>

typedef struct BpEnv {
    /* Calls body(data, i) for every i in [0, n), on all threads, and returns when all are done.
     * Which thread runs which i is unspecified; results must not depend on it. */
    void (*parallel)(const struct BpEnv *env, void (*body)(void *data, int64_t i), void *data,
                     int64_t n);
    void *pool;
    int32_t threads;
} BpEnv;

typedef void BpEntry(void *const *args, unsigned char *arena, const BpEnv *env);

typedef struct BpProgram {
    const char *manifest; /* JSON, NUL-terminated */
    BpEntry *const *entries; /* in the order of the manifest's "functions" */
} BpProgram;

/* The trainer's command line; the exit status. */
int bprt_main(const BpProgram *program, int argc, char **argv);

#endif
