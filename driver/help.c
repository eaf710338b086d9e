/* The tables of commands.c as help, as a manual page and as completions of bash. */
#include "driver/commands.h"

static const char about[] =
    "bpc compiles neural networks and their training, with their gradients.";
static const char warnings_help[] = "warnings; -Werror makes them errors, -Wno-NAME silences one";

static const char *option_head(const OptionRow *r, char *buf, size_t size) {
    snprintf(buf, size, "%s%s%s", r->name, r->arg && !option_glued(r) ? " " : "",
             r->arg ? r->arg : "");
    return buf;
}

static void help_row(FILE *out, const char *head, const char *text, const char *values) {
    bool wide = strlen(head) > 34;
    if (wide) fprintf(out, "  %s\n", head);
    fprintf(out, "  %-34s %s", wide ? "" : head, text);
    for (const char *v = values; v && *v; v++)
        fprintf(out, "%s%c", v == values ? ": " : "", *v == '|' ? ' ' : *v);
    fputc('\n', out);
}

static void help_options(FILE *out, unsigned verbs) {
    char head[64];
    fprintf(out, "\noptions:\n");
    for (size_t i = 0; i < option_rows_len; i++) {
        const OptionRow *r = &option_rows[i];
        if (r->help && r->verbs & verbs)
            help_row(out, option_head(r, head, sizeof head), r->help, r->values);
    }
    if (verbs & ForProgram) help_row(out, "-Wall -Werror -Wno-NAME", warnings_help, NULL);
    help_row(out, "-", "standard input as the file", NULL);
}

void command_help(FILE *out, const char *verb) {
    const Verb *v = verb_find(verb);
    if (v) {
        fprintf(out, "usage: bpc %s\n\n%s.\n", v->usage, v->help);
        if (v->about) fprintf(out, "%s\n", v->about);
        help_options(out, v->bit);
        return;
    }
    fprintf(out, "%s\n\nusage:\n", about);
    char head[128];
    for (size_t i = 0; i < verb_rows_len; i++) {
        if (verb_rows[i].name && !verb_rows[i].run) continue;
        snprintf(head, sizeof head, "bpc %s", verb_rows[i].usage);
        help_row(out, head, verb_rows[i].help, NULL);
    }
    help_options(out, ForAll);
    fprintf(out, "\n'bpc COMMAND --help' says more about a command.\n");
}

/* Text of a manual page: a '-' is a minus, a '\' or a leading dot stands for itself. */
static void man_text(FILE *out, const char *s) {
    for (const char *c = s; *c; c++) {
        if ((c == s || c[-1] == '\n') && (*c == '.' || *c == '\'')) fputs("\\&", out);
        if (*c == '-' || *c == '\\') fputc('\\', out);
        fputc(*c == '\\' ? 'e' : *c, out);
    }
}

static void man_row(FILE *out, const char *head, const char *text, const char *values) {
    fputs(".TP\n.B ", out);
    man_text(out, head);
    fputc('\n', out);
    man_text(out, text);
    if (values) {
        fputs(": ", out);
        man_text(out, values);
    }
    fputs(".\n", out);
}

