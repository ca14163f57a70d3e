/* Matching of commands against the reviewer's table. A word that is not known statically fits
 * nothing but a place; what it hides is judged as undecidable elsewhere. */
#include "gate/review_internal.h"

#include "base/cleanup.h"
#include "base/path.h"

#include <ctype.h>
#include <string.h>

/* Options of a program itself, before its sub-command, that take the next word as their value. */
static const struct {
	const char *program, *options;
} global_values[] = {
	{"git", "-C -c --git-dir --work-tree --namespace --exec-path --config-env"},
	{"kubectl", "-n --namespace --context --kubeconfig --cluster -s --server --user"},
	{"docker", "-H --host --context -c --config"},
	{"npm", "--prefix -w --workspace --registry"},
	{"yarn", "--cwd"},
	{"pnpm", "-C --dir -F --filter"},
	{"gh", "-R --repo"},
	{"aws", "--profile --region --endpoint-url --output"},
	{"gcloud", "--project --account --configuration"},
	{"terraform", "-chdir"},
	{"helm", "-n --namespace --kube-context"},
	{"cargo", "--manifest-path -C --config"},
	{"systemctl", "-H --host -M --machine"},
	{"pip", "--python --proxy --log"},
};

bool word_in_list(const char *word, const char *list, char separator)
{
	size_t length = strlen(word);
	const char ends[] = {separator, '\0'};
	for (const char *s = list; length && *s; s += *s == separator) {
		size_t n = strcspn(s, ends);
		if (n == length && strncmp(s, word, n) == 0)
			return true;
		s += n;
	}
	return false;
}

/* The same where an entry may end in a star. */
static bool word_in_patterns(const char *word, const char *list)
{
	for (const char *s = list; *s; s += *s == ' ') {
		size_t n = strcspn(s, " ");
		if (n > 0 && s[n - 1] == '*' ? strncmp(word, s, n - 1) == 0
					     : strlen(word) == n && strncmp(word, s, n) == 0)
			return true;
		s += n;
	}
	return false;
}

const char *part_program(const struct gate_part *part)
{
	if (part->argv.count == 0 || !part->word_known[0])
		return "";
	const char *name = part->argv.items[0];
	const char *slash = strrchr(name, '/');
	return slash ? slash + 1 : name;
}

const char *part_next_word(const struct gate_part *part, size_t *index)
{
	const char *values = "";
	for (size_t i = 0; i < ARRAY_SIZE(global_values); i++)
		if (strcmp(global_values[i].program, part_program(part)) == 0)
			values = global_values[i].options;
	while (*index < part->argv.count) {
		const char *word = part->argv.items[(*index)++];
		if (word[0] != '-' || !word[1])
			return word;
		if (word_in_list(word, values, ' '))
			(*index)++;
	}
	return NULL;
}

/* "remote add|set-url": the first words that are no options, in this order. */
static bool words_fit(const struct gate_part *part, const char *words)
{
	size_t index = 1;
	for (const char *s = words; s && *s;) {
		char wanted[256];
		size_t n = strcspn(s, " ");
		snprintf(wanted, sizeof(wanted), "%.*s", (int)n, s);
		const char *word = part_next_word(part, &index);
		if (!word || !word_in_list(word, wanted, '|'))
			return false;
		s += n + (s[n] == ' ');
	}
	return true;
}

/* "--force" is itself, or has a value behind "="; "-f" may stand among other letters; an entry
 * with a star at its end is any word that begins so; one with "~" before it is part of any word,
 * whatever its case. */
static bool word_is_option(const char *word, const char *option, size_t length)
{
	if (option[0] == '~') {
		char part[64];
		snprintf(part, sizeof(part), "%.*s", (int)length - 1, option + 1);
		for (char *c = part; *c; c++)
			*c = *c == '%' ? ' ' : *c; /* blanks separate entries */
		return strcasestr(word, part) != NULL;
	}
	if (option[length - 1] == '*')
		return strncmp(word, option, length - 1) == 0;
	if (strncmp(word, option, length) == 0 && (!word[length] || word[length] == '='))
		return true;
	bool letter = length == 2 && option[0] == '-' && isalpha((unsigned char)option[1]);
	if (!letter || word[0] != '-' || word[1] == '-')
		return false;
	size_t letters = 1;
	while (isalpha((unsigned char)word[letters]))
		letters++;
	return memchr(word, option[1], letters) != NULL;
}

static bool options_fit(const struct gate_part *part, const char *options)
{
	for (const char *s = options; *s; s += *s == ' ') {
		size_t n = strcspn(s, " ");
		for (size_t i = 1; i < part->argv.count; i++)
			if (word_is_option(part->argv.items[i], s, n))
				return true;
		s += n;
	}
	return false;
}

