/* The signals that are no row of the table: where data flows, what a redirection writes, which
 * hosts are spoken with, and what is asked for beyond the box. */
#include "gate/review_assessment.h"

#include "base/cleanup.h"

#include <string.h>
#include <strings.h>

/* What writing somewhere means, the gravest first. */
static const struct {
	unsigned places;
	enum review_risk risk;
	const char *id, *reason;
} writes[] = {
	{PLACE_ACCESS, RISK_CRITICAL, "access-write",
		"it changes who may log in, or what is trusted"},
	{PLACE_CONTROL, RISK_CRITICAL, "control-write", "it changes what the agent itself may do"},
	{PLACE_DEVICE, RISK_CRITICAL, "device-write", "it writes over a disk or memory"},
	{PLACE_STARTUP, RISK_HIGH, "startup-write", "it changes what runs by itself later"},
	{PLACE_SYSTEM, RISK_HIGH, "system-write", "it changes the system"},
	{PLACE_HISTORY, RISK_HIGH, "history-write", "it changes a repository's history, or logs"},
	{PLACE_SECRET, RISK_MEDIUM, "secret-write", "it changes a file that holds credentials"},
	{PLACE_OUTSIDE, RISK_MEDIUM, "outside-write", "it writes outside of the workspace"},
	{PLACE_UNKNOWN, RISK_MEDIUM, "unknown-write",
		"where it writes is not known before it runs"},
};
/* The same for a directory that is to be writable for the whole command. */
static const struct {
	unsigned places;
	enum review_risk risk;
	const char *id, *reason;
} write_grants[] = {
	{PLACE_ABOVE, RISK_CRITICAL, "grant-above", "it could then write the whole home, or more"},
	{PLACE_ACCESS | PLACE_CONTROL | PLACE_DEVICE, RISK_CRITICAL, "grant-access",
		"it could then change who may log in, or what an agent may do"},
	{PLACE_SECRET, RISK_CRITICAL, "grant-secrets", "it could then change credentials"},
	{PLACE_STARTUP, RISK_HIGH, "grant-startup",
		"it could then change what runs by itself later"},
	{PLACE_SYSTEM, RISK_HIGH, "grant-system", "it could then change the system"},
	{PLACE_HISTORY, RISK_HIGH, "grant-history", "it could then change a repository's history"},
	{PLACE_UNKNOWN, RISK_HIGH, "grant-unknown", "which directory is meant is not known"},
	{PLACE_OUTSIDE, RISK_MEDIUM, "grant-outside",
		"it could then write outside of the workspace"},
};
static const char write_verbs[] =
	"write add append save put create copy install edit change update set configure "
	"generate export allow make move";

/* Variables that have a program load or run something else than it says. */
static const char hijacking[] =
	"LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT BASH_ENV ENV PROMPT_COMMAND GIT_SSH "
	"GIT_SSH_COMMAND GIT_PAGER GIT_EDITOR GIT_EXTERNAL_DIFF GIT_CONFIG_GLOBAL "
	"GIT_PROXY_COMMAND NODE_OPTIONS PYTHONSTARTUP PYTHONPATH PERL5OPT PERL5LIB RUBYOPT "
	"RUBYLIB JAVA_TOOL_OPTIONS PAGER EDITOR VISUAL BROWSER IFS PATH";
/* Variables that take the check of certificates away, with the value that does. */
static const char *const unchecked[] = {"NODE_TLS_REJECT_UNAUTHORIZED=0", "GIT_SSL_NO_VERIFY=1",
	"GIT_SSL_NO_VERIFY=true", "PYTHONHTTPSVERIFY=0", "CURL_INSECURE=1",
	"REQUESTS_CA_BUNDLE=", "npm_config_strict_ssl=false", "NPM_CONFIG_STRICT_SSL=false"};

static void note_memory(struct assessment *all, int r)
{
	if (r < 0)
		all->error = r;
}