void command_man(FILE *out) {
    char head[128];
    fprintf(out,
            ".TH BPC 1 \"\" \"bpc %s\"\n.SH NAME\nbpc \\- compiler of neural networks and their "
            "training\n.SH SYNOPSIS\n",
            BPC_VERSION);
    for (size_t i = 0; i < verb_rows_len; i++) {
        if (verb_rows[i].name && !verb_rows[i].run) continue;
        fputs(i ? ".br\n.B bpc\n" : ".B bpc\n", out);
        man_text(out, verb_rows[i].usage);
        fputc('\n', out);
    }
    fprintf(out, ".SH DESCRIPTION\n%s\n.SH COMMANDS\n", about);
    for (size_t i = 0; i < verb_rows_len; i++) {
        const Verb *v = &verb_rows[i];
        if (v->name && !v->run) continue;
        snprintf(head, sizeof head, "bpc %s", v->usage);
        man_row(out, head, v->help, NULL);
        if (v->about) man_text(out, v->about), fputc('\n', out);
    }
    fputs(".SH OPTIONS\n", out);
    for (size_t i = 0; i < option_rows_len; i++) {
        const OptionRow *r = &option_rows[i];
        if (r->help) man_row(out, option_head(r, head, sizeof head), r->help, r->values);
    }
    man_row(out, "-Wall -Werror -Wno-NAME", warnings_help, NULL);
    man_row(out, "-", "standard input as the file", NULL);
    fputs(".SH EXIT STATUS\n0; 1 for errors in the input or the command line; 70 for an internal "
          "error.\n",
          out);
}

static void completion_options(FILE *out, unsigned verbs) {
    for (size_t i = 0; i < option_rows_len; i++) {
        const OptionRow *r = &option_rows[i];
        if (r->help && r->verbs & verbs) fprintf(out, "%s ", r->name);
    }
    if (!(verbs & ForProgram)) return;
    const char *names[16];
    size_t n = warning_names(names, LEN(names));
    fputs("-Wall -Werror", out);
    for (size_t i = 0; i < n; i++) fprintf(out, " -Wno-%s", names[i]);
}

void command_completions(FILE *out) {
    fputs("# Completions of bash for bpc.\n"
          "_bpc() {\n"
          "  local cur prev verb= word options values=\n"
          "  if declare -F _get_comp_words_by_ref >/dev/null; then\n"
          "    _get_comp_words_by_ref -n = cur prev\n"
          "  else\n"
          "    cur=${COMP_WORDS[COMP_CWORD]}\n"
          "  fi\n"
          "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
          "    case $word in\n    ",
          out);
    const char *between = "";
    for (size_t i = 0; i < verb_rows_len; i++) {
        if (verb_rows[i].run) fprintf(out, "%s%s", between, verb_rows[i].name), between = " | ";
    }
    fputs(") verb=$word; break ;;\n    esac\n  done\n  case $verb in\n", out);
    for (size_t i = verb_rows_len; i-- > 0;) {
        const Verb *v = &verb_rows[i];
        if (v->name && !v->run) continue;
        fprintf(out, "  %s) options='", v->name ? v->name : "*");
        completion_options(out, v->bit);
        fputs("' ;;\n", out);
    }
    fputs("  esac\n  case $cur in\n", out);
    for (size_t i = 0; i < option_rows_len; i++) {
        const OptionRow *r = &option_rows[i];
        if (!r->help || !r->values) continue;
        fprintf(out, "  %s*) values='", r->name);
        for (const char *v = r->values; *v; v++) fputc(*v == '|' ? ' ' : *v, out);
        fprintf(out, "' ;;\n");
    }
    fputs("  esac\n"
          "  local IFS=$' \\t\\n'\n"
          "  if [ -n \"$values\" ]; then\n"
          "    COMPREPLY=($(compgen -W \"$values\" -- \"${cur#*=}\"))\n"
          "  elif [ \"${cur#-}\" != \"$cur\" ]; then\n"
          "    COMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
          "    case ${COMPREPLY[*]} in *=) compopt -o nospace 2>/dev/null ;; esac\n"
          "  else\n"
          "    COMPREPLY=($(compgen -f -X '!*.bp' -- \"$cur\") $(compgen -d -S / -- \"$cur\"))\n"
          "    [ -n \"$verb\" ] || COMPREPLY+=($(compgen -W '",
          out);
    for (size_t i = 0; i < verb_rows_len; i++) {
        if (verb_rows[i].run) fprintf(out, "%s ", verb_rows[i].name);
    }
    fputs("' -- \"$cur\"))\n  fi\n}\ncomplete -o filenames -F _bpc bpc\n", out);
}
