/* The commands of coffer-gate. Each gets argv[0] = its own name, and returns an exit code. */
#ifndef COFFER_GATE_COMMAND_H
#define COFFER_GATE_COMMAND_H

int cmd_config(int argc, char *argv[]); /* show, check, keys, import */
int config_import(int argc, char *argv[]);
int cmd_trust(int argc, char *argv[]);
int cmd_rule(int argc, char *argv[]);    /* test */
int cmd_gate(int argc, char *argv[]);    /* check, table */
int gate_review(int argc, char *argv[]); /* gate review: a verb of cmd_gate */
int cmd_check(int argc, char *argv[]);   /* code and diffs */
int cmd_hooks(int argc, char *argv[]);   /* list, trust, test */
int cmd_compile(int argc, char *argv[]); /* for the front: writes the compiled configuration */
int gate_parts(int argc, char *argv[]);  /* of cmd_gate: `coffer gate parts` */
int cmd_decide(int argc, char *argv[]);  /* for the front: one command of `coffer run` */

#endif
