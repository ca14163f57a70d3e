/* The languages whose syntax trees the gate reads (sources: grammars/). */
#ifndef COFFER_GATE_GRAMMARS_H
#define COFFER_GATE_GRAMMARS_H

#include <tree_sitter/api.h>

const TSLanguage *tree_sitter_bash(void);
const TSLanguage *tree_sitter_python(void);
const TSLanguage *tree_sitter_javascript(void);

#endif