/* What of an argument is a path: all of it, or what follows "=" ("of=/dev/sda") or "@". */
static unsigned argument_places(const struct gate_request *request, const char *word)
{
	const char *equals = strchr(word, '=');
	if (word[0] == '-' && !equals)
		return 0;
	unsigned found = word[0] == '-' ? 0 : review_place(request, word);
	if (equals && equals[1])
		found |= review_place(request, equals + 1 + (equals[1] == '@'));
	if (word[0] == '@')
		found |= review_place(request, word + 1);
	return found;
}

/* Programs that write only the last of their words, only what an option names, only with an option,
 * or nothing that tells what is in the file. */
static const char copiers[] = "cp mv install ln rsync scp";
static const char in_place[] = "sed perl";
static const char not_readers[] = "chmod chown touch mkdir rm tee test [ stat ls";

static const char *last_word(const struct gate_part *part)
{
	const char *last = NULL, *word;
	size_t index = 1;
	while ((word = part_next_word(part, &index)))
		last = word;
	return last;
}

static bool is_written(const struct gate_part *part, size_t index)
{
	const char *program = part_program(part), *word = part->argv.items[index];
	const char *before = part->argv.items[index - 1];
	if (word_in_list(program, copiers, ' '))
		return word == last_word(part) || word_in_list(before, "-t", ' ') ||
		       strncmp(word, "--target-directory=", 19) == 0;
	if (word_in_list(program, in_place, ' '))
		return options_fit(part, "-i -i* --in-place");
	if (strcmp(program, "dd") == 0)
		return strncmp(word, "of=", 3) == 0;
	if (strcmp(program, "tar") == 0)
		return word_in_list(before, "-C --directory -f --file", ' ');
	if (strcmp(program, "unzip") == 0)
		return strcmp(before, "-d") == 0;
	return strcmp(program, "cat") != 0;
}

static bool is_read(const struct gate_part *part, size_t index)
{
	const char *program = part_program(part);
	if (word_in_list(program, copiers, ' '))
		return !is_written(part, index);
	return !word_in_list(program, not_readers, ' ');
}

static bool places_fit(
	const struct gate_request *request, const struct gate_part *part, unsigned wanted)
{
	for (size_t i = 1; i < part->argv.count; i++) {
		if ((wanted & PLACE_WRITTEN) && !is_written(part, i))
			continue;
		if ((wanted & PLACE_READ) && !is_read(part, i))
			continue;
		if (argument_places(request, part->argv.items[i]) & wanted)
			return true;
	}
	return false;
}

const struct review_rule *review_rule_find(
	const struct gate_request *request, const struct gate_part *part, unsigned places)
{
	size_t count;
	const struct review_rule *rules = review_rules(&count), *gravest = NULL;
	const char *program = part_program(part);
	if (!*program)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		const struct review_rule *rule = &rules[i];
		if ((gravest && rule->risk <= gravest->risk) ||
			(places && !(rule->places & places)))
			continue;
		if (word_in_patterns(program, rule->programs) && words_fit(part, rule->words) &&
			(!rule->options || options_fit(part, rule->options)) &&
			(!rule->places || places_fit(request, part, rule->places)))
			gravest = rule;
	}
	return gravest;
}

/* What programs do with a network: those that send with any arguments, and those that send with
 * some and fetch otherwise. */
static const struct {
	const char *programs, *sending; /* NULL: always; "": never */
} network_programs[] = {
	{"curl",
		"-d -F -T --data --data-* --form --form-string --upload-file --json POST PUT PATCH "
		"-XPOST -XPUT -XPATCH --url-query"},
	{"wget", "--post-data --post-file --body-data --body-file --method"},
	{"http https xh httpie", "POST PUT PATCH -f --form --raw"},
	{"aria2c axel lynx w3m links fetch", ""},
	{"nc ncat netcat socat telnet openssl ssh sftp scp rsync ftp lftp tftp rclone sendmail "
	 "mail "
	 "mutt s3cmd gsutil croc magic-wormhole wormhole",
		NULL},
	{"dig nslookup host drill", ""}, /* a name that is asked for carries what is in it */
	{"aws", "cp sync mv put-object publish"},
	{"gcloud az", "cp copy upload"},
	{"gh", "create edit upload set POST -XPOST"},
};

enum network_use review_network_use(const struct gate_part *part)
{
	const char *program = part_program(part);
	for (size_t i = 0; i < ARRAY_SIZE(network_programs); i++) {
		if (!word_in_list(program, network_programs[i].programs, ' '))
			continue;
		const char *sending = network_programs[i].sending;
		return !sending || (*sending && options_fit(part, sending)) ? USE_SEND : USE_FETCH;
	}
	return USE_NONE;
}
