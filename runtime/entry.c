/* The main function of a trainer: the compiled program and the runtime meet. */
#include "runtime/bprt.h"

extern const BpProgram bp_program;

int main(int argc, char **argv) { return bprt_main(&bp_program, argc, argv); }
