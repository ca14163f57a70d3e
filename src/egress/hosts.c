#include "egress/hosts.h"

#include "base/cleanup.h"

#include <string.h>

struct host {
	char *name; /* owned */
	struct in6_addr address;
	size_t order; /* of the line, so that sorting by name keeps it */
};

struct hosts {
	struct host *items; /* sorted by name */
	size_t count, capacity;
};

static const char BLANKS[] = " \t\r";

void hosts_free(struct hosts *hosts)
{
	if (!hosts)
		return;
	for (size_t i = 0; i < hosts->count; i++)
		free(hosts->items[i].name);
	free(hosts->items);
	free(hosts);
}

static int add(struct hosts *hosts, const char *name, const struct in6_addr *address)
{
	if (hosts->count == hosts->capacity) {
		size_t capacity = hosts->capacity ? hosts->capacity * 2 : 16;
		struct host *items = reallocarray(hosts->items, capacity, sizeof(*items));
		if (!items)
			return -ENOMEM;
		hosts->items = items;
		hosts->capacity = capacity;
	}
	char *copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	hosts->items[hosts->count] = (struct host){copy, *address, hosts->count};
	hosts->count++;
	return 0;
}

static int add_line(struct hosts *hosts, char *line)
{
	line[strcspn(line, "#")] = '\0';
	char *rest;
	const char *word = strtok_r(line, BLANKS, &rest);
	struct in6_addr address;
	if (!word || network_parse_address(word, &address) < 0)
		return 0;
	while ((word = strtok_r(NULL, BLANKS, &rest))) {
		char name[NETWORK_NAME_BYTES];
		if (network_normalize_name(word, name) < 0)
			continue;
		int r = add(hosts, name, &address);
		if (r < 0)
			return r;
	}
	return 0;
}

static int compare(const void *left, const void *right)
{
	const struct host *a = left, *b = right;
	int order = strcmp(a->name, b->name);
	return order ? order : (a->order > b->order) - (a->order < b->order);
}

int hosts_parse(const char *text, struct hosts **ret)
{
	struct hosts *hosts = calloc(1, sizeof(*hosts));
	cleanup_free char *copy = strdup(text);
	int r = hosts && copy ? 0 : -ENOMEM;
	char *rest = copy;
	for (char *line; r == 0 && (line = strsep(&rest, "\n"));)
		r = add_line(hosts, line);
	if (r < 0) {
		hosts_free(hosts);
		return r;
	}
	if (hosts->count > 0)
		qsort(hosts->items, hosts->count, sizeof(*hosts->items), compare);
	*ret = hosts;
	return 0;
}

size_t hosts_find(
	const struct hosts *hosts, const char *name, struct in6_addr ret[HOSTS_ADDRESSES_MAX])
{
	size_t first = 0, end = hosts->count;
	while (first < end) {
		size_t middle = first + (end - first) / 2;
		if (strcmp(hosts->items[middle].name, name) < 0)
			first = middle + 1;
		else
			end = middle;
	}
	size_t count = 0;
	while (first < hosts->count && count < HOSTS_ADDRESSES_MAX &&
		strcmp(hosts->items[first].name, name) == 0)
		ret[count++] = hosts->items[first++].address;
	return count;
}

int hosts_parse_nameserver(const char *text, struct nameserver *ret)
{
	char address[INET6_ADDRSTRLEN + 2]; /* with brackets */
	const char *colon = strrchr(text, ':');
	const char *port = NULL;
	/* One colon, or one after a bracket, precedes a port; any other is an IPv6 address's. */
	if (colon && (strchr(text, ':') == colon || (colon > text && colon[-1] == ']')))
		port = colon + 1;
	size_t length = port ? (size_t)(colon - text) : strlen(text);
	if (length >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, length);
	address[length] = '\0';
	ret->port = NAMESERVER_PORT;
	if (port) {
		char *end;
		unsigned long value = strtoul(port, &end, 10);
		if (*port < '0' || *port > '9' || *end || value == 0 || value > UINT16_MAX)
			return -EINVAL;
		ret->port = (uint16_t)value;
	}
	return network_parse_address(address, &ret->address);
}

size_t hosts_parse_nameservers(const char *text, struct nameserver ret[NETWORK_RESOLVERS_MAX])
{
	static const char keyword[] = "nameserver";
	size_t count = 0;
	for (const char *line = text; *line && count < NETWORK_RESOLVERS_MAX;) {
		size_t length = strcspn(line, "\n");
		const char *word = line + strlen(keyword);
		if (strncmp(line, keyword, strlen(keyword)) == 0 &&
			(*word == ' ' || *word == '\t')) {
			word += strspn(word, BLANKS);
			char address[INET6_ADDRSTRLEN];
			size_t word_length = strcspn(word, " \t\r\n#;");
			if (word_length > 0 && word_length < sizeof(address)) {
				memcpy(address, word, word_length);
				address[word_length] = '\0';
				ret[count].port = NAMESERVER_PORT;
				count += network_parse_address(address, &ret[count].address) == 0;
			}
		}
		line += length + (line[length] == '\n');
	}
	return count;
}
