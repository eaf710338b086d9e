/* The formatter's own: what its two files share. */
#ifndef BPC_FORMAT_H
#define BPC_FORMAT_H

#include "frontend/parse.h"

/* A token or comment with what the layout needs to know about it. */
typedef struct Piece {
    Token t;
    uint32_t match; /* of an opening bracket or brace: its closing one */
    uint32_t depth; /* brackets open before it, within its statement */
    int cost;       /* of a line break before it; NoBreak: none may stand there */
    bool space;     /* a blank before it, if it does not begin a line */
    bool forced;    /* begins a line: a row of a list, as it was written */
} Piece;
typedef VEC(Piece) Pieces;
enum { NoBreak = 1000 };

/* ---- format_space.c ---- */
/* Blanks, breaks and matching brackets of the tokens of a file that parses; '>=' that closes a
 * type becomes two pieces, trailing commas are dropped. */
Pieces format_pieces(Arena *a, const Tokens *tokens);

#endif
