/* Writes the C header of an object made by `bpc -c`: a struct of pointers to the state, and for
 * every entry a typed inline wrapper around the compiled function. It reads as C99 and as C++.
 * The object allocates nothing; all memory is the caller's. */
#include "codegen/codegen.h"

#include <ctype.h>

typedef struct Header {
    Program *p;
    Text t;
    const char *prefix;     /* of every name: the program's */
    VEC(const char *) used; /* identifiers of the wrapper or struct being written */
    const char **state;     /* the member of each entry of p->state */
} Header;

static const char *const c_types[DTypeCount] = {
    [F32] = "float",   [F64] = "double",  [BF16] = "uint16_t",
    [I32] = "int32_t", [I64] = "int64_t", [BOOL] = "unsigned char",
};

/* name with '_' for what C does not allow, and a number behind it if it is taken. */
static const char *identifier(Header *h, const char *name) {
    Arena *a = h->p->cx->arena;
    char *base = arena_printf(a, "%s%s", isdigit((unsigned char)*name) ? "_" : "", name),
         *id = base;
    for (char *c = base; *c; c++) {
        if (!isalnum((unsigned char)*c)) *c = '_';
    }
    for (uint32_t i = 0, n = 2; i < h->used.len; i++) {
        if (strcmp(h->used.data[i], id)) continue;
        id = arena_printf(a, "%s_%u", base, n++);
        i = UINT32_MAX; /* from the start again */
    }
    vec_push(a, &h->used, id);
    return id;
}

static const char *const keywords[] = {
    "auto",      "break",  "case",     "char",    "class",     "const",    "continue", "default",
    "delete",    "do",     "double",   "else",    "enum",      "explicit", "extern",   "float",
    "for",       "friend", "goto",     "if",      "inline",    "int",      "long",     "mutable",
    "namespace", "new",    "operator", "private", "protected", "public",   "register", "restrict",
    "return",    "short",  "signed",   "sizeof",  "static",    "struct",   "switch",   "template",
    "this",      "throw",  "try",      "typedef", "typename",  "union",    "unsigned", "using",
    "virtual",   "void",   "volatile", "while",   "and",       "or",       "not",      "xor",
    "bool",      "true",   "false",    "state",   "arena",     "args", /* names of the wrapper
                                                                          itself */
};

static void forget_names(Header *h) {
    h->used.len = 0;
    for (size_t i = 0; i < LEN(keywords); i++) {
        vec_push(h->p->cx->arena, &h->used, keywords[i]);
    }
}

static void write_state(Header *h) {
    const Program *p = h->p;
    forget_names(h);
    h->state = NEW_ARRAY(p->cx->arena, const char *, p->state.len);
    if (!p->state.len) return;
    text_add(&h->t, "/* The program's state. */\ntypedef struct %s_state {\n", h->prefix);
    for (uint32_t i = 0; i < p->state.len; i++) {
        h->state[i] = identifier(h, p->state.data[i].path);
        text_add(&h->t, "    %s *%s; /* %s: %s */\n", c_types[p->state.data[i].type.dt],
                 h->state[i], p->state.data[i].path, type_text(p->cx, p->state.data[i].type));
    }
    text_add(&h->t, "} %s_state;\n\n", h->prefix);
}

static const char *state_member(const Header *h, Sym path) {
    for (uint32_t i = 0; i < h->p->state.len; i++) {
        if (h->p->state.data[i].path == path) return h->state[i];
    }
    return NULL;
}

/* How the wrapper passes one argument or result on. Scalars go through an aligned local. */
typedef struct Pass {
    const char *name;      /* in the wrapper; NULL: it is a part of the state */
    const char *parameter; /* its declaration */
    const char *before;    /* the declaration of the local, or NULL */
    const char *after;     /* where the local goes at the end, or NULL */
    const char *pointer;   /* what goes into args */
} Pass;

