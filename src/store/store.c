/* Theory of operation. One connection in WAL mode: readers never wait for a writer, and a writer
 * waits for another one at most BUSY_TIMEOUT_MS. A kill leaves what was committed; the next one to
 * open the file rolls the rest back. With synchronous = NORMAL a power failure may take the last
 * transactions, never the file. */
#include "store/store.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/path.h"
#include "store/schema.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { BUSY_TIMEOUT_MS = 20000 };

static const char stage[] = "state";

struct store {
	sqlite3 *database;
	char *path;
};

struct store_row {
	sqlite3_stmt *statement;
};

static char *written_directory(void)
{
	const char *state = getenv("XDG_STATE_HOME");
	if (state && state[0] == '/')
		return path_absolute(state, "coffer");
	if (geteuid() == 0)
		return strdup("/var/lib/coffer");
	const char *home = getenv("HOME");
	return home && home[0] == '/' ? path_absolute(home, ".local/state/coffer") : NULL;
}

int store_directory(char **ret, struct error *error)
{
	cleanup_free char *written = written_directory();
	if (!written) {
		error_set(error, ENOENT, stage, "neither HOME nor XDG_STATE_HOME is set");
		return error_hint(error, "coffer keeps its state there: set one of them");
	}
	int r = fd_make_directories(written);
	cleanup_free char *real = r == 0 ? realpath(written, NULL) : NULL;
	if (r == 0 && !real)
		r = -errno;
	if (r < 0) {
		error_set_errno(error, -r, stage, "%s", written);
		return error_hint(error, "coffer keeps its state there: set XDG_STATE_HOME to "
					 "another place");
	}
	*ret = steal_pointer(&real);
	return 0;
}

/* ---- what SQLite says ---- */

static const struct {
	int code, errno_value;
	const char *hint;
} meanings[] = {
	{SQLITE_FULL, ENOSPC, "the disk is full: nothing was changed"},
	{SQLITE_BUSY, EBUSY, "another coffer holds it; try again"},
	{SQLITE_LOCKED, EBUSY, "another coffer holds it; try again"},
	{SQLITE_READONLY, EROFS, "it cannot be written: look at its owner and mode"},
	{SQLITE_PERM, EACCES, "it cannot be opened: look at its owner and mode"},
	{SQLITE_CANTOPEN, EACCES, "it cannot be opened: look at its owner and mode"},
	{SQLITE_NOMEM, ENOMEM, ""},
	{SQLITE_IOERR, EIO, "the disk may be full or failing: nothing was changed"},
};

static int complain(const struct store *store, struct error *error, int code)
{
	int primary = code & 0xff;
	if (primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB) {
		error_set(error, EUCLEAN, stage, "%s is damaged", store->path);
		return error_hint(error,
			"move it away (mv state.db state.db-damaged, with its -wal and -shm): the next "
			"command makes a new one; patches that were finished are in tasks/*/patch "
			"beside it");
	}
	for (size_t i = 0; i < ARRAY_SIZE(meanings); i++) {
		if (meanings[i].code != primary)
			continue;
		error_set(error, meanings[i].errno_value, stage, "%s: %s", store->path,
			sqlite3_errmsg(store->database));
		return meanings[i].hint[0] ? error_hint(error, "%s", meanings[i].hint)
					   : -meanings[i].errno_value;
	}
	return error_set(error, EIO, stage, "%s: %s", store->path, sqlite3_errmsg(store->database));
}

/* ---- statements ---- */

static int bind_values(sqlite3_stmt *statement, const char *types, va_list arguments)
{
	int code = SQLITE_OK;
	for (int i = 0; types[i] && code == SQLITE_OK; i++) {
		if (types[i] == 'i') {
			code = sqlite3_bind_int64(statement, i + 1, va_arg(arguments, int64_t));
			continue;
		}
		const char *text = va_arg(arguments, const char *);
		code = text ? sqlite3_bind_text(statement, i + 1, text, -1, SQLITE_STATIC)
			    : sqlite3_bind_null(statement, i + 1);
	}
	return code;
}

static int step_rows(struct store *store, sqlite3_stmt *statement, store_row_fn callback,
	void *context, struct error *error)
{
	int code;
	while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
		struct store_row row = {statement};
		int r = callback ? callback(&row, context, error) : 0;
		if (r != 0)
			return r;
	}
	return code == SQLITE_DONE ? 0 : complain(store, error, code);
}

static int query(struct store *store, struct error *error, store_row_fn callback, void *context,
	const char *sql, const char *types, va_list arguments)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(store->database, sql, -1, &statement, NULL);
	if (code == SQLITE_OK)
		code = bind_values(statement, types, arguments);
	int r = code == SQLITE_OK ? step_rows(store, statement, callback, context, error)
				  : complain(store, error, code);
	sqlite3_finalize(statement);
	return r;
}

int store_run(struct store *store, struct error *error, const char *sql, const char *types, ...)
{
	va_list arguments;
	va_start(arguments, types);
	int r = query(store, error, NULL, NULL, sql, types, arguments);
	va_end(arguments);
	return r;
}

