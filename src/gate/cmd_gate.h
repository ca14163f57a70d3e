/* The sub-commands of `coffer gate`, each with argv[0] = its own name. */
#ifndef COFFER_GATE_CMD_GATE_H
#define COFFER_GATE_CMD_GATE_H

int gate_check(int argc, char *argv[]);

#endif
