#include "gate/code_internal.h"
int code_check_diff(const char *diff, size_t length_bytes, struct findings_list **ret)
{ (void)diff; (void)length_bytes; *ret = calloc(1, sizeof(**ret)); return 0; }
