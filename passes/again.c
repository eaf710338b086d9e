#include "passes/plan.h"
Fn *fit_budget(Program *p, Fn *fn, uint64_t budget) { (void)p, (void)budget; return fn; }
