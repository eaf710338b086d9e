/* Diagnostics for tools: one JSON object a line, notes and fix-its inside the one they belong to.
 * The schema is in docs/cli.md; columns count bytes from 1, end_column is the first one behind. */
#include "base/base.h"

/* The length of the UTF-8 sequence at s, 0 if it is none. */
static size_t utf8_length(const unsigned char *s) {
    size_t n = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
    for (size_t i = 1; i < n; i++) {
        if (s[i] >> 6 != 2) return 0;
    }
    bool overlong = (n == 2 && s[0] < 0xc2) || (n == 3 && s[0] == 0xe0 && s[1] < 0xa0) ||
                    (n == 4 && s[0] == 0xf0 && s[1] < 0x90);
    bool outside = (n == 3 && s[0] == 0xed && s[1] > 0x9f) ||
                   (n == 4 && (s[0] > 0xf4 || (s[0] == 0xf4 && s[1] > 0x8f)));
    return overlong || outside ? 0 : n;
}

static void json_string(FILE *out, const char *s) {
    if (!s) {
        fputs("null", out);
        return;
    }
    fputc('"', out);
    for (const unsigned char *p = (const unsigned char *)s; *p;) {
        size_t n = utf8_length(p);
        if (!n)
            fputs("\\ufffd", out);
        else if (*p < 0x20 || *p == 0x7f)
            fprintf(out, "\\u%04x", *p);
        else
            fprintf(out, "%s%.*s", *p == '"' || *p == '\\' ? "\\" : "", (int)n, (const char *)p);
        p += n ? n : 1;
    }
    fputc('"', out);
}

static void json_place(FILE *out, Loc loc) {
    fputs("{\"file\": ", out);
    json_string(out, loc.file);
    fprintf(out, ", \"line\": %u, \"column\": %u, \"end_column\": %u", loc.line, loc.col,
            (unsigned)loc.col + loc.len);
}

static void json_message(FILE *out, const Diag *d) {
    json_place(out, d->loc);
    fputs(", \"message\": ", out);
    json_string(out, d->text);
    fputs(", \"fixits\": [", out);
    for (uint32_t i = 0; i < d->fixits.len; i++) {
        if (i) fputs(", ", out);
        json_place(out, d->fixits.data[i].loc);
        fputs(", \"text\": ", out);
        json_string(out, d->fixits.data[i].text);
        fputc('}', out);
    }
    fputc(']', out);
}

void diag_render_json(Cx *cx, FILE *out) {
    uint32_t errors = 0;
    for (uint32_t i = 0; i < cx->diags.len;) {
        const Diag *d = &cx->diags.data[i++];
        if (d->sev == SevError && errors++ == MaxErrors) break;
        json_message(out, d);
        fprintf(out, ", \"severity\": \"%s\", \"flag\": ",
                d->sev == SevError     ? "error"
                : d->sev == SevWarning ? "warning"
                                       : "note");
        json_string(out, d->flag);
        fputs(", \"notes\": [", out);
        for (bool first = true; i < cx->diags.len && cx->diags.data[i].sev == SevNote; i++) {
            fputs(first ? "" : ", ", out);
            json_message(out, &cx->diags.data[i]);
            fputc('}', out);
            first = false;
        }
        fputs("]}\n", out);
    }
    cx->diags.len = 0;
}
