#include "session/core.h"

#include "base/cleanup.h"
#include "session/text.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

int session_new(const struct face *face, struct session **ret)
{
	struct session *session = calloc(1, sizeof(*session));
	if (!session)
		return -ENOMEM;
	session->face = face;
	unsigned char random[16];
	int r = getrandom(random, sizeof(random), 0) == sizeof(random) ? 0 : -EIO;
	for (size_t i = 0; i < sizeof(random); i++)
		sprintf(session->id + 2 * i, "%02x", random[i]);
	if (r == 0)
		r = session_answers_new(&session->answers);
	if (r < 0) {
		session_free(session);
		return r;
	}
	*ret = session;
	return 0;
}

void session_free(struct session *session)
{
	if (!session)
		return;
	strv_release(&session->settings);
	free(session->directory);
	config_free(session->config);
	compiled_config_free(session->compiled);
	strv_release(&session->notices);
	strv_release(&session->where_storage);
	strv_release(&session->effective);
	free(session->workspace);
	free(session->inside);
	strv_release(&session->writable_roots);
	free(session->shell);
	json_decref(session->policy);
	session_answers_free(session->answers);
	strv_release(&session->user_words);
	free(session->stopped);
	for (size_t i = 0; i < MAX_SESSION_REPORTS; i++)
		json_decref(session->reports[i].report);
	rpc_free(session->rpc);
	wire_free(session->wire);
	free(session);
}

void session_stop(struct session *session, const char *reason)
{
	if (session->stopped)
		return;
	session->stopped = strdup(reason);
	if (!session->stopped) /* without the words there is still a stop */
		session->ending = true;
	session->face->notice(session, "stopped", reason);
}

unsigned session_store_report(struct session *session, json_t *report)
{
	struct stored_report *slot =
		&session->reports[session->reports_count % MAX_SESSION_REPORTS];
	json_decref(slot->report);
	*slot = (struct stored_report){.number = ++session->reports_count, .report = report};
	return slot->number;
}

json_t *session_find_report(const struct session *session, const char *name)
{
	char *end;
	unsigned long number = session->reports_count;
	if (strcmp(name, "last") != 0) {
		number = name[0] == 'r' ? strtoul(name + 1, &end, 10) : 0;
		if (!number || *end)
			return NULL;
	}
	for (size_t i = 0; number && i < MAX_SESSION_REPORTS; i++)
		if (session->reports[i].number == number)
			return session->reports[i].report;
	return NULL;
}

static json_t *calls_json(const struct session *session)
{
	json_t *array = json_array();
	for (const struct call *call = session->calls; call; call = call->next)
		json_array_append_new(array, json_of_text(call->name));
	return array;
}

json_t *session_status(const struct session *session)
{
	return json_pack("{s:s, s:b, s:o*, s:O*, s:o, s:i, s:i, s:{s:i, s:i}}", "session",
		session->id, "started", session->started, "stopped",
		session->stopped ? json_of_text(session->stopped) : NULL, "policy", session->policy,
		"calls", calls_json(session), "reports", (int)session->reports_count, "prompts",
		(int)session->user_words.count, "reviews", "count", (int)session->history.count,
		"refused_in_a_row", (int)session->history.in_a_row);
}

int session_add_words(struct session *session, const char *text)
{
	struct strv *words = &session->user_words;
	if (words->count >= MAX_SESSION_PROMPTS) {
		free(words->items[0]);
		memmove(words->items, words->items + 1, words->count * sizeof(*words->items));
		words->count--;
	}
	return strv_add(words, text);
}
