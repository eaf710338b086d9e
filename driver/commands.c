/* The tables of verbs and options. A new option is a row here and a field of Options; a new verb a
 * row here and its file. */
#include "driver/commands.h"

#define STAGES "ast|ir|grad|opt|kernels|plan|llvm|asm|header|dot|svg"
#define AT(field) offsetof(Options, field)

const OptionRow option_rows[] = {
    {"-o", Text_, AT(out), 0, ForCompile | ForFmt, "FILE", NULL, "where the result goes"},
    {"-c", Preset, AT(output), OutObject, ForCompile, NULL, NULL, "an object and its C header"},
    {"-shared", Preset, AT(output), OutShared, ForCompile, NULL, NULL,
     "a shared library and its C header"},
    {"-S", Preset, AT(output), OutAssembly, ForCompile, NULL, NULL, "assembly"},
    {"-emit-llvm", Preset, AT(output), OutLlvm, ForCompile, NULL, NULL, "LLVM IR"},
    {"--emit=", Text_, AT(stage), 0, ForCompile, "STAGE", STAGES, "print a stage of the program"},
    {"-O", Number, AT(level), 0, ForProgram, "N", "0|1|2|3", "optimisation level (default 2)"},
    {"-g", Flag, AT(debug), 0, ForProgram, NULL, NULL, "keep the symbols of a trainer"},
    {"-march=", Text_, AT(cpu), 0, ForProgram, "CPU", NULL, "target processor (default native)"},
    {"--target=", Text_, AT(triple), 0, ForProgram, "TRIPLE", NULL, "target system"},
    {"-D", List, AT(defines), 0, ForProgram, "NAME=VALUE", NULL, "value of a const"},
    {"-I", List, AT(includes), 0, ForProgram, "DIR", NULL, "where imports are looked for"},
    {"--float=", Text_, AT(float64), 0, ForProgram, "TYPE", "f32|f64", "what every f32 becomes"},
    {"--tune", Flag, AT(tune), 0, ForProgram, NULL, NULL,
     "choose tiles by measurement; the cache remembers them"},
    {"--time-passes", Flag, AT(time), 0, ForProgram, NULL, NULL, "how long each stage takes"},
    {"--emit-after=", Text_, AT(emit_after), 0, ForProgram, "PASS", NULL,
     "print the program after a pass"},
    {"--stop-after=", Text_, AT(stop_after), 0, ForProgram, "PASS", NULL, "run no pass after it"},
    {"--memory=", Bytes, AT(memory), 0, ForProgram, "BYTES", NULL,
     "compute again what does not fit in BYTES (suffixes K M G)"},
    {"--pass-limit=", Number, AT(limit), 0, ForProgram, "N", NULL, "run at most N passes"},
    {"--verify-each", Flag, AT(verify_each), 0, ForProgram, NULL, NULL,
     "verify the program after every pass"},
    {"-fdiagnostics-color=", Text_, AT(color), 0, ForAll, "WHEN", "auto|always|never",
     "colour of messages"},
    {"-fdiagnostics-format=", Text_, AT(format), 0, ForAll, "FORMAT", "text|json",
     "messages as text or as JSON objects, one a line"},
    {"--libdir=", Text_, AT(libdir), 0, ForProgram, "DIR", NULL, "where libbprt.a lies"},
    {"-v", Flag, AT(verbose), 0, ForProgram, NULL, NULL, "say what is run"},
    {"-save-temps", Flag, AT(save_temps), 0, ForProgram, NULL, NULL, "keep the object file"},
    {"--rules", Flag, AT(rules), 0, ForCheck, NULL, NULL,
     "the whole table of rules, or the rows that are named"},
    {"--check", Flag, AT(check_only), 0, ForFmt, NULL, NULL,
     "write nothing; name the files that would change, exit status 1"},
    {"--list-ops", Flag, AT(list_ops), 0, ForCompile, NULL, NULL, "the operations"},
    {"--list-passes", Flag, AT(list_passes), 0, ForCompile, NULL, NULL, "the passes"},
    {"--version", Flag, AT(version), 0, ForAll, NULL, NULL, "the version"},
    {"--help", Flag, AT(help), 0, ForAll, NULL, NULL,
     "this text; after a command: of that command"},
    {"--print-man", Flag, AT(print_man), 0, ForCompile, NULL, NULL, NULL},
    {"--print-completions", Flag, AT(print_completions), 0, ForCompile, NULL, NULL, NULL},
};
const size_t option_rows_len = LEN(option_rows);

const Verb verb_rows[] = {
    {NULL, ForCompile, NULL, "FILE.bp [-o OUT]", "a native trainer",
     "Without -o the trainer has the file's name without .bp. -c and -shared give the functions\n"
     "that the file exports, for other programs."},
    {"run", ForRun, command_run, "run FILE.bp [-- ARGS]", "compile in memory and train",
     "ARGS are those of a trainer: './trainer --help'."},
    {"call", ForCall, command_call,
     "call FILE.bp FN [--in A.npz] [--out B.npz] [--ckpt W] [--seed N] [--HYPER V]",
     "run one export fn on arrays",
     "A.npz holds arrays named as the arguments; the results are out0, out1, ... in B.npz, and\n"
     "printed if they are small. Without --ckpt the weights are freshly initialised."},
    {"check", ForCheck, command_check, "check FILE.bp | --rules [ROW ...]",
     "prove every derivative the file uses",
     "In f64, against numerical derivatives; a row per rule and parameter. Exit status 1 names\n"
     "the rule that is wrong and its line."},
    {"trace", ForTrace, command_trace, "trace FILE.bp FN [x=2] [y=[1,2]] [z=@A.npz]",
     "values, then adjoints, step by step",
     "Each step with its source line, each adjoint with the rule that made it. A number fills a\n"
     "whole array. Weights are those of seed 0, hypers their defaults, unless given."},
    {"explain", ForExplain, command_explain, "explain FILE.bp PARAM",
     "how a parameter's gradient arises",
     "The rules from the loss to the parameter with their source lines, then what they read of\n"
     "the forward pass: saved or computed again, why, and how many bytes."},
    {"fmt", ForFmt, command_fmt, "fmt [--check] [-o OUT] FILE.bp ...", "canonical layout",
     "Files are rewritten in place; '-' is standard input and goes to standard output. A file\n"
     "with errors is left as it is."},
};
const size_t verb_rows_len = LEN(verb_rows);

const Verb *verb_find(const char *name) {
    for (size_t i = 0; name && i < LEN(verb_rows); i++) {
        if (verb_rows[i].name && !strcmp(verb_rows[i].name, name)) return &verb_rows[i];
    }
    return NULL;
}

bool option_glued(const OptionRow *r) {
    return r->name[strlen(r->name) - 1] == '=' || r->kind == List || !strcmp(r->name, "-O");
}
