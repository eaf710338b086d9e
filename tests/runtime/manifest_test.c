/* What the compiler writes about a program, the runtime reads; and the C header compiles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "codegen/codegen.h"
#include "runtime/manifest.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

static Type shaped(Cx *cx, DType dt, const int64_t *dim, uint32_t rank) {
    return type_of(dt, shape_of(cx, dim, rank));
}

/* fn NAME(net.w, opt.m.net.w, hyper.lr, x) -> (new w, new m, loss), or what of it is asked for. */
static void add_step(Program *p, const char *name, const char *doc, bool exported) {
    Cx *cx = p->cx;
    Type matrix = shaped(cx, F32, (int64_t[]){2, 3}, 2), scalar = shaped(cx, F32, NULL, 0);
    Builder *b = builder_new(p, sym(cx, name), false);
    Val w = b_param(b, sym(cx, "net.block.3.w"), matrix);
    Val m = exported ? NoVal : b_param(b, sym(cx, "opt.m.net.block.3.w"), matrix);
    Val lr = b_param(b, sym(cx, exported ? "int" : "hyper.lr"), scalar);
    Val x = b_param(b, sym(cx, "x"), matrix);
    Val sum = b_add(b, w, x);
    b_result(b, sum);
    if (!exported) b_result(b, b_mul(b, m, x));
    b_result(b, b_mul(b, lr, lr));
    Fn *f = builder_done(b);
    f->doc = doc;
    f->exported = exported;
    if (!exported) {
        f->donated = NEW_ARRAY(cx->arena, int32_t, 3);
        memcpy(f->donated, (int32_t[]){0, 1, -1}, 3 * sizeof(int32_t));
    }
    f->plan = NEW(cx->arena, Plan);
    f->plan->arena_bytes = 640;
    program_add(p, f);
}

static const DataExpr *expr(Cx *cx, DataExpr e) {
    DataExpr *kept = NEW(cx->arena, DataExpr);
    *kept = e;
    return kept;
}

static void add_dataset(Program *p) {
    Cx *cx = p->cx;
    Dataset *d = NEW(cx->arena, Dataset);
    *d = (Dataset){.name = sym(cx, "points"),
                   .kind = sym(cx, "csv"),
                   .header = -1,
                   .sep = '\t',
                   .split = SplitRandom,
                   .valid = 0.2,
                   .split_seed = UINT64_MAX,
                   .lines = true,
                   .row = sym(cx, "apply"),
                   .rows = 7,
                   .seed = UINT64_MAX};
    vec_push(cx->arena, &d->split_files[MfTest], sym(cx, "/data/test.csv"));
    vec_push(cx->arena, &d->split_files[MfTest], sym(cx, "/data/more.csv"));
    vec_push(cx->arena, &d->files, sym(cx, "/data/a.csv"));
    const DataExpr *cols = expr(cx, (DataExpr){.kind = DxCols, .a = 0, .b = 3});
    const DataExpr *name = expr(cx, (DataExpr){.kind = DxColName, .s = sym(cx, "wei\"ght")});
    const DataExpr *inf = expr(cx, (DataExpr){.kind = DxNum, .num = INFINITY});
    const DataExpr *sum = expr(cx, (DataExpr){.kind = DxAdd, .x = name, .y = inf});
    Field x = {sym(cx, "x"),
               shaped(cx, F32, (int64_t[]){3}, 1),
               expr(cx, (DataExpr){.kind = DxStandardize, .x = cols}),
               {.line = 4, .col = 5}};
    Field y = {sym(cx, "y"), {I32, 10, shape_scalar(cx)}, sum, {0}};
    vec_push(cx->arena, &d->fields, x);
    vec_push(cx->arena, &d->fields, y);
    vec_push(cx->arena, &p->datasets, d);
}

static void add_stage(Program *p) {
    Cx *cx = p->cx;
    Stage *s = NEW(cx->arena, Stage);
    Sym step = sym(cx, "fit_step");
    *s = (Stage){.name = sym(cx, "fit"),
                 .dataset = sym(cx, "points"),
                 .split = sym(cx, "train"),
                 .loss = step,
                 .step = step,
                 .eval = step,
                 .eval_row = step,
                 .batch = 2,
                 .has_seed = true,
                 .seed = UINT64_MAX,
                 .loss_loc = {.line = 9, .col = 3}};
    vec_push(cx->arena, &s->binds, sym(cx, "x"));
    vec_push(cx->arena, &s->binds, sym(cx, "_"));
    vec_push(cx->arena, &s->metrics, sym(cx, "acc"));
    vec_push(cx->arena, &p->stages, s);
}