static void assess_redirection(struct assessment *all, const struct redirection *redirection)
{
	const char *target = redirection->target    ? redirection->target
			     : redirection->written ? redirection->written
						    : "$";
	unsigned place = review_place(all->command, target);
	cleanup_objects struct object_list objects = {.count = 0};
	note_memory(all, object_list_add_path(all->command, target, &objects));
	struct review_claim claim = {
		.verbs = write_verbs, .objects = objects.items, .objects_count = objects.count};
	if (strncmp(target, "/dev/tcp/", 9) == 0 || strncmp(target, "/dev/udp/", 9) == 0) {
		assessment_note(all, RISK_CRITICAL, "reverse-shell",
			"it connects a shell with another machine", NULL);
		all->network = all->strange_network = true;
		return;
	}
	if (redirection->kind == REDIRECT_READ) {
		if (!(place & PLACE_SECRET))
			return;
		all->secrets = true;
		claim.verbs = "read show print display use load send";
		assessment_note(all, RISK_HIGH, "secret-read",
			"it uses a file that holds credentials", &claim);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(writes); i++) {
		if (!(place & writes[i].places))
			continue;
		assessment_note(all, writes[i].risk, writes[i].id, writes[i].reason, &claim);
		return;
	}
}

static void assess_assignments(struct assessment *all, const struct gate_part *part)
{
	for (size_t i = 0; i < part->assignments.count; i++) {
		const char *text = part->assignments.items[i];
		cleanup_free char *name = strndup(text, strcspn(text, "="));
		if (!name) {
			all->error = -ENOMEM;
			return;
		}
		struct review_claim claim = {.verbs = "set use run export", .needs = name};
		if (word_in_list(name, hijacking, ' '))
			assessment_note(all, RISK_HIGH, "hijack",
				"a variable has programs load or run something else", &claim);
		for (size_t k = 0; k < ARRAY_SIZE(unchecked); k++)
			if (strcmp(text, unchecked[k]) == 0)
				assessment_note(all, RISK_MEDIUM, "tls-off",
					"it takes any server for the right one", &claim);
	}
}

/* How grave it is to fetch from a host, and to send to it. */
static const enum review_risk host_risks[][2] = {
	[HOST_LOOPBACK] = {RISK_LOW, RISK_LOW},
	[HOST_KNOWN] = {RISK_LOW, RISK_MEDIUM},
	[HOST_ORDINARY] = {RISK_LOW, RISK_HIGH}, /* whether it can be reached is the box's */
	[HOST_PRIVATE] = {RISK_MEDIUM, RISK_HIGH},
	[HOST_LITERAL] = {RISK_MEDIUM, RISK_HIGH},
	[HOST_ANY] = {RISK_MEDIUM, RISK_HIGH},
	[HOST_DROP] = {RISK_HIGH, RISK_CRITICAL},
	[HOST_METADATA] = {RISK_CRITICAL, RISK_CRITICAL},
};
static const char *const host_ids[] = {
	[HOST_LOOPBACK] = "host-loopback",
	[HOST_KNOWN] = "host-known",
	[HOST_ORDINARY] = "host-ordinary",
	[HOST_PRIVATE] = "host-private",
	[HOST_LITERAL] = "host-literal",
	[HOST_ANY] = "host-any",
	[HOST_DROP] = "host-drop",
	[HOST_METADATA] = "host-metadata",
};
static const char network_verbs[] =
	"allow use access reach connect contact open download fetch get call query post send "
	"upload submit test check clone install pull curl wget";

