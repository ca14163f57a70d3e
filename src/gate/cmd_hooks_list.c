/* `coffer hooks list` and `coffer hooks trust`: what a person sees of the hooks, and says to them.
 * What is shown before the question, what is hashed and what is trusted is one reading. */
#include "gate/cmd_hooks_internal.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/units.h"
#include "gate/hooks_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static const char *standing(const struct config_hook *hook)
{
	return hook->managed ? "managed" : hook->trusted ? "trusted" : "waiting";
}

/* The words, as one line: a shell's as it is, others in JSON's quotes. */
static char *words_of(const struct config_hook *hook)
{
	cleanup_buffer struct buffer words = BUFFER_INIT(MAX_MESSAGE_BYTES);
	buffer_append_string(&words, hook->command ? hook->command : "");
	for (size_t i = 0; !hook->command && i < hook->argv.count; i++) {
		buffer_append_string(&words, i ? " " : "");
		buffer_append_json(&words, hook->argv.items[i]);
	}
	return buffer_steal(&words);
}

static int read_files(const struct hooks_setting *setting, const struct config_hook *hook,
	struct hook_files *ret, struct error *error)
{
	return hook_files_read(hook, setting->where.workspace, setting->where.home, ret, error);
}

/* ---- list ---- */

static json_t *strings_json(const struct strv *strings)
{
	json_t *array = json_array();
	for (size_t i = 0; array && i < strings->count; i++) {
		cleanup_free char *text = hook_text(strings->items[i], strlen(strings->items[i]));
		if (!text || json_array_append_new(array, json_string(text)) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *files_json(const struct hook_files *files)
{
	struct strv paths = {0};
	int r = 0;
	for (size_t i = 0; r == 0 && i < files->count; i++)
		r = strv_add(&paths, files->items[i].path);
	json_t *array = r == 0 ? strings_json(&paths) : NULL;
	strv_release(&paths);
	return array;
}

static json_t *hook_json(
	const struct hooks_setting *setting, const struct config_hook *hook, size_t number)
{
	struct hook_files files = {0};
	struct error error = {0};
	read_files(setting, hook, &files, &error);
	const char *fault = error.errno_value ? error.message : files.missing;
	cleanup_free char *fault_text = fault ? hook_text(fault, strlen(fault)) : NULL;
	/* A path may be any bytes. */
	cleanup_free char *file = hook_text(hook->place.file, strlen(hook->place.file));
	json_t *json =
		json_pack("{s:I, s:s, s:s, s:o, s:o, s:s?, s:i, s:s, s:b, s:b, s:o, s:I, s:o, "
			  "s:s?}",
			"number", (json_int_t)number, "event", hook_event_name(hook->event),
			"matcher", hook->matcher ? hook->matcher : "", "command",
			hook->command ? json_string(hook->command) : json_null(), "argv",
			strings_json(&hook->argv), "file", file, "line", (int)hook->place.line,
			"standing", standing(hook), "box", !hook->unboxed, "on_error_allow",
			hook->on_error_allow, "write", strings_json(&hook->writes), "timeout_ms",
			(json_int_t)hook->timeout_ms, "covers", files_json(&files), "fault", fault);
	hook_files_release(&files);
	return json;
}

static int list_json(const struct hooks_setting *setting)
{
	json_t *array = json_array();
	const struct config *config = setting->config;
	for (size_t i = 0; array && i < config->hooks_count; i++) {
		json_t *hook = hook_json(setting, &config->hooks[i], i + 1);
		if (json_array_append_new(array, hook) < 0) {
			json_decref(array);
			array = NULL;
		}
	}
	char *text = array ? json_dumps(array, JSON_INDENT(2)) : NULL;
	json_decref(array);
	if (text)
		puts(text);
	else
		fputs("coffer hooks: out of memory\n", stderr);
	free(text);
	return text ? 0 : HOOKS_EXIT_FAILED;
}

static void print_hook(
	const struct config_hook *hook, const struct hook_files *files, size_t number)
{
	cleanup_free char *words = words_of(hook);
	printf("%zu. %s", number, hook_event_name(hook->event));
	if (hook->matcher && *hook->matcher) {
		fputs(" ", stdout);
		hooks_print(stdout, "", hook->matcher, strlen(hook->matcher));
	} else {
		fputs("\n", stdout);
	}
	if (words)
		hooks_print(stdout, "   ", words, strlen(words));
	printf("   %s; %s", standing(hook), hook->unboxed ? "runs without a box" : "in a box");
	if (hook->on_error_allow)
		fputs("; if it fails, what it watches passes", stdout);
	printf("; at most %llu ms\n", (unsigned long long)hook->timeout_ms);
	for (size_t i = 0; i < hook->writes.count; i++) {
		fputs("   may write ", stdout);
		hooks_print(stdout, "", hook->writes.items[i], strlen(hook->writes.items[i]));
	}
	if (files->missing) {
		fputs("   not in this workspace: ", stdout);
		hooks_print(stdout, "", files->missing, strlen(files->missing));
	}
	for (size_t i = 0; i < files->count; i++) {
		const struct hook_file *file = &files->items[i];
		fputs(file->content ? "   covers " : "   runs ", stdout);
		hooks_print(stdout, "", file->path, strlen(file->path));
		if (file->companions_count)
			printf("   covers %zu file%s beside it\n", file->companions_count,
				file->companions_count == 1 ? "" : "s");
	}
	fputs("   ", stdout);
	hooks_print(stdout, "", hook->place.file, strlen(hook->place.file));
}

static void print_how_to_add(const struct hooks_setting *setting)
{
	printf("\nTo add one, in %s/coffer.toml:\n\n"
	       "   [[hook]]\n"
	       "   event = \"UserPromptSubmit\"\n"
	       "   command = \"%s/hooks/prompt-scanner\"\n\n"
	       "then `coffer hooks trust`. Shipped: %s/hooks/ (see README.md there).\n",
		setting->where.user_dir ? setting->where.user_dir : "~/.config/coffer",
		COFFER_DATA_DIR, COFFER_DATA_DIR);
}

int cmd_hooks_list(int argc, char *argv[])
{
	bool json = argc == 2 && strcmp(argv[1], "--json") == 0;
	if (argc > 1 && !json)
		return hooks_usage("list [--json]");
	struct error error = {0};
	struct hooks_setting setting;
	if (hooks_setting_load(&setting, &error) < 0)
		return hooks_complain(&error);
	int code = 0;
	if (json) {
		code = list_json(&setting);
	} else {
		for (size_t i = 0; i < setting.config->hooks_count; i++) {
			const struct config_hook *hook = &setting.config->hooks[i];
			struct hook_files files = {0};
			if (read_files(&setting, hook, &files, &error) < 0)
				hooks_complain(&error);
			print_hook(hook, &files, i + 1);
			hook_files_release(&files);
		}
		if (!setting.config->hooks_count)
			puts("There are no hooks.");
		print_how_to_add(&setting);
	}
	hooks_setting_release(&setting);
	return code;
}

/* ---- trust ---- */

static bool asked(const char *question)
{
	cleanup_fclose FILE *terminal = fopen("/dev/tty", "r+e");
	char answer[16] = "";
	if (!terminal)
		return false;
	fputs(question, terminal);
	fflush(terminal);
	if (!fgets(answer, sizeof(answer), terminal))
		return false;
	return strcasecmp(answer, "y\n") == 0 || strcasecmp(answer, "yes\n") == 0;
}

static bool has_terminal(void)
{
	cleanup_close int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	return fd >= 0;
}

static void print_content(const char *name, const char *content, size_t length_bytes)
{
	fputs("   ---- ", stdout);
	hooks_print(stdout, "", name, strlen(name));
	hooks_print(stdout, "   | ", content, length_bytes);
}

/* Shows one hook with every script that its trust covers, and records it. 0 where it was trusted,
 * 1 where not, or -errno. */
static int trust_one(
	const struct hooks_setting *setting, size_t number, bool yes, struct error *error)
{
	const struct config_hook *hook = &setting->config->hooks[number - 1];
	struct hook_files files = {0};
	char hash[SHA256_HEX_BYTES];
	int r = read_files(setting, hook, &files, error);
	if (r == 0 && files.missing) {
		r = error_set(error, ENOENT, "hooks", "%s is not there", files.missing);
		error_hint(error, "what is not there cannot be trusted; go to its project");
	}
	if (r == 0) {
		r = hook_files_hash(hook, &files, hash);
		if (r < 0)
			error_set_errno(error, -r, "hooks", "a hook's hash");
	}
	if (r == 0) {
		print_hook(hook, &files, number);
		for (size_t i = 0; i < files.count; i++) {
			const struct hook_file *file = &files.items[i];
			if (!file->content)
				continue;
			print_content(file->path, file->content, file->length_bytes);
			for (size_t k = 0; k < file->companions_count; k++) {
				const struct hook_companion *companion = &file->companions[k];
				print_content(companion->relative, companion->content,
					companion->length_bytes);
			}
		}
		if (!files.count)
			puts("   (no script of its own: the line above is all that is trusted)");
		fflush(stdout);
		if (!yes && !asked("Trust this hook? It will see every event that it is for. "
				   "[y/N] "))
			r = 1;
	}
	hook_files_release(&files);
	if (r == 0)
		r = trust_add(setting->where.state_dir, TRUST_HOOK, hook->place.file, hash, error);
	if (r == 0)
		printf("   trusted\n");
	else if (r == 1)
		printf("   not trusted\n");
	return r;
}

/* Which hook is meant: N, or 0 for all that wait. False: neither. */
static bool parse_number(const char *word, size_t count, size_t *ret)
{
	uint64_t number;
	if (units_parse_count(word, &number) < 0 || number < 1 || number > count)
		return false;
	*ret = (size_t)number;
	return true;
}

static int trust_them(
	const struct hooks_setting *setting, const char *which, bool yes, struct error *error)
{
	const struct config *config = setting->config;
	size_t only = 0, shown = 0;
	if (which && !parse_number(which, config->hooks_count, &only)) {
		error_set(error, EINVAL, "hooks", "there is no hook '%s'", which);
		return error_hint(
			error, "`coffer hooks list` numbers them, 1 to %zu", config->hooks_count);
	}
	int r = 0;
	for (size_t i = 0; r >= 0 && i < config->hooks_count; i++) {
		const struct config_hook *hook = &config->hooks[i];
		if (only ? i + 1 != only : hook->managed || hook->trusted)
			continue;
		shown++;
		int one = trust_one(setting, i + 1, yes, error);
		r = one < 0 ? one : one > r ? one : r;
	}
	if (r == 0 && !shown)
		puts("No hook waits for trust.");
	return r;
}

int cmd_hooks_trust(int argc, char *argv[])
{
	const char *which = NULL;
	bool all = false, yes = false;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--all") == 0)
			all = true;
		else if (strcmp(argv[i], "--yes") == 0)
			yes = true;
		else if (!which && argv[i][0] != '-')
			which = argv[i];
		else
			return hooks_usage("trust [N|--all] [--yes]");
	}
	if ((which && all) || (yes && !which && !all))
		return hooks_usage("trust [N|--all] [--yes]  (--yes needs N or --all)");
	struct error error = {0};
	if (!yes && !has_terminal()) {
		error_set(&error, ENOTTY, "hooks", "there is no terminal to ask on");
		error_hint(&error, "read the hook, then: coffer hooks trust N --yes");
		return hooks_complain(&error);
	}
	struct hooks_setting setting;
	if (hooks_setting_load(&setting, &error) < 0)
		return hooks_complain(&error);
	int r = trust_them(&setting, which, yes, &error);
	if (setting.where.state_dir)
		hooks_prune(setting.where.state_dir);
	hooks_setting_release(&setting);
	return r < 0 ? hooks_complain(&error) : r;
}
