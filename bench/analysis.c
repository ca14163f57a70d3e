/* What taking command lines apart costs: analysis [ROUNDS]
 *
 * Prints medians and 90th percentiles of processor time, since others share the machine: of typical
 * command lines, in microseconds, and of a script of 2,000 lines, in milliseconds. The budgets:
 * 200 us for a line, 20 ms for the script. */
#include "gate/analysis.h"
#include "base/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SCRIPT_LINES = 2000 };

static const char *const lines[] = {
	"ls -la src",
	"git status && git diff --stat | head -20",
	"cd /srv/project && npm test -- --reporter=dot 2>&1 | tail -40",
	"rg -n 'static int main' --glob '*.c' src tests",
	"python3 -c 'import json, sys; print(json.load(sys.stdin)[\"a\"])' < package.json",
	"find . -name '*.py' -not -path './node_modules/*' -exec grep -l import {} +",
	"for f in src/*.c; do echo \"$f: $(wc -l < \"$f\")\"; done",
	"bash -lc 'set -euo pipefail; make -j2 && ctest --output-on-failure'",
	"cat > notes.txt <<'EOF'\nfirst\nsecond\nEOF\nsed -n '1,5p' notes.txt",
	"test -f .env || cp .env.example .env; env NODE_ENV=test timeout 60 node index.js &",
};

static double now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double measure_us(const char *script, size_t length)
{
	struct analysis *analysis = NULL;
	double start = now_us();
	if (analyze_shell(script, length, NULL, &analysis) < 0)
		exit(1);
	double taken = now_us() - start;
	if (analysis->incomplete || analysis->syntax.errno_value) {
		fprintf(stderr, "not understood: %.60s\n", script);
		exit(1);
	}
	analysis_free(analysis);
	return taken;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static void print(const char *what, double *samples, size_t count, double unit, const char *name)
{
	qsort(samples, count, sizeof(*samples), by_size);
	printf("%-28s median %8.1f %s, 90th percentile %8.1f %s\n", what, samples[count / 2] / unit,
		name, samples[count * 9 / 10] / unit, name);
}

/* What a build script has, over and over. */
static char *long_script(void)
{
	static const char *const pattern[] = {
		"if [ ! -d \"$out\" ]; then mkdir -p \"$out\"; fi",
		"for f in src/*.c; do cc -O2 -c \"$f\" -o \"$out/$(basename \"$f\").o\"; done",
		"echo \"built $name at $(date +%s)\" >> build.log 2>&1",
		"case $mode in debug) flags=-g;; release|fast) flags=-O3;; *) exit 1;; esac",
		"git log --oneline -n 5 | sed -e 's/^/  /' | head -3",
		"# a comment, as every fifth line has one",
		"tar -czf \"$out.tar.gz\" --exclude='*.o' \"$out\" && rm -f \"$out/tmp\"",
		"export VERSION=${VERSION:-$(cat VERSION)}",
	};
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);
	if (!stream)
		exit(1);
	for (size_t i = 0; i < SCRIPT_LINES; i++)
		fprintf(stream, "%s\n", pattern[i % ARRAY_SIZE(pattern)]);
	fclose(stream);
	return text;
}

int main(int argc, char *argv[])
{
	size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 200;
	if (rounds == 0)
		return 2;
	cleanup_free double *samples = calloc(rounds * ARRAY_SIZE(lines), sizeof(*samples));
	if (!samples)
		return 1;
	for (size_t i = 0; i < rounds * ARRAY_SIZE(lines); i++) {
		const char *line = lines[i % ARRAY_SIZE(lines)];
		samples[i] = measure_us(line, strlen(line));
	}
	print("a typical command line", samples, rounds * ARRAY_SIZE(lines), 1, "us");
	cleanup_free char *script = long_script();
	size_t script_rounds = rounds / 10 + 1;
	for (size_t i = 0; i < script_rounds; i++)
		samples[i] = measure_us(script, strlen(script));
	print("a script of 2,000 lines", samples, script_rounds, 1e3, "ms");
	return 0;
}