static Pass pass_value(Header *h, const char *name, Type t, bool in) {
    Arena *a = h->p->cx->arena;
    const char *type = c_types[t.dt];
    Pass pass = {.name = name};
    if (t.shape->rank) {
        pass.parameter = arena_printf(a, "%s%s *%s", in ? "const " : "", type, name);
        pass.pointer = arena_printf(a, in ? "(void *)%s" : "%s", name);
        return pass;
    }
    const char *local = identifier(h, arena_printf(a, "%s_at", name));
    const char *aligned = "__attribute__((aligned(64)))";
    pass.parameter = arena_printf(a, "%s %s%s", type, in ? "" : "*", name);
    pass.before = in ? arena_printf(a, "%s %s %s = %s;", type, local, aligned, name)
                     : arena_printf(a, "%s %s %s;", type, local, aligned);
    if (!in) pass.after = arena_printf(a, "*%s = %s;", name, local);
    pass.pointer = arena_printf(a, "&%s", local);
    return pass;
}

/* Of the user's, rather than a part of training: its key is the seed of the call. */
static bool is_export(const Program *p, const Fn *f) {
    bool part = f->name == p->init;
    for (uint32_t i = 0; i < p->stages.len; i++) {
        const Stage *s = p->stages.data[i];
        Sym fns[] = {s->step, s->eval, s->eval_row, s->accum, s->finish, s->report};
        for (size_t k = 0; k < LEN(fns); k++) part |= fns[k] == f->name;
    }
    return !part;
}

static Pass pass_arg(Header *h, const Fn *f, const Ins *ins) {
    const char *member = state_member(h, ins->name), *name = ins->name;
    if (!strcmp(name, "train.key") && is_export(h->p, f)) name = "seed";
    if (member) return (Pass){.pointer = arena_printf(h->p->cx->arena, "state->%s", member)};
    if (!strncmp(name, "hyper.", 6) || !strncmp(name, "train.", 6)) name += 6;
    return pass_value(h, identifier(h, name), ins->type, true);
}

static Pass pass_result(Header *h, const Fn *f, uint32_t i, const Pass *args) {
    Arena *a = h->p->cx->arena;
    if (f->donated && f->donated[i] >= 0) return (Pass){.pointer = args[f->donated[i]].pointer};
    if (f->name == h->p->init && i < h->p->state.len) {
        return (Pass){.pointer = arena_printf(a, "state->%s", h->state[i])};
    }
    Type t = f->ins.data[f->results.data[i]].type;
    return pass_value(h, identifier(h, arena_printf(a, "out%u", i)), t, false);
}

/* Text inside a C comment: its end must not occur. */
static const char *comment_text(Header *h, const char *s) {
    char *copy = arena_printf(h->p->cx->arena, "%s", s);
    for (char *end; (end = strstr(copy, "*/"));) *end = ' ';
    return copy;
}

static void write_comment(Header *h, const Fn *f, const Pass *all) {
    text_add(&h->t, "/* %s\n", comment_text(h, f->doc ? f->doc : f->name));
    for (uint32_t i = 0; i < f->nparams + f->results.len; i++) {
        Val v = i < f->nparams ? i : f->results.data[i - f->nparams];
        if (!all[i].name) continue;
        text_add(&h->t, " * %s: %s\n", all[i].name, type_text(h->p->cx, f->ins.data[v].type));
    }
    text_add(&h->t, " */\n");
}

static void write_body(Header *h, const Fn *f, const Pass *all, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        if (all[i].before) text_add(&h->t, "    %s\n", all[i].before);
    }
    text_add(&h->t, "    void *args[%u];\n", n ? n : 1);
    if (h->p->state.len) text_add(&h->t, "    (void)state;\n");
    for (uint32_t i = 0; i < n; i++) text_add(&h->t, "    args[%u] = %s;\n", i, all[i].pointer);
    text_add(&h->t, "    bp_%s(args, arena, 0);\n", f->name);
    for (uint32_t i = 0; i < n; i++) {
        if (all[i].after) text_add(&h->t, "    %s\n", all[i].after);
    }
}