int store_query(struct store *store, struct error *error, store_row_fn callback, void *context,
	const char *sql, const char *types, ...)
{
	va_list arguments;
	va_start(arguments, types);
	int r = query(store, error, callback, context, sql, types, arguments);
	va_end(arguments);
	return r;
}

int64_t store_changed(const struct store *store)
{
	return sqlite3_changes64(store->database);
}

int64_t store_integer(const struct store_row *row, int column)
{
	return sqlite3_column_int64(row->statement, column);
}

bool store_is_null(const struct store_row *row, int column)
{
	return sqlite3_column_type(row->statement, column) == SQLITE_NULL;
}

const char *store_text(const struct store_row *row, int column)
{
	return (const char *)sqlite3_column_text(row->statement, column);
}

int store_take_text(const struct store_row *row, int column, char **ret)
{
	const char *text = store_text(row, column);
	char *copy = text ? strdup(text) : NULL;
	if (text && !copy)
		return -ENOMEM;
	free(*ret);
	*ret = copy;
	return 0;
}

int store_transaction(struct store *store, store_body body, void *context, struct error *error)
{
	/* IMMEDIATE: whoever reads first and writes later would else find the file changed. */
	int r = store_run(store, error, "BEGIN IMMEDIATE", "");
	if (r < 0)
		return r;
	r = body(store, context, error);
	if (r >= 0) {
		int committed = store_run(store, error, "COMMIT", "");
		if (committed == 0)
			return r;
		r = committed;
	}
	struct error ignored;
	store_run(store, &ignored, "ROLLBACK", "");
	return r;
}

/* ---- opening ---- */

static int take_version(const struct store_row *row, void *context, struct error *error)
{
	(void)error;
	*(int64_t *)context = store_integer(row, 0);
	return 0;
}

static int migrate(struct store *store, void *context, struct error *error)
{
	(void)context;
	int64_t version = 0;
	int r = store_query(store, error, take_version, &version, "PRAGMA user_version", "");
	for (; r == 0 && version < (int64_t)store_migrations_count; version++) {
		char note[64];
		snprintf(note, sizeof(note), "PRAGMA user_version = %lld", (long long)version + 1);
		int code =
			sqlite3_exec(store->database, store_migrations[version], NULL, NULL, NULL);
		if (code != SQLITE_OK)
			return complain(store, error, code);
		r = store_run(store, error, note, "");
	}
	return r;
}

static int bring_up_to_date(struct store *store, struct error *error)
{
	int64_t version = 0;
	int r = store_query(store, error, take_version, &version, "PRAGMA user_version", "");
	if (r == 0 && version > (int64_t)store_migrations_count) {
		error_set(error, EPROTONOSUPPORT, stage,
			"%s has version %lld, this coffer knows up to %zu", store->path,
			(long long)version, store_migrations_count);
		return error_hint(error, "a newer coffer made it: use that one");
	}
	if (r == 0 && version < (int64_t)store_migrations_count)
		r = store_transaction(store, migrate, NULL, error);
	return r;
}

/* With its mode from the first moment; SQLite gives the files beside it the same one. */
static int make_file(const struct store *store, struct error *error)
{
	cleanup_close int fd =
		open(store->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set_errno(error, errno, stage, "%s", store->path);
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid()) {
		error_set(error, EPERM, stage, "%s is not a file of this user's", store->path);
		return error_hint(error, "set XDG_STATE_HOME to a place of your own");
	}
	return 0;
}

static int open_database(struct store *store, struct error *error)
{
	int code = sqlite3_open_v2(store->path, &store->database,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_NOMUTEX |
			SQLITE_OPEN_EXRESCODE,
		NULL);
	if (code != SQLITE_OK)
		return complain(store, error, code);
	sqlite3_busy_timeout(store->database, BUSY_TIMEOUT_MS);
	static const char *const settings[] = {"PRAGMA journal_mode = WAL",
		"PRAGMA synchronous = NORMAL", "PRAGMA foreign_keys = ON",
		"PRAGMA trusted_schema = OFF"};
	int r = 0;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(settings); i++)
		r = store_run(store, error, settings[i], "");
	return r;
}

int store_open(struct store **ret, struct error *error)
{
	cleanup_free char *directory = NULL;
	int r = store_directory(&directory, error);
	if (r < 0)
		return r;
	/* SQLite's own waiting does not cover the change to WAL and the first table. */
	cleanup_close int opening = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (opening < 0 || flock(opening, LOCK_EX) < 0)
		return error_set_errno(error, errno, stage, "%s", directory);
	struct store *store = calloc(1, sizeof(*store));
	if (store)
		store->path = path_join(directory, "state.db");
	if (!store || !store->path)
		r = error_set_errno(error, ENOMEM, stage, "state.db");
	if (r == 0)
		r = make_file(store, error);
	if (r == 0)
		r = open_database(store, error);
	if (r == 0)
		r = bring_up_to_date(store, error);
	if (r < 0) {
		store_close(store);
		return r;
	}
	*ret = store;
	return 0;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	sqlite3_close(store->database);
	free(store->path);
	free(store);
}
