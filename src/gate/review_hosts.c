/* What is known of a host by its name. The well-known places where anybody may leave data, without
 * an account or under one of the asker's choosing, are how stolen data leaves; the registries of
 * the network presets can only be read from, and so are the least of worries. */
#include "gate/review_internal.h"

#include "base/cleanup.h"
#include "policy/network.h"

#include <string.h>

/* Hosts that take data from anybody and show it to whoever knows where: each with those below
 * it. */
static const char *const drops[] = {
	/* pastes and throw-away files */
	"pastebin.com",
	"hastebin.com",
	"paste.ee",
	"dpaste.com",
	"dpaste.org",
	"ix.io",
	"sprunge.us",
	"termbin.com",
	"rentry.co",
	"rentry.org",
	"ghostbin.com",
	"controlc.com",
	"paste.rs",
	"privatebin.net",
	"bpa.st",
	"transfer.sh",
	"file.io",
	"0x0.st",
	"temp.sh",
	"oshi.at",
	"gofile.io",
	"anonfiles.com",
	"catbox.moe",
	"uguu.se",
	"bashupload.com",
	"wetransfer.com",
	"gist.github.com",
	"tmpfiles.org",
	"send.vis.ee",
	"filebin.net",
	/* collectors of requests */
	"webhook.site",
	"requestbin.com",
	"requestbin.net",
	"pipedream.net",
	"beeceptor.com",
	"hookbin.com",
	"requestcatcher.com",
	"mockbin.org",
	"postb.in",
	"ptsv2.com",
	"ptsv3.com",
	"webhook.cool",
	"smee.io",
	"interact.sh",
	"oast.fun",
	"oast.live",
	"oast.me",
	"oast.online",
	"oast.pro",
	"oast.site",
	"burpcollaborator.net",
	"oastify.com",
	"dnslog.cn",
	"ceye.io",
	"canarytokens.com",
	"canarytokens.org",
	"dnsbin.zhack.ca",
	"log4shell.huntress.com",
	/* chat webhooks */
	"discord.com",
	"discordapp.com",
	"api.telegram.org",
	"hooks.slack.com",
	"hooks.zapier.com",
	"maker.ifttt.com",
	"ntfy.sh",
	/* tunnels to a machine of whoever asks */
	"ngrok.io",
	"ngrok.app",
	"ngrok.dev",
	"ngrok-free.app",
	"ngrok-free.dev",
	"trycloudflare.com",
	"loca.lt",
	"localtunnel.me",
	"serveo.net",
	"localhost.run",
	"lhr.life",
	"pagekite.me",
	"telebit.io",
	"bore.pub",
	"playit.gg",
	"devtunnels.ms",
	"tunnelmole.net",
	"zrok.io",
};

/* Where a machine in a cloud is told its own credentials. */
static const char *const metadata_names[] = {
	"metadata.google.internal", "metadata", "instance-data", "instance-data.ec2.internal"};