static Program *program(void) {
    Cx *cx = cx_new();
    Program *p = program_new(cx);
    p->name = sym(cx, "line-2");
    p->path = sym(cx, "line-2.bp");
    p->doc = "Fits */ lines: \"\xff\".";
    Hyper lr = {.name = sym(cx, "lr"), .dt = F32, .value = 0.1, .doc = "Rate."};
    vec_push(cx->arena, &p->hypers, lr);
    vec_push(cx->arena, &p->consts, (ConstDecl){sym(cx, "H"), sym(cx, "128")});
    source_add(cx, p->path, "abc", 3);
    Type matrix = shaped(cx, F32, (int64_t[]){2, 3}, 2);
    const char *paths[] = {"net.block.3.w", "opt.m.net.block.3.w"};
    for (size_t i = 0; i < LEN(paths); i++) {
        vec_grow(cx->arena, (void **)&p->state.data, &p->state.cap, p->state.len,
                 sizeof *p->state.data);
        p->state.data[p->state.len].path = sym(cx, paths[i]);
        p->state.data[p->state.len++].type = matrix;
    }
    add_dataset(p);
    add_step(p, "fit_step", NULL, false);
    add_step(p, "apply", "Applies it.", true);
    add_stage(p);
    return p;
}

static void round_trip(void **state) {
    (void)state;
    Program *p = program();
    const char *error = NULL;
    const Manifest *m = mf_read(p->cx->arena, cg_manifest(p), &error);
    if (!m) fail_msg("%s", error);
    assert_string_equal(m->name, "line-2");
    assert_string_equal(m->doc, "Fits */ lines: \"?\".");
    assert_string_equal(m->source_hash,
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_string_equal(m->real, "f32");
    assert_null(m->init);
    assert_true(m->hypers[0].value == 0.1);
    assert_string_equal(m->consts[0].text, "128");
    assert_int_equal(m->nfns, 2);
    const MfFn *f = &m->fns[mf_fn_index(m, "fit_step")];
    assert_int_equal(f->arena, 640);
    assert_int_equal(f->nargs, 4);
    assert_string_equal(f->args[1].name, "opt.m.net.block.3.w");
    assert_string_equal(mf_type_text(p->cx->arena, f->args[1].type), "f32[2, 3]");
    assert_int_equal(f->results[1].alias, 1);
    assert_int_equal(f->results[2].alias, -1);
    assert_true(m->fns[mf_fn_index(m, "apply")].exported);
    const MfDataset *d = mf_dataset(m, "points");
    assert_int_equal(d->sep, '\t');
    assert_true(d->split == SplitRandom && d->valid == 0.2 && d->split_seed == UINT64_MAX);
    assert_int_equal(d->nsplit_files[MfTest], 2);
    assert_string_equal(d->split_files[MfTest][1], "/data/more.csv");
    assert_int_equal(d->nsplit_files[MfTrain], 0);
    assert_true(d->lines && d->made == 7 && d->seed == UINT64_MAX);
    assert_string_equal(d->row, "apply");
    assert_int_equal(d->fields[0].expr->kind, DxStandardize);
    assert_int_equal(d->fields[0].expr->x->b, 3);
    assert_int_equal(d->fields[1].type.range, 10);
    assert_string_equal(d->fields[1].expr->x->s, "wei\"ght");
    assert_true(isinf(d->fields[1].expr->y->num));
    const MfStage *s = mf_stage(m, "fit");
    assert_true(s->has_seed && s->seed == UINT64_MAX && s->batch == 2 && s->loss_line == 9);
    assert_string_equal(s->fields[1], "y");
    assert_string_equal(s->binds[1], "_");
    assert_null(s->valid_dataset);
    cx_free(p->cx);
}

static void same_bytes(void **state) {
    (void)state;
    Program *p = program(), *q = program();
    assert_string_equal(cg_manifest(p), cg_manifest(q));
    assert_string_equal(cg_header(p), cg_header(q));
    cx_free(p->cx);
    cx_free(q->cx);
}

static const char user[] =
    "#include \"line.h\"\n"
    "int use(line_2_state *s, const float *x, float *out, float *loss);\n"
    "int use(line_2_state *s, const float *x, float *out, float *loss) {\n"
    "    line_2_step(s, 0.5f, x, loss, 0);\n"
    "    line_2_apply(s, 0.5f, x, out, loss, 0);\n"
    "    return line_2_step_ARENA + line_2_apply_ARENA + (int)*s->net_block_3_w;\n"
    "}\n";

static void write_text(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void header_compiles(void **state) {
    (void)state;
    Program *p = program();
    char dir[] = "bpc-header-XXXXXX";
    assert_non_null(mkdtemp(dir));
    Arena *a = p->cx->arena;
    write_text(arena_printf(a, "%s/line.h", dir), cg_header(p));
    write_text(arena_printf(a, "%s/user.c", dir), user);
    assert_non_null(strstr(cg_header(p), "float *net_block_3_w; /* net.block.3.w: f32[2, 3] */"));
    const char *commands[] = {"cc -x c -std=c99 -pedantic", "cc -x c++ -std=c++11"};
    for (size_t i = 0; i < LEN(commands); i++) {
        char *probe = arena_printf(a, "echo | %s -fsyntax-only - 2>/dev/null", commands[i]);
        if (system(probe)) {
            print_message("skipped: no '%s' here\n", commands[i]);
            continue;
        }
        assert_int_equal(system(arena_printf(a, "%s -Wall -Wextra -Werror -fsyntax-only %s/user.c",
                                             commands[i], dir)),
                         0);
    }
    assert_int_equal(system(arena_printf(a, "rm -r %s", dir)), 0);
    cx_free(p->cx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(same_bytes),
        cmocka_unit_test(header_compiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
