/* bpc: dispatch. */
#include "driver/commands.h"

#include <stdlib.h>

static int print_and_free(Text *t) {
    fputs(t->data ? t->data : "", stdout);
    free(t->data);
    return ExitOk;
}

static int dispatch(Options *o) {
    Text out = {0};
    if (o->help) return command_help(stdout, o->verb), ExitOk;
    if (o->version) return puts("bpc " BPC_VERSION), ExitOk;
    if (o->print_man) return command_man(stdout), ExitOk;
    if (o->print_completions) return command_completions(stdout), ExitOk;
    if (o->list_ops) return list_ops(&out), list_builtins(&out), print_and_free(&out);
    if (o->list_passes) return list_passes(&out), print_and_free(&out);
    if (o->cx->errors) return compile_report(o);
    const Verb *v = verb_find(o->verb);
    if (v) return v->run(o);
    if (o->output == OutStage || o->output == OutAssembly || o->output == OutLlvm)
        return command_emit(o);
    return command_compile(o);
}

int main(int argc, char **argv) {
    Cx *cx = cx_new();
    Options o = {.cx = cx};
    command_parse(&o, argc, argv);
    cx->times = o.time;
    int status = dispatch(&o);
    cx_free(cx);
    return status;
}