static const char *const metadata_addresses[] = {
	"169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "fd00:ec2::254"};

/* Anybody may write there, or what is asked for there leaves a trace that others read. */
static const char not_only_read[] = "github search model-apis";

static bool is_or_below(const char *name, const char *domain)
{
	size_t n = strlen(name), d = strlen(domain);
	return n >= d && strcmp(name + n - d, domain) == 0 && (n == d || name[n - d - 1] == '.');
}

static bool is_known(const char *name)
{
	size_t count;
	const struct network_preset *presets = network_presets(&count);
	for (size_t i = 0; i < count; i++) {
		if (word_in_list(presets[i].name, not_only_read, ' '))
			continue;
		for (size_t k = 0; presets[i].rules[k]; k++) {
			const char *host = presets[i].rules[k];
			size_t stars = strspn(host, "*.");
			size_t length = strcspn(host + stars, ":");
			char domain[NETWORK_NAME_BYTES];
			snprintf(domain, sizeof(domain), "%.*s", (int)length, host + stars);
			if (stars ? is_or_below(name, domain) : strcmp(name, domain) == 0)
				return true;
		}
	}
	return false;
}

static bool same_address(const struct in6_addr *address, const char *text)
{
	struct in6_addr other;
	return network_parse_address(text, &other) == 0 &&
	       memcmp(address, &other, sizeof(other)) == 0;
}

static enum host_kind address_kind(const struct in6_addr *address)
{
	for (size_t i = 0; i < ARRAY_SIZE(metadata_addresses); i++)
		if (same_address(address, metadata_addresses[i]))
			return HOST_METADATA;
	const uint8_t *a = address->s6_addr, *v4 = a + 12;
	if (IN6_IS_ADDR_LOOPBACK(address))
		return HOST_LOOPBACK;
	if (IN6_IS_ADDR_LINKLOCAL(address) || (a[0] & 0xfe) == 0xfc)
		return HOST_PRIVATE;
	if (!IN6_IS_ADDR_V4MAPPED(address))
		return HOST_LITERAL;
	if (v4[0] == 127)
		return HOST_LOOPBACK;
	bool is_private = v4[0] == 10 || v4[0] == 0 || (v4[0] == 172 && (v4[1] & 0xf0) == 16) ||
			  (v4[0] == 192 && v4[1] == 168) || (v4[0] == 169 && v4[1] == 254) ||
			  (v4[0] == 100 && (v4[1] & 0xc0) == 64);
	return is_private ? HOST_PRIVATE : HOST_LITERAL;
}

/* A pattern is as wide as what it covers: "*.example.org" is a host like another, "*.org" is
 * not. */
static enum host_kind pattern_kind(const char *pattern)
{
	const char *rest = pattern + strspn(pattern, "*.");
	if (strchr(rest, '*') || !strchr(rest, '.'))
		return HOST_ANY;
	enum host_kind kind = review_host_kind(rest);
	return kind == HOST_KNOWN ? HOST_ORDINARY : kind;
}

enum host_kind review_host_kind(const char *host)
{
	struct in6_addr address;
	char name[NETWORK_NAME_BYTES];
	if (strchr(host, '*'))
		return pattern_kind(host);
	if (network_parse_address(host, &address) == 0)
		return address_kind(&address);
	if (network_normalize_name(host, name) < 0)
		return HOST_ANY; /* no name that could be judged */
	if (strcmp(name, "localhost") == 0 || strcmp(name, NETWORK_HOST_NAME) == 0)
		return HOST_LOOPBACK;
	for (size_t i = 0; i < ARRAY_SIZE(metadata_names); i++)
		if (strcmp(name, metadata_names[i]) == 0)
			return HOST_METADATA;
	for (size_t i = 0; i < ARRAY_SIZE(drops); i++)
		if (is_or_below(name, drops[i]))
			return HOST_DROP;
	if (!strchr(name, '.') || network_special_name(name))
		return HOST_PRIVATE;
	return is_known(name) ? HOST_KNOWN : HOST_ORDINARY;
}

const char *review_host_reason(enum host_kind kind)
{
	static const char *const reasons[] = {
		[HOST_LOOPBACK] = "a server on this machine",
		[HOST_KNOWN] = "a registry or documentation",
		[HOST_ORDINARY] = "a host that nothing is known of",
		[HOST_PRIVATE] = "a host of the local network",
		[HOST_LITERAL] = "an address without a name",
		[HOST_ANY] = "a pattern that covers almost every host",
		[HOST_DROP] = "a host that takes data from anybody (paste, webhook, tunnel)",
		[HOST_METADATA] = "the service that hands out a cloud machine's credentials",
	};
	return reasons[kind];
}

static bool looks_like_host(const char *host)
{
	struct in6_addr address;
	char name[NETWORK_NAME_BYTES];
	if (network_parse_address(host, &address) == 0)
		return true;
	return network_normalize_name(host, name) == 0 &&
	       (strchr(name, '.') || strcmp(name, "localhost") == 0);
}

/* Bytes from start up to one of the ends, as a host without port and user. */
static bool take_host(const char *start, const char *ends, char ret[NETWORK_NAME_BYTES])
{
	size_t length = strcspn(start, ends);
	const char *at = memrchr(start, '@', length);
	if (at) {
		length -= (size_t)(at + 1 - start);
		start = at + 1;
	}
	if (*start == '[') {
		start++;
		length = strcspn(start, "]");
	} else {
		size_t colon = strcspn(start, ":");
		length = colon < length ? colon : length;
	}
	if (length == 0 || length >= NETWORK_NAME_BYTES)
		return false;
	snprintf(ret, NETWORK_NAME_BYTES, "%.*s", (int)length, start);
	return true;
}

bool review_host_of(const char *word, bool bare, char ret[NETWORK_NAME_BYTES])
{
	const char *scheme = strstr(word, "://");
	if (scheme)
		return strncmp(word, "file:", 5) != 0 && take_host(scheme + 3, "/?#", ret);
	const char *colon = strchr(word, ':'), *at = strchr(word, '@');
	bool names_path = colon && colon > word && !memchr(word, '/', (size_t)(colon - word));
	if (names_path && at && at < colon) /* USER@HOST:PATH, as scp and git take it */
		return take_host(word, ":", ret);
	if (!bare || !take_host(word, "/?#", ret))
		return false;
	return looks_like_host(ret) || (names_path && word[0] != '-');
}
