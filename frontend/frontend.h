/* frontend: source text to IR. */
#ifndef BPC_FRONTEND_H
#define BPC_FRONTEND_H

#include "frontend/ast.h"

typedef struct FrontOptions {
    const char *const *defines; /* "NAME=VALUE" of -D */
    uint32_t ndefines;
    const char *const *include_dirs;
    uint32_t ninclude_dirs;
    bool float64; /* --float=f64: every f32 is f64 */
    bool check;   /* bpc check: training = true everywhere */
    const char *entry; /* a fn that is lowered as if it were exported, if its shapes are known */
    int64_t batch; /* of a train block at most; 0: as it says */
} FrontOptions;

/* Parses the file and lowers it (IR text is read as it stands). NULL after errors in cx.
 * The program's `rule` is set. */
Program *front_load(Cx *cx, const char *path, const FrontOptions *o);
/* The same for text; name is what diagnostics show. */
Program *front_load_text(Cx *cx, Sym name, const char *text, size_t len, const FrontOptions *o);

/* The sources of std/, compiled into the binary (std_files.c is generated from std/ by the build).
 */
typedef struct StdFile {
    const char *name; /* "std/nn.bp" */
    const char *text;
    size_t len;
} StdFile;
extern const StdFile std_files[];
extern const uint32_t std_files_len;
/* Behind list_ops: the functions of frontend/builtins.def. */
void list_builtins(Text *out);

/* ---- read_ir.c: a fn whose every let carries an origin is IR text ---- */
bool item_is_ir(const Item *fn);
/* Appends the function as it stands: no folding, no merging. NULL after errors. */
Fn *read_ir_fn(Program *p, const Item *fn);
/* A rule of IR text: every let and the head carry an origin. Its types are those of the site. */
bool item_is_ir_rule(const Item *rule);
Fn *read_ir_rule(Program *p, RuleKind kind, const Item *rule, const Type *args, uint32_t nargs,
                 const Type *results, uint32_t nresults);
/* The functions that a fn or rule of IR text names. */
void ir_callees(Cx *cx, const Item *item, Syms *out);
/* The lowered `train` of IR text: init, step, eval, eval_row, loss, metrics, batch ... */
bool item_is_ir_train(const Item *train);
Stage *read_ir_train(Program *p, const Item *train);

#endif
