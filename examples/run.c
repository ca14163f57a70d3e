/* Two commands in one box, and what came of it.
 *
 *	cc run.c $(pkg-config --cflags --libs libcoffer) -o run && ./run [DIRECTORY]
 */
#include <coffer.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

static int fail(const struct coffer_error *error)
{
	fprintf(stderr, "run: %s: %s\n", error->stage, error->message);
	if (error->hint[0])
		fprintf(stderr, "run: %s\n", error->hint);
	return EXIT_FAILURE;
}

static int fill(struct coffer_policy *policy, const char *directory, struct coffer_error *error)
{
	const struct {
		const char *key, *value;
	} settings[] = {
		{"mode", "workspace-write"},
		{"directory", directory},
		{"limit", "time=30s,pids=256"},
		{"env", "GREETING=hello"},
	};
	int r = 0;
	for (size_t i = 0; r == 0 && i < sizeof(settings) / sizeof(settings[0]); i++)
		r = coffer_policy_set(policy, settings[i].key, settings[i].value, error);
	return r;
}

/* Runs script in the box, and waits for its end. */
static int run(struct coffer_box *box, const char *script, struct coffer_error *error)
{
	char *argv[] = {(char *)"sh", (char *)"-c", (char *)script, NULL};
	uint32_t id;
	int status;
	int r = coffer_box_exec(box, argv, NULL, NULL, NULL, &id, error);
	if (r == 0)
		r = coffer_box_wait_exec(box, id, 10 * 1000, &status, error);
	if (r == 0 && WIFEXITED(status))
		printf("command %u ended with %d\n", id, WEXITSTATUS(status));
	else if (r == 0)
		printf("command %u was killed by signal %d\n", id, WTERMSIG(status));
	fflush(stdout);
	return r;
}

int main(int argc, char *argv[])
{
	struct coffer_error error = {0};
	struct coffer_policy *policy = coffer_policy_new();
	struct coffer_box *box = NULL;
	struct coffer_report *report = NULL;
	char *no_command[] = {NULL}; /* the box waits for coffer_box_exec() */

	int r = policy ? fill(policy, argc > 1 ? argv[1] : ".", &error) : -1;
	if (r == 0)
		r = coffer_box_start(policy, no_command, NULL, &box, &error);
	if (r == 0)
		r = run(box, "echo \"$GREETING\" >/tmp/greeting; echo first", &error);
	/* The same box: what the first command left in its private /tmp is there. */
	if (r == 0)
		r = run(box, "cat /tmp/greeting; exit 3", &error);
	if (r == 0)
		r = coffer_box_wait(box, &report, &error);
	if (r == 0)
		puts(coffer_report_json(report));

	coffer_report_free(report);
	coffer_box_free(box);
	coffer_policy_free(policy);
	return r == 0 ? EXIT_SUCCESS : fail(&error);
}