static void write_wrapper(Header *h, const Fn *f, const char *name) {
    uint32_t n = f->nparams + f->results.len;
    Pass *all = NEW_ARRAY(h->p->cx->arena, Pass, n);
    forget_names(h);
    for (uint32_t i = 0; i < f->nparams; i++) all[i] = pass_arg(h, f, &f->ins.data[i]);
    for (uint32_t i = 0; i < f->results.len; i++) all[f->nparams + i] = pass_result(h, f, i, all);
    text_add(&h->t, "#define %s_ARENA %lluu\n", name,
             f->plan ? (unsigned long long)f->plan->arena_bytes : 0ull);
    write_comment(h, f, all);
    text_add(&h->t, "static inline void %s(", name);
    if (h->p->state.len) text_add(&h->t, "const %s_state *state, ", h->prefix);
    for (uint32_t i = 0; i < n; i++) {
        if (all[i].parameter) text_add(&h->t, "%s, ", all[i].parameter);
    }
    text_add(&h->t, "unsigned char *arena) {\n");
    write_body(h, f, all, n);
    text_add(&h->t, "}\n\n");
}

/* NAME_init, NAME_step (NAME_STAGE_step where there are several stages), NAME_EXPORT. */
static const char *wrapper_name(const Header *h, const Fn *f) {
    const Program *p = h->p;
    Arena *a = p->cx->arena;
    if (f->name == p->init) return arena_printf(a, "%s_init", h->prefix);
    for (uint32_t i = 0; i < p->stages.len; i++) {
        const Stage *s = p->stages.data[i];
        const char *stage = p->stages.len > 1 ? arena_printf(a, "%s_", s->name) : "";
        const struct {
            Sym fn;
            const char *word;
        } parts[] = {{s->step, "step"}, {s->eval, "eval"}, {s->eval_row, "eval_row"},
                     {s->accum, "accumulate"}, {s->finish, "finish"}, {s->report, "report"}};
        for (size_t k = 0; k < LEN(parts); k++) {
            if (parts[k].fn == f->name) {
                return arena_printf(a, "%s_%s%s", h->prefix, stage, parts[k].word);
            }
        }
    }
    return arena_printf(a, "%s_%s", h->prefix, f->name);
}

char *cg_header(Program *p) {
    Header h = {.p = p};
    h.prefix = identifier(&h, p->name);
    char *guard = arena_printf(p->cx->arena, "%s_H", h.prefix);
    for (char *c = guard; *c; c++) *c = (char)toupper((unsigned char)*c);
    text_add(
        &h.t,
        "/* %s (written by bpc %s)\n *\n * Arrays are dense and row-major; arrays and arenas are\n"
        " * 64-byte aligned and the caller's. An arena has NAME_ARENA bytes (0: NULL will do)\n"
        " * and holds nothing between calls. */\n",
        comment_text(&h, p->doc ? p->doc : p->name), BPC_VERSION);
    text_add(&h.t, "#ifndef %s\n#define %s\n\n#include <stdint.h>\n\n", guard, guard);
    write_state(&h);
    text_add(&h.t, "#ifdef __cplusplus\nextern \"C\" {\n#endif\n");
    for (uint32_t i = 0; i < p->fns.len; i++) {
        if (!program_is_entry(p, p->fns.data[i])) continue;
        text_add(&h.t, "void bp_%s(void *const *args, unsigned char *arena, const void *env);\n",
                 p->fns.data[i]->name);
    }
    text_add(&h.t, "#ifdef __cplusplus\n}\n#endif\n\n");
    for (uint32_t i = 0; i < p->fns.len; i++) {
        const Fn *f = p->fns.data[i];
        if (program_is_entry(p, f)) write_wrapper(&h, f, wrapper_name(&h, f));
    }
    text_add(&h.t, "#endif\n");
    return text_done(&h.t, p->cx->arena);
}
