/* Internal to wrappers.c, wrappers_table.c and wrappers_special.c. */
#ifndef COFFER_GATE_WRAPPERS_H
#define COFFER_GATE_WRAPPERS_H

#include "gate/shell.h"

enum wrapper_effect {
	OTHER_USER = 1 << 0,
	BACKGROUND = 1 << 1,
	ELSEWHERE = 1 << 2, /* files here say nothing of what runs there */
	LINE = 1 << 3,      /* the words are joined and given to a shell */
	ASSIGNS = 1 << 4,   /* NAME=VALUE words may stand before the command */
	SHELL = 1 << 5,     /* without a command it starts a shell */
};

struct wrapper {
	const char *name;
	struct options options;
	unsigned operands; /* words between the options and the command */
	unsigned effects;
	const char *stops; /* letters of options with which nothing is started */
	void (*act)(struct look *look, const struct wrapper *wrapper);
};

const struct wrapper *wrapper_find(const char *name);
/* Goes over the options of the row. False: one was not known; the part is doubted. */
bool take_options(const struct look *look, const struct wrapper *wrapper, size_t *at, bool *stops);
void look_at_bare_shell(const struct look *look);
/* Options of programs that are no wrappers, with which they start others after all. */
void look_at_options(const struct look *look, const char *name);

void on_at(struct look *look, const struct wrapper *wrapper);
void on_busybox(struct look *look, const struct wrapper *wrapper);
void on_docker(struct look *look, const struct wrapper *wrapper);
void on_env(struct look *look, const struct wrapper *wrapper);
void on_find(struct look *look, const struct wrapper *wrapper);
void on_flock(struct look *look, const struct wrapper *wrapper);
void on_git(struct look *look, const struct wrapper *wrapper);
void on_ip(struct look *look, const struct wrapper *wrapper);
void on_script(struct look *look, const struct wrapper *wrapper);
void on_ssh(struct look *look, const struct wrapper *wrapper);
void on_su(struct look *look, const struct wrapper *wrapper);
void on_sudo(struct look *look, const struct wrapper *wrapper);
void on_unclear(struct look *look, const struct wrapper *wrapper);
void on_watch(struct look *look, const struct wrapper *wrapper);
void on_xargs(struct look *look, const struct wrapper *wrapper);
/* edit_scripts.c */
bool sed_only_edits(const char *code);
bool awk_only_prints(const char *code);
size_t look_take_assignments(struct look *look, size_t at);
void look_apply_effects(struct look *look, unsigned effects);

#endif