static void assess_hosts(struct assessment *all, const struct gate_part *part, enum network_use use)
{
	bool named = false;
	for (size_t i = 1; i < part->argv.count; i++) {
		char host[NETWORK_NAME_BYTES];
		const char *word = part->argv.items[i];
		if (word[0] == '-' || !review_host_of(word, use != USE_NONE, host))
			continue;
		enum host_kind kind = review_host_kind(host);
		if (use == USE_NONE && kind != HOST_METADATA)
			continue; /* it looks like a host, but nobody connects to it */
		named = true;
		all->network = all->network || kind != HOST_LOOPBACK;
		all->strange_network =
			all->strange_network || (kind != HOST_LOOPBACK && kind != HOST_KNOWN);
		cleanup_objects struct object_list objects = {.count = 0};
		note_memory(all, object_list_add_name(host, &objects));
		struct review_claim claim = {.verbs = network_verbs,
			.mention_implies = true,
			.command = strv_items(&part->argv),
			.objects = objects.items,
			.objects_count = objects.count};
		assessment_note(all, host_risks[kind][use == USE_SEND], host_ids[kind],
			review_host_reason(kind), &claim);
	}
	if (use != USE_NONE && !named)
		all->network = all->strange_network = true; /* a host that is not known */
}

/* sh -c: what it runs are parts of their own. */
static bool is_mere_shell(const struct gate_part *part)
{
	if (part->undecidable || !word_in_list(part_program(part), "sh bash dash zsh ksh ash", ' '))
		return false;
	for (size_t i = 1; i < part->argv.count; i++) {
		const char *word = part->argv.items[i];
		if (word[0] == '-' && word[1] != '-' && strchr(word, 'c'))
			return true;
	}
	return false;
}

static bool reads_secret(const struct assessment *all, const struct gate_part *part)
{
	const struct review_rule *rule = review_rule_find(all->command, part, PLACE_SECRET);
	return rule || strcmp(part_program(part), "printenv") == 0;
}

void assess_part(struct assessment *all, const struct analysis *analysis, size_t index)
{
	const struct gate_part *part = &analysis->parts[index];
	if (is_mere_shell(part)) {
		for (size_t i = 0; i < part->redirections_count; i++)
			assess_redirection(all, &part->redirections[i]);
		return;
	}
	cleanup_objects struct object_list objects = {.count = 0};
	note_memory(all, object_list_of_part(all->command, part, &objects));
	struct review_claim claim = {.command = strv_items(&part->argv),
		.objects = objects.items,
		.objects_count = objects.count};

	const struct review_rule *rule = review_rule_find(all->command, part, 0);
	if (rule) {
		claim.verbs = rule->verbs;
		claim.needs = rule->needs;
		assessment_note(all, rule->risk, rule->id, rule->reason, &claim);
	}
	all->secrets = all->secrets || reads_secret(all, part);
	for (size_t i = 0; i < part->redirections_count; i++)
		assess_redirection(all, &part->redirections[i]);
	assess_assignments(all, part);
	assess_hosts(all, part, review_network_use(part));

	claim.verbs = part_program(part);
	claim.needs = NULL;
	if (part->undecidable)
		assessment_note(all,
			all->command->mode == MODE_FULL_ACCESS ? RISK_HIGH : RISK_MEDIUM,
			"undecidable", "what would run is not known before it runs", &claim);
	if (part->as_other_user)
		assessment_note(all, RISK_HIGH, "privilege", "it acts as another user", &claim);
}

/* Along pipes, from the part that reads. */
void assess_flow(struct assessment *all, const struct analysis *analysis, size_t index)
{
	const struct gate_part *part = &analysis->parts[index];
	bool secret = false, fetched = false;
	size_t from = part->piped_from;
	if (from == 0)
		return;
	for (size_t steps = 0; from != 0 && from <= analysis->count && steps < analysis->count;
		steps++) {
		const struct gate_part *source = &analysis->parts[from - 1];
		secret = secret || reads_secret(all, source);
		fetched = fetched || review_network_use(source) != USE_NONE;
		from = source->piped_from;
	}
	struct review_claim claim = {.verbs = "run execute pipe install use send post upload",
		.command = strv_items(&part->argv)};
	if (part->reads_stdin_script && fetched)
		assessment_note(all, RISK_HIGH, "download-run", "it runs what a host sends, unseen",
			&claim);
	if (review_network_use(part) == USE_NONE)
		return;
	if (secret)
		assessment_note(
			all, RISK_CRITICAL, "exfiltration", "it sends credentials to a host", NULL);
	else if (review_network_use(part) == USE_SEND)
		assessment_note(all, RISK_HIGH, "pipe-out",
			"it sends what other commands print to a host", &claim);
}

