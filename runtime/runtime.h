/* runtime: the inside of libbprt, one block per file. A Run is one invocation of a trainer; all
 * its state hangs off it, so that a process may hold several (the JIT does). */
#ifndef BPRT_RUNTIME_H
#define BPRT_RUNTIME_H

#include "runtime/bprt.h"
#include "runtime/manifest.h"

typedef enum Exit {
    ExitOk = 0,
    ExitDiverged = 1,
    ExitUsage = 2,
    ExitData = 3, /* data, checkpoints, output files */
    ExitInterrupted = 130,
} Exit;

/* A named array: of the program's state, or of a checkpoint. */
typedef struct Slot {
    const char *name;
    MfType type;
    void *data;
} Slot;

/* ---- pool.c ---- */
typedef struct Pool Pool;
enum { MaxThreads = 1024 };
/* Starts threads - 1 workers and fills env. NULL when memory runs out. */
Pool *pool_new(int32_t threads, BpEnv *env);
void pool_free(Pool *p);
/* Chunks executed so far by each thread; [0] is the caller. Between calls of parallel only. */
const int64_t *pool_chunks(const Pool *p, Arena *a);
/* IEEE denormals and rounding to nearest on this thread; gives what fp_leave restores. */
uint64_t fp_enter(void);
void fp_leave(uint64_t saved);

/* ---- safetensors.c ---- */
typedef struct Meta {
    const char *key, *value;
} Meta;
typedef struct Checkpoint {
    uint32_t n, nmeta;
    Slot *tensors;
    Meta *meta;
    unsigned char *data;
} Checkpoint;
/* Length, header and padding that go before the tensors' bytes; adds their SHA-256 to meta. */
char *st_header(Arena *a, const Slot *tensors, uint32_t n, const Meta *meta, uint32_t nmeta,
                size_t *len);
/* NULL on success, else what is wrong. The caller frees c. */
const char *ck_read(Arena *a, const char *path, Checkpoint *c);
void ck_free(Checkpoint *c);
const char *ck_meta(const Checkpoint *c, const char *key); /* NULL if absent */

/* ---- checkpoint.c: files, written so that a crash at any moment loses none ---- */
/* Writes dir/name; with keep, the old one becomes dir/previous.safetensors. NULL on success. */
const char *ck_commit(Arena *a, const char *dir, const char *name, const Slot *tensors, uint32_t n,
                      const Meta *meta, uint32_t nmeta, bool keep);
/* Reads the newest checkpoint in dir that verifies, and removes a newer one that does not. */
const char *ck_latest(Arena *a, const char *dir, Checkpoint *c);
/* Removes what an interrupted commit left in dir. */
void ck_clear_stale(const char *dir);
#define CkLast "last.safetensors"
#define CkPrevious "previous.safetensors"
#define CkBest "best.safetensors"

/* ---- options.c ---- */
typedef enum Verb { VerbTrain = 1, VerbEval = 2, VerbCall = 4 } Verb;
typedef enum Progress { ProgressAuto, ProgressPlain, ProgressNone } Progress;
typedef struct DataFile { /* --data NAME=FILE */
    const char *name, *file;
} DataFile;
typedef struct Options {
    const char *program;
    Verb verb;
    const char *subject;            /* the stage or function named, or NULL */
    int64_t epochs, steps, threads; /* 0: not given */
    bool has_seed, dry_run, help;
    uint64_t seed;
    const char *out, *ckpt, *resume, *save, *in, *split; /* NULL: not given */
    Progress progress;
    VEC(DataFile) data;
    double *hypers; /* per hyper of the manifest */
    bool *hyper_given;
} Options;
/* False after a message about the command line. */
bool options_parse(Options *o, Arena *a, const Manifest *m, int argc, char **argv);
void options_help(const Manifest *m, Arena *a);

/* ---- main.c ---- */
struct Data;
typedef struct MemBlock {
    void *data;
    size_t bytes;
} MemBlock;
/* One invocation of the trainer. */
typedef struct Run {
    const BpProgram *program;
    const Manifest *m;
    Options o;
    Arena *arena, *scratch; /* as long as the run; reset at every record */
    BpEnv env;
    Pool *pool;
    unsigned char *work; /* the scratch that entries get */
    Slot *state;         /* per entry of m->state, in one block */
    unsigned char *state_base;
    size_t state_bytes;
    VEC(Slot) stats;          /* data.DATASET.FIELD.mean and .deviation */
    VEC(Slot) finals;         /* metric.STAGE.NAME and total.STAGE.tN of the last evaluation */
    int64_t step, steps, key; /* what train.step, train.steps, train.key bind to */
    VEC(MemBlock) blocks;     /* of mem_new */
    struct Data **data;       /* per dataset of the manifest; NULL: not read */
    uint64_t seed;            /* of the weights */
    const char *dir;          /* of the run: logs and checkpoints */
} Run;
/* "NAME: error: ..." on standard error; gives status back. */
Exit run_error(const Run *r, Exit status, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* ---- state.c: arrays, and calls of compiled functions with arguments bound by name ---- */
/* Zeroed, 64-byte aligned, as long as the run; huge pages where they pay. */
void *mem_new(Run *r, size_t bytes);
void mem_free_all(Run *r);

typedef struct Call {
    const MfFn *fn;
    BpEntry *entry;
    void **args; /* a pointer per argument, then per result */
    uint32_t nopen, ncopies;
    uint32_t *open; /* the arguments that are fields or the user's */
    struct {
        void *to;
        const void *from;
        size_t bytes;
    } * copies; /* state that a result does not overwrite in place */
} Call;
/* Binds every argument; fields and the user's get arrays of their own. outs (NULL: none) says
 * where results without alias go. NULL after an error. */
Call *call_new(Run *r, int64_t fn, void *const *outs);
/* The same for a training step, which gives new state in the order of its state arguments. */
Call *step_new(Run *r, int64_t fn);
void call_run(Run *r, const Call *c);
/* Gives optimizer state its initial values again. */
Exit state_restart_optimizer(Run *r);

/* Allocates state and scratch, sets the weights by the program's init. */
Exit state_init(Run *r);
/* Sets state (without optimizer state unless all) from c by name; an unknown
 * or missing name or another shape is an error that names both. */
Exit state_load(Run *r, const Checkpoint *c, const char *path, bool all);
bool is_optimizer_state(const char *path);
/* A hyperparameter's value as text that reads back to the same bits. buf has 32 bytes. */
void hyper_text(char *buf, const MfHyper *h, double value);

/* ---- print.c ---- */
/* "NAME: TYPE = VALUE", large arrays without their value. */
/* The numbers alone, nested in brackets. */
void print_values(Text *t, MfType type, const void *data);
void print_array(Text *t, Arena *a, const char *name, MfType type, const void *data);

#endif
