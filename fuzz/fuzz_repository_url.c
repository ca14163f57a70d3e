#include "base/cleanup.h"
#include "task/repository_url.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What git is told is never an option, a helper or a line of its own, and is read again as itself. */
static void check(const struct repository_url *url)
{
	bool local = url->transport == REPOSITORY_LOCAL;
	if (!url->text || url->text[0] == '-' || strchr(url->text, '\n') ||
		local != (url->host == NULL) || (!local && (url->host[0] == '-' || !url->port)))
		abort();
	if (local)
		return;
	struct repository_url again;
	if (repository_url_parse(url->text, &again, NULL) < 0 ||
		again.transport != url->transport || strcmp(again.text, url->text) != 0 ||
		again.credentials)
		abort();
	repository_url_release(&again);
}

/* BASE, a newline, and what is resolved below it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free char *text = strndup((const char *)data, size);
	if (!text)
		return 0;
	char *more = strchr(text, '\n');
	if (more)
		*more++ = '\0';
	struct repository_url base, url;
	if (repository_url_parse(text, &base, NULL) < 0)
		return 0;
	check(&base);
	if (more && repository_url_resolve(&base, more, &url, NULL) == 0) {
		check(&url);
		repository_url_release(&url);
	}
	repository_url_release(&base);
	return 0;
}
