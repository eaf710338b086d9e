/* The command line as tables: what is parsed, helped, completed and printed as a manual. */
#ifndef BPC_COMMANDS_H
#define BPC_COMMANDS_H

#include "driver/driver.h"

typedef enum Kind { Flag, Text_, Number, Bytes, List, Preset } Kind;

/* Verbs as bits; ForCompile: no verb. */
enum {
    ForCompile = 1,
    ForRun = 2,
    ForCall = 4,
    ForCheck = 8,
    ForTrace = 16,
    ForExplain = 32,
    ForFmt = 64,
    ForProgram = ForCompile | ForRun | ForCall | ForCheck | ForTrace | ForExplain,
    ForAll = ForProgram | ForFmt
};

typedef struct OptionRow {
    const char *name; /* with its dashes; a trailing '=': the value is glued to it */
    Kind kind;
    size_t offset;      /* in Options */
    int preset;         /* Preset: the Output */
    unsigned verbs;     /* that know it */
    const char *arg;    /* what its value is called, NULL: none */
    const char *values; /* all that it may be, by '|', or NULL */
    const char *help;
} OptionRow;
extern const OptionRow option_rows[];
extern const size_t option_rows_len;
/* Whether a value may follow the name without a blank. */
bool option_glued(const OptionRow *r);

typedef struct Verb {
    const char *name; /* NULL: to compile */
    unsigned bit;
    int (*run)(Options *);
    const char *usage, *help;
    const char *about; /* lines of the verb's own help, or NULL */
} Verb;
extern const Verb verb_rows[];
extern const size_t verb_rows_len;
/* The row of a name; NULL: none. */
const Verb *verb_find(const char *name);

#endif
