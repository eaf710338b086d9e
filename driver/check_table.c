#include "driver/check_site.h"
int command_check_rules(Options *o) { return compile_report(o); }