static void assess_network_grant(struct assessment *all, const char *value)
{
	static const enum review_risk risks[] = {
		[HOST_LOOPBACK] = RISK_LOW,
		[HOST_KNOWN] = RISK_LOW,
		[HOST_ORDINARY] = RISK_MEDIUM,
		[HOST_PRIVATE] = RISK_HIGH,
		[HOST_LITERAL] = RISK_HIGH,
		[HOST_ANY] = RISK_HIGH,
		[HOST_DROP] = RISK_HIGH,
		[HOST_METADATA] = RISK_CRITICAL,
	};
	/* HOST[:PORTS], [IPV6]:PORTS or a bare IPv6 address, which has more than one colon. */
	char host[NETWORK_NAME_BYTES];
	const char *colon = strchr(value, ':');
	bool bare_v6 = value[0] != '[' && colon && strchr(colon + 1, ':');
	size_t skip = value[0] == '[';
	size_t length = bare_v6 ? strlen(value) : strcspn(value + skip, skip ? "]" : ":/");
	snprintf(host, sizeof(host), "%.*s", (int)length, value + skip);
	enum host_kind kind = review_host_kind(host);
	all->network = all->network || kind != HOST_LOOPBACK;
	all->strange_network =
		all->strange_network || (kind != HOST_LOOPBACK && kind != HOST_KNOWN);
	cleanup_objects struct object_list objects = {.count = 0};
	note_memory(all, object_list_add_name(host, &objects));
	struct review_claim claim = {.verbs = network_verbs,
		.mention_implies = true,
		.objects = objects.items,
		.objects_count = objects.count};
	assessment_note(all, risks[kind], host_ids[kind], review_host_reason(kind), &claim);
}

static void assess_write_grant(struct assessment *all, const char *value)
{
	unsigned place = review_place(all->command, value);
	cleanup_objects struct object_list objects = {.count = 0};
	note_memory(all, object_list_add_path(all->command, value, &objects));
	struct review_claim claim = {.verbs = write_verbs,
		.mention_implies = true,
		.objects = objects.items,
		.objects_count = objects.count};
	for (size_t i = 0; i < ARRAY_SIZE(write_grants); i++) {
		if (!(place & write_grants[i].places))
			continue;
		assessment_note(all, write_grants[i].risk, write_grants[i].id,
			write_grants[i].reason, &claim);
		return;
	}
}

void assess_grant(
	struct assessment *all, const struct analysis *analysis, const struct grant *grant)
{
	cleanup_objects struct object_list objects = {.count = 0};
	struct review_claim claim = {.objects = objects.items};
	switch (grant->kind) {
	case GRANT_NETWORK:
		assess_network_grant(all, grant->value);
		return;
	case GRANT_WRITE:
		assess_write_grant(all, grant->value);
		return;
	case GRANT_SECRET:
		all->secrets = true;
		note_memory(all, object_list_add_path(all->command, grant->value, &objects));
		claim.verbs = "read use allow show give load";
		claim.objects_count = objects.count;
		assessment_note(
			all, RISK_HIGH, "grant-secret", "it could then read a credential", &claim);
		return;
	case GRANT_UNSANDBOXED:
		/* What is named is the programs: "run make outside of the sandbox". */
		for (size_t i = 0; i < analysis->count && objects.count < OBJECTS_MAX; i++)
			if (!is_mere_shell(&analysis->parts[i]))
				note_memory(
					all, object_list_add_name(
						     part_program(&analysis->parts[i]), &objects));
		claim.verbs = "run execute start allow";
		claim.needs = "unsandboxed sandbox sandboxing box coffer isolation";
		claim.objects_count = objects.count;
		assessment_note(
			all, RISK_HIGH, "unsandboxed", "it would run without the box", &claim);
		return;
	}
}
