/* What the files of the diff analysis share.
 *
 *	code_diff.c               reads the diff: files, hunks, lines
 *	code_diff_files.c         what a path, a mode or a binary file says
 *	code_diff_lines.c         what an added line says, in any language
 *	code_diff_code.c          added Python and JavaScript, by their syntax
 *	code_diff_secrets.c       credentials in added lines
 *	code_diff_dependencies.c  manifests and lock files
 *	code_lookalike.c          names that are nearly those of popular packages
 */
#ifndef COFFER_GATE_CODE_DIFF_H
#define COFFER_GATE_CODE_DIFF_H

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/strv.h"
#include "gate/code_internal.h"

enum manifest {
	MANIFEST_NONE,
	MANIFEST_NPM,       /* package.json */
	MANIFEST_PIP,       /* requirements*.txt */
	MANIFEST_PYPROJECT, /* pyproject.toml, Pipfile */
	MANIFEST_CARGO,
	MANIFEST_GO,
	MANIFEST_GEM,
	MANIFEST_LOCK,
};

/* One file of a diff. */
struct diff_file {
	struct findings_list *findings;
	char *path; /* its new name; of what is deleted, the old one */
	bool created, deleted, binary, headed;
	unsigned old_mode, new_mode;
	unsigned added_lines;

	/* Known once the path is: */
	bool known, is_documentation, is_fixture, is_test;
	const char *language; /* "python", "javascript" or NULL */
	enum manifest manifest;

	/* What the diff shows of the new file: for its syntax tree. */
	struct buffer shown;
	struct shown_line {
		unsigned number;
		bool added;
	} * shown_lines;
	size_t shown_count;

	char section[128]; /* of a manifest, as far as the diff shows it */
	/* Names of dependencies, and hosts of a lock file: what was there, and what comes; of the
	 * latter also the lines. */
	struct strv before, after;
	unsigned *after_lines;
};

struct diff_line {
	const char *text; /* without its sign and its end; not NUL-terminated */
	size_t length;
	unsigned number; /* in the new file; of a removed line, where it was */
};

/* A finding of the file: at a line, or, with line NULL, of it as a whole. */
void diff_report(
	struct diff_file *file, const char *rule, const struct diff_line *line, const char *detail);
/* The same for a part of the line. Secrets are shown by their first characters only. */
void diff_report_secret(struct diff_file *file, const char *rule, const struct diff_line *line,
	size_t at, size_t length, const char *detail);

void diff_check_path(struct diff_file *file);
void diff_check_file(struct diff_file *file); /* once its headers are read */
void diff_check_link(struct diff_file *file, const struct diff_line *line);

void diff_check_line(struct diff_file *file, const struct diff_line *line);
void diff_check_secrets(struct diff_file *file, const struct diff_line *line);

void diff_show_line(struct diff_file *file, const struct diff_line *line, bool added);
void diff_check_shown(struct diff_file *file);

void diff_see_manifest_line(struct diff_file *file, const struct diff_line *line, char sign);
void diff_check_manifest(struct diff_file *file); /* once all its lines were seen */

/* ---- code_lookalike.c ---- */
enum ecosystem { ECOSYSTEM_NPM, ECOSYSTEM_PYPI, ECOSYSTEM_CRATES };
/* The popular package that name could be taken for, or NULL; also for those themselves. */
const char *lookalike_of(enum ecosystem ecosystem, const char *name);

/* ---- code_popular.c ---- */
struct popular_names {
	const char *const *names; /* sorted */
	size_t count;
};
extern const struct popular_names popular_names[]; /* [ecosystem] */

#endif
