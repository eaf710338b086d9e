/* bpc: dispatch. */
#include "driver/driver.h"

#include <stdlib.h>

static int print_and_free(Text *t) {
    fputs(t->data ? t->data : "", stdout);
    free(t->data);
    return ExitOk;
}

static int dispatch(Options *o) {
    static const struct {
        const char *name;
        int (*run)(Options *);
    } verbs[] = {{"run", command_run}, {"call", command_call}, {"check", command_check}};
    Text out = {0};
    if (o->help) return command_help(stdout), ExitOk;
    if (o->version) return puts("bpc " BPC_VERSION), ExitOk;
    if (o->list_ops) return list_ops(&out), print_and_free(&out);
    if (o->list_passes) return list_passes(&out), print_and_free(&out);
    if (o->cx->errors) return compile_report(o);
    for (size_t i = 0; o->verb && i < LEN(verbs); i++) {
        if (!strcmp(verbs[i].name, o->verb)) return verbs[i].run(o);
    }
    if (o->output == OutStage || o->output == OutAssembly || o->output == OutLlvm)
        return command_emit(o);
    return command_compile(o);
}

int main(int argc, char **argv) {
    Cx *cx = cx_new();
    Options o = {.cx = cx};
    command_parse(&o, argc, argv);
    int status = dispatch(&o);
    cx_free(cx);
    return status;
}
