/* The network policy: what is taken and what is then said, names and addresses in every spelling,
 * the decision, the reserved ranges at their edges, pools and blocks. */
#include "base/cleanup.h"
#include "policy/egress.h"
#include "policy/network_internal.h"
#include "policy/policy.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int new_policy(void **state)
{
	struct network_policy *policy = calloc(1, sizeof(*policy));
	assert_non_null(policy);
	network_policy_init(policy);
	*state = policy;
	return 0;
}

static int free_policy(void **state)
{
	network_policy_release(*state);
	free(*state);
	return 0;
}

/* Settings until a key that is NULL. */
struct setting {
	const char *key, *value;
};

static void set(struct network_policy *policy, const char *key, const char *value)
{
	struct error error = {0};
	if (network_set(policy, key, value, NULL, &error) != 0)
		fail_msg("--%s %s: %s", key, value ? value : "", error.message);
}

/* Setting fails, leaves the policy as it was, and message and hint hold what is given. */
static void refuse(struct network_policy *policy, const char *key, const char *value,
	const char *message, const char *hint)
{
	struct network_policy before = *policy;
	struct error error = {0};
	int r = network_set(policy, key, value, NULL, &error);
	if (r >= 0)
		fail_msg("--%s %s was taken", key, value ? value : "");
	assert_int_equal(r, -error.errno_value);
	assert_string_equal(error.stage, "policy");
	if (!strstr(error.message, message))
		fail_msg("--%s %.60s: '%s' is not in '%s'", key, value ? value : "", message,
			error.message);
	if (!strstr(error.hint, hint))
		fail_msg("--%s %.60s: '%s' is not in the hint '%s'", key, value ? value : "", hint,
			error.hint);
	assert_int_equal(policy->rules_count, before.rules_count);
	assert_int_equal(policy->settings_count, before.settings_count);
	assert_int_equal(policy->secrets_count, before.secrets_count);
	assert_int_equal(policy->requests_count, before.requests_count);
	assert_int_equal(policy->udp_count, before.udp_count);
	assert_int_equal(policy->publish_count, before.publish_count);
	assert_memory_equal(&policy->limits, &before.limits, sizeof(before.limits));
}

/* ---- names ---- */

static void names_have_one_form(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{"pypi.org", "pypi.org"},
		{"PyPI.Org", "pypi.org"},
		{"pypi.org.", "pypi.org"},
		{"localhost", "localhost"},
		{"_dmarc.example.org", "_dmarc.example.org"},
		{"my_host.example.org", "my_host.example.org"},
		{"r3---sn-a5m.example.org", "r3---sn-a5m.example.org"},
		{"b\xc3\xbc"
		 "cher.example",
			"xn--bcher-kva.example"},
		{"B\xc3\x9c"
		 "CHER.Example.",
			"xn--bcher-kva.example"},
		{"bu\xcc\x88"
		 "cher.example",
			"xn--bcher-kva.example"}, /* decomposed */
		{"XN--BCHER-KVA.example", "xn--bcher-kva.example"},
		{"fa\xc3\x9f.de", "xn--fa-hia.de"}, /* not transitional: not fass.de */
		{"\xe4\xbe\x8b\xe3\x80\x82"
		 "example",
			"xn--fsq.example"},            /* ideographic stop */
		{"\xef\xbd\x81.example", "a.example"}, /* full-width a */
		{"a\xc2\xad"
		 "b.example",
			"ab.example"}, /* soft hyphen */
		{"xn--bcher-kva.xn--p1ai", "xn--bcher-kva.xn--p1ai"},
		{"1.example", "1.example"},
		{"123a", "123a"},
		{"0x7g", "0x7g"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char name[NETWORK_NAME_BYTES], again[NETWORK_NAME_BYTES];
		if (network_normalize_name(rows[i][0], name) != 0)
			fail_msg("'%s' was refused", rows[i][0]);
		assert_string_equal(name, rows[i][1]);
		assert_int_equal(network_normalize_name(name, again), 0);
		assert_string_equal(name, again);
	}
}

static void what_is_no_name_is_refused(void **state)
{
	(void)state;
	static const char *const rows[] = {"", ".", "..", "a..b", ".a", "a..", "-a.b", "a-.b",
		"a b", "a/b", "a@b", "a:b", "a\nb", "a\tb", "a%62", "a,b", "*.a", "a*", "a\x7f",
		"xn--a", "xn--.de", "xn--zzzzz-.de", "\xff.de", "\xc3(", "\xe2\x84\x80.de", "[a]",
		"b\xc3\xbc"
		"cher..de",
		"b\xc3\xbc"
		"cher-.de",
		/* what is or tries to be an address */
		"1", "127.1", "127.0.0.1", "127.0.0.1.", "0x7f000001", "0X7F.1", "017700000001",
		"2130706433", "256.1.1.1", "1.2.3.4.5", "foo.1", "foo.0x1f", "0x", "a.0x", "08.1",
		"::1", "[::1]", "fe80::1%eth0", "::ffff:1.2.3.4",
		"\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.1", /* full-width digits */
		"127\xe3\x80\x82"
		"0\xe3\x80\x82"
		"0\xe3\x80\x82"
		"1"};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char name[NETWORK_NAME_BYTES];
		if (network_normalize_name(rows[i], name) != -EINVAL)
			fail_msg("'%s' was taken", rows[i]);
	}
}

static void names_are_bounded(void **state)
{
	(void)state;
	char name[300], ret[NETWORK_NAME_BYTES];
	memset(name, 'a', sizeof(name));
	name[63] = '\0';
	assert_int_equal(network_normalize_name(name, ret), 0);
	name[63] = 'a';
	name[64] = '\0';
	assert_int_equal(network_normalize_name(name, ret), -EINVAL);
	memset(name, 'a', sizeof(name));
	for (size_t i = 49; i < sizeof(name); i += 50)
		name[i] = '.';
	name[253] = '\0';
	assert_int_equal(network_normalize_name(name, ret), 0);
	assert_int_equal(strlen(ret), 253);
	name[253] = 'a';
	name[254] = '\0';
	assert_int_equal(network_normalize_name(name, ret), -EINVAL);
	name[253] = '.'; /* the root's */
	assert_int_equal(network_normalize_name(name, ret), 0);
	char long_name[8192];
	memset(long_name, 'a', sizeof(long_name) - 1);
	long_name[0] = '\xc3';
	long_name[1] = '\xbc';
	long_name[sizeof(long_name) - 1] = '\0';
	assert_int_equal(network_normalize_name(long_name, ret), -EINVAL);
}

static void addresses_in_every_spelling(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{"127.0.0.1", "127.0.0.1"},
		{"127.0.0.1.", "127.0.0.1"},
		{"127.1", "127.0.0.1"},
		{"127.0.1", "127.0.0.1"},
		{"2130706433", "127.0.0.1"},
		{"0x7f.1", "127.0.0.1"},
		{"0x7f000001", "127.0.0.1"},
		{"0X7F000001", "127.0.0.1"},
		{"017700000001", "127.0.0.1"},
		{"0177.0.0.01", "127.0.0.1"},
		{"127.0x0.0.1", "127.0.0.1"},
		{"0", "0.0.0.0"},
		{"0x", "0.0.0.0"},
		{"1", "0.0.0.1"},
		{"10.65535", "10.0.255.255"},
		{"10.0.65535", "10.0.255.255"},
		{"4294967295", "255.255.255.255"},
		{"1.16777215", "1.255.255.255"},
		{"\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.1", "127.0.0.1"},
		{"127\xe3\x80\x82"
		 "0\xef\xbc\x8e"
		 "0\xef\xbd\xa1"
		 "1",
			"127.0.0.1"},
		{"::1", "::1"},
		{"[::1]", "::1"},
		{"[::1%]", "::1"},
		{"0:0:0:0:0:0:0:1", "::1"},
		{"::ffff:127.0.0.1", "127.0.0.1"},
		{"::ffff:7f00:1", "127.0.0.1"},
		{"[::FFFF:7F00:0001]", "127.0.0.1"},
		{"2001:DB8::0001", "2001:db8::1"},
		{"64:ff9b::10.0.0.1", "64:ff9b::a00:1"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct in6_addr address;
		char text[INET6_ADDRSTRLEN];
		if (network_parse_address(rows[i][0], &address) != 0)
			fail_msg("'%s' was refused", rows[i][0]);
		network_format_address(&address, text);
		assert_string_equal(text, rows[i][1]);
		/* No spelling of an address is a name. */
		char name[NETWORK_NAME_BYTES];
		assert_int_equal(network_normalize_name(rows[i][0], name), -EINVAL);
	}
	static const char *const bad[] = {"", ".", "256.1.1.1", "1.2.3.4.5", "1.2.3.256",
		"1.2.65536", "1.16777216", "4294967296", "99999999999999999999", "08", "1.09",
		"0x1g", "1..2", "..", "1.2.3.4..", " 127.0.0.1", "127.0.0.1 ", "+1", "-1",
		"1.2.3.4:80", "fe80::1%eth0", "[fe80::1%2]", "[::1", "::1]", "[127.0.0.1]", "[]",
		":", ":::", "1::2::3", "::12345", "12345::", "a.b", "pypi.org", "::1::"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct in6_addr address;
		if (network_parse_address(bad[i], &address) == 0)
			fail_msg("'%s' was taken", bad[i]);
	}
}

static void special_names_never_leave(void **state)
{
	struct network_policy *policy = *state;
	set(policy, "net", "on");
	static const char *const rows[] = {"a.onion", "onion", "printer.local", "localhost",
		"a.localhost", "metadata.google.internal", "instance-data.ec2.internal", "x.test",
		"x.invalid", "x.example", "router.home.arpa", "1.0.0.127.in-addr.arpa", "ip6.arpa",
		"a.b.alt", "x.host.coffer.internal", "coffer.internal"};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct network_decision decision;
		assert_non_null(network_special_name(rows[i]));
		network_decide_name(policy, rows[i], 443, &decision);
		assert_int_equal(decision.verdict, NETWORK_DENY);
		assert_non_null(strstr(decision.reason, "always refused"));
		network_decide_name(policy, rows[i], 0, &decision);
		assert_int_equal(decision.verdict, NETWORK_DENY);
		char value[300];
		for (int stars = 0; stars < 3; stars++) {
			snprintf(value, sizeof(value), "%s%s", &"**."[stars == 2 ? 3 : stars],
				rows[i]);
			refuse(policy, "allow-domain", value, "always refused", "host.coffer");
			refuse(policy, "ask-domain", value, "always refused", "host.coffer");
			refuse(policy, "monitor-domain", value, "always refused", "host.coffer");
		}
		set(policy, "deny-domain", rows[i]); /* says nothing new, and is true */
	}
	static const char *const ordinary[] = {"example.org", "local.example.org", "notlocal",
		"internal.org", "xonion", "test.org", "host.coffer.internal"};
	for (size_t i = 0; i < ARRAY_SIZE(ordinary); i++)
		assert_null(network_special_name(ordinary[i]));
}

/* ---- rules as they are written ---- */

static enum network_verdict decide(
	const struct network_policy *policy, const char *name, uint16_t port)
{
	struct network_decision decision;
	network_decide_name(policy, name, port, &decision);
	if (decision.verdict == NETWORK_DENY)
		assert_true(decision.reason[0] != '\0');
	assert_int_not_equal(decision.protocol, NETWORK_BY_PORT);
	return decision.verdict;
}

static enum network_protocol protocol(
	const struct network_policy *policy, const char *name, uint16_t port)
{
	struct network_decision decision;
	network_decide_name(policy, name, port, &decision);
	assert_int_equal(decision.verdict, NETWORK_ALLOW);
	return decision.protocol;
}

/* key, value; what the message and the hint hold */
static const struct {
	const char *key, *value, *message, *hint;
} mistakes[] = {
	{"net", "yes", "not one of: off, on, filtered", "--allow-domain"},
	{"net", NULL, "needs a value", ""},
	{"net", "", "is empty", ""},
	{"net-read", "x", "takes no value", ""},
	{"allow-domain", "", "is empty", ""},
	{"allow-domain", "a b", "not a host name", "once for each name"},
	{"allow-domain", "pypi.org,npmjs.org", "not a host name", "letters"},
	{"allow-domain", "git@github.com", "not a host name", "before the @"},
	{"allow-domain", "https://pypi.org/simple", "is a URL", "--allow-domain pypi.org"},
	{"allow-domain", "pypi.org/simple", "not a protocol", "--net-request"},
	{"allow-domain", "pypi.org/tsl", "not a protocol", "'/tls'"},
	{"allow-domain", "foo*.pypi.org", "star", "write *.pypi.org"},
	{"allow-domain", "*foo.pypi.org", "star", "write *.pypi.org"},
	{"allow-domain", "*pypi.org", "star", "write *.org"},
	{"allow-domain", "a.*.pypi.org", "star", "write *.pypi.org"},
	{"allow-domain", "*.*.pypi.org", "star", "write *.pypi.org"},
	{"allow-domain", "***.pypi.org", "star", "write *.pypi.org"},
	{"allow-domain", "pypi.*", "star", "write HOST"},
	{"allow-domain", "**", "star", "'*' stands for every name"},
	{"allow-domain", "*.", "is empty", ""},
	{"allow-domain", "**.", "is empty", ""},
	{"deny-domain", "*", "every name", "--net off"},
	{"net-inspect", "*", "every name", "name the host"},
	{"net-request", "GET */x", "every name", "name the host"},
	{"allow-domain", "127.0.0.1", "is an address", "--allow-cidr 127.0.0.1"},
	{"allow-domain", "0x7f.1:80", "is an address", "--allow-cidr 127.0.0.1"},
	{"allow-domain", "2130706433", "is an address", "--allow-cidr 127.0.0.1"},
	{"allow-domain", "*.10.0.0.1", "is an address", "--allow-cidr 10.0.0.1"},
	{"allow-domain", "10.0.0.0/8", "is an address", "--allow-cidr 10.0.0.0"},
	{"allow-domain", "::1", "is an address", "--allow-cidr ::1"},
	{"allow-domain", "[::1]:80", "is an address", "--allow-cidr ::1"},
	{"allow-domain", "fd00::/8", "is an address", "--allow-cidr fd00::"},
	{"deny-domain", "10.0.0.1", "is an address", "--deny-cidr 10.0.0.1"},
	{"allow-domain", "pypi.org:", "'' is not a port", ""},
	{"allow-domain", "pypi.org:0", "no port 0", ""},
	{"allow-domain", "pypi.org:65536", "no port 65536", ""},
	{"allow-domain", "pypi.org:999999999999", "no port 999999999999", ""},
	{"allow-domain", "pypi.org:https", "not a port", ""},
	{"allow-domain", "pypi.org:80,", "'' is not a port", ""},
	{"allow-domain", "pypi.org:,80", "'' is not a port", ""},
	{"allow-domain", "pypi.org:80-", "'' is not a port", ""},
	{"allow-domain", "pypi.org:-80", "'' is not a port", ""},
	{"allow-domain", "pypi.org:0-80", "no port 0", ""},
	{"allow-domain", "pypi.org:1-2-3", "not a port", ""},
	{"allow-domain", "pypi.org:9000-8000", "9000-8000 is reversed", "write 8000-9000"},
	{"allow-domain", "pypi.org:443:80", "not a port", ""},
	{"deny-domain", "pypi.org/tls", "has no protocol", ""},
	{"allow-domain", "**." NETWORK_HOST_NAME, "nothing lies below", "host.coffer"},
	{"allow-cidr", "pypi.org", "is not an address", "--allow-domain pypi.org"},
	{"deny-cidr", "pypi.org", "is not an address", "--deny-domain pypi.org"},
	{"allow-cidr", "10.0.0.1/8", "beyond its prefix", "write 10.0.0.0/8"},
	{"allow-cidr", "fd00::1/8", "beyond its prefix", "write fd00::/8"},
	{"allow-cidr", "10.0.0.0/33", "not a prefix length from 0 to 32", ""},
	{"allow-cidr", "fd00::/129", "not a prefix length from 0 to 128", ""},
	{"allow-cidr", "0x7f.1", "more than one way", "127.0.0.1"},
	{"allow-cidr", "010.0.0.1", "more than one way", "8.0.0.1"},
	{"allow-cidr", "10/8", "more than one way", "0.0.0.10"},
	{"allow-cidr", "fd00::/8:443", "mixes colons", "[fd00::/8]:443"},
	{"allow-cidr", "[fd00::/8", "has no ']'", ""},
	{"allow-cidr", "[fd00::/8]443", "does not belong", ""},
	{"allow-cidr", "10.0.0.1:0", "no port 0", ""},
	{"allow-cidr", "10.0.0.0/8/tsl", "not a protocol", "'/tls'"},
	{"net-preset", "nmp", "no preset 'nmp'", "'npm'"},
	{"net-preset", "qqqqqqqq", "no preset", "coffer net presets"},
	{"net-request", "GET", "is not METHOD HOST/PATH", "api.example.org"},
	{"net-request", "GET a.org", "is not METHOD HOST/PATH", ""},
	{"net-request", "get a.org/", "no method that servers know", "capitals"},
	{"net-request", "G:T a.org/", "not a method", ""},
	{"net-request", "G* a.org/", "not a method", ""},
	{"net-request", "GET a.org/x?y=1", "a query", "leave out"},
	{"net-request", "GET 10.0.0.1/x", "is an address", ""},
	{"net-secret", "name=A", "host= is missing", "from=env:TOKEN"},
	{"net-secret", "name=A,host=a.org", "from= is missing", ""},
	{"net-secret", "host=a.org,from=env:A", "name= is missing", ""},
	{"net-secret", "name=A,nmae=B", "'nmae' is not a field", "name=, host="},
	{"net-secret", "name=A,name=B", "given twice", ""},
	{"net-secret", "name=,host=a.org", "is empty", ""},
	{"net-secret", "name=1A,host=a.org,from=env:A", "name of a variable", ""},
	{"net-secret", "name=A-B,host=a.org,from=env:A", "name of a variable", ""},
	{"net-secret", "name=A,host=a.org,from=env:", "is no source", "env:NAME"},
	{"net-secret", "name=A,host=a.org,from=env:1", "is no source", "env:NAME"},
	{"net-secret", "name=A,host=a.org,from=vault:x", "is no source", "env:NAME"},
	{"net-secret", "name=A,host=a.org,from=env:A,in=body", "none of header", ""},
	{"net-secret", "name=A,host=a.org,from=env:A,in=header:a b", "none of header", ""},
	{"net-secret", "name=A,host=*,from=env:A", "every name", "name the host"},
	{"net-secret", "name=A,host=a.org,from=env:A,path=x", "does not begin with '/'", ""},
	{"net-limit", "requests", "requests=", ""},
	{"net-limit", "requests=0/m", "no such limit", ""},
	{"net-limit", "requests=100", "no such limit; write for example requests=100/m", ""},
	{"net-limit", "requests=10/h", "no such limit", ""},
	{"net-limit", "requests=99999999999999999999/m", "no such limit", ""},
	{"net-limit", "rate=4", "no such limit", ""},
	{"net-limit", "rate=50X", "no such limit", ""},
	{"net-limit", "rate=50M,speed=1", "no limit 'speed'", "limits are"},
	{"net-limit", "over=drop", "over=wait or over=refuse", ""},
	{"net-limit", "", "is empty", ""},
	{"allow-udp", "a.org", "not HOST:PORT", ""},
	{"allow-udp", "a.org:", "not a port", ""},
	{"allow-udp", "*.a.org:53", "not a host name", ""},
	{"allow-udp", "::1:53", "not HOST:PORT", ""},
	{"allow-udp", "a.local:53", "always refused", ""},
	{"publish", "0", "no port 0", "[HOSTPORT:]PORT"},
	{"publish", "1:2:3", "not a port", "[HOSTPORT:]PORT"},
	{"publish", "http", "not a port", "[HOSTPORT:]PORT"},
	{"net-resolver", "dns.example", "is not an address", "192.0.2.53"},
	{"net-resolver", "1.1.1.1:99999", "no port 99999", ""},
	{"upstream-proxy", "socks5://a:1", "http://", "HOST:PORT"},
	{"upstream-proxy", "http://proxy", "HOST:PORT", "HOST:PORT"},
	{"upstream-proxy", "http://proxy:0", "no port 0", "HOST:PORT"},
	{"upstream-ca", "", "is empty", ""},
};

static void mistakes_name_what_is_right(void **state)
{
	struct network_policy *policy = *state;
	for (size_t i = 0; i < ARRAY_SIZE(mistakes); i++)
		refuse(policy, mistakes[i].key, mistakes[i].value, mistakes[i].message,
			mistakes[i].hint);
	assert_int_equal(policy->settings_count, 0);
	assert_int_equal(network_set(policy, "mode", "x", NULL, NULL), -ENOENT);
	/* A password is not repeated. */
	struct error error = {0};
	assert_int_equal(
		network_set(policy, "upstream-proxy", "http://u:hunter2@proxy", NULL, &error),
		-EINVAL);
	assert_null(strstr(error.message, "hunter2"));
	assert_null(strstr(error.hint, "hunter2"));
}

static void patterns_match_what_they_say(void **state)
{
	struct network_policy *policy = *state;
	set(policy, "allow-domain", "exact.org");
	set(policy, "allow-domain", "*.below.org");
	set(policy, "allow-domain", "**.APEX.org.");
	set(policy, "allow-domain",
		"**.b\xc3\xbc"
		"cher.org");
	static const struct {
		const char *name;
		bool allowed;
	} rows[] = {
		{"exact.org", true},
		{"a.exact.org", false},
		{"xexact.org", false},
		{"exact.or", false},
		{"exact.org.evil.org", false},
		{"org", false},
		{"below.org", false},
		{"a.below.org", true},
		{"a.b.below.org", true},
		{"abelow.org", false},
		{"a.below.org.evil.org", false},
		{"apex.org", true},
		{"a.apex.org", true},
		{"a.b.apex.org", true},
		{"xapex.org", false},
		{"xn--bcher-kva.org", true},
		{"a.xn--bcher-kva.org", true},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if ((decide(policy, rows[i].name, 443) == NETWORK_ALLOW) != rows[i].allowed)
			fail_msg("%s", rows[i].name);
	assert_true(network_is_below_wildcard(policy, "a.below.org"));
	assert_true(network_is_below_wildcard(policy, "a.apex.org"));
	assert_false(network_is_below_wildcard(policy, "apex.org"));
	assert_false(network_is_below_wildcard(policy, "exact.org"));
	assert_false(network_is_below_wildcard(policy, "nowhere.org"));
	set(policy, "allow-domain", "named.below.org");
	assert_false(network_is_below_wildcard(policy, "named.below.org"));
	set(policy, "allow-domain", "*");
	assert_int_equal(decide(policy, "anything.at.all", 443), NETWORK_ALLOW);
	assert_int_equal(decide(policy, "anything.at.all", 22), NETWORK_DENY);
	assert_true(network_is_below_wildcard(policy, "anything.at.all"));
	assert_int_equal(decide(policy, NETWORK_HOST_NAME, 443), NETWORK_DENY);
	set(policy, "allow-domain", NETWORK_HOST_NAME ":5432");
	assert_int_equal(decide(policy, NETWORK_HOST_NAME, 5432), NETWORK_ALLOW);
	assert_int_equal(decide(policy, NETWORK_HOST_NAME, 443), NETWORK_DENY);
}

static void patterns_cover_and_meet(void **state)
{
	(void)state;
	static const struct {
		enum name_match a_match;
		const char *a;
		enum name_match b_match;
		const char *b;
		bool covers, meets;
	} rows[] = {
		{MATCH_EXACT, "a.b", MATCH_EXACT, "a.b", true, true},
		{MATCH_EXACT, "a.b", MATCH_WITH_APEX, "a.b", false, true},
		{MATCH_EXACT, "a.b", MATCH_SUBDOMAINS, "a.b", false, false},
		{MATCH_EXACT, "x.a.b", MATCH_SUBDOMAINS, "a.b", false, true},
		{MATCH_SUBDOMAINS, "a.b", MATCH_SUBDOMAINS, "a.b", true, true},
		{MATCH_SUBDOMAINS, "a.b", MATCH_WITH_APEX, "a.b", false, true},
		{MATCH_SUBDOMAINS, "a.b", MATCH_WITH_APEX, "x.a.b", true, true},
		{MATCH_SUBDOMAINS, "a.b", MATCH_EXACT, "a.b", false, false},
		{MATCH_SUBDOMAINS, "x.a.b", MATCH_SUBDOMAINS, "a.b", false, true},
		{MATCH_WITH_APEX, "a.b", MATCH_SUBDOMAINS, "a.b", true, true},
		{MATCH_WITH_APEX, "a.b", MATCH_EXACT, "c.b", false, false},
		{MATCH_WITH_APEX, "a.b", MATCH_EXACT, "xa.b", false, false},
		{MATCH_ANY, "", MATCH_EXACT, "a.b", true, true},
		{MATCH_EXACT, "a.b", MATCH_ANY, "", false, true},
		{MATCH_ANY, "", MATCH_ANY, "", true, true},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (network_pattern_covers(rows[i].a_match, rows[i].a, rows[i].b_match,
			    rows[i].b) != rows[i].covers)
			fail_msg("row %zu: covers", i);
		if (network_patterns_meet(rows[i].a_match, rows[i].a, rows[i].b_match, rows[i].b) !=
				rows[i].meets ||
			network_patterns_meet(rows[i].b_match, rows[i].b, rows[i].a_match,
				rows[i].a) != rows[i].meets)
			fail_msg("row %zu: meets", i);
	}
}

static void ports_and_protocols(void **state)
{
	struct network_policy *policy = *state;
	set(policy, "allow-domain", "web.org");
	set(policy, "allow-domain", "ssh.org:22");
	set(policy, "allow-domain", "many.org:8100-8200,8000-8100,443,8201,9000/tls");
	set(policy, "allow-domain", "raw.org/raw");
	set(policy, "allow-domain", "edge.org:1,65535/http");
	const struct port_set *many = &policy->rules[2].ports;
	assert_int_equal(many->count, 3); /* sorted and joined */
	assert_int_equal(many->ranges[1].first, 8000);
	assert_int_equal(many->ranges[1].last, 8201);
	assert_int_equal(protocol(policy, "web.org", 80), NETWORK_HTTP);
	assert_int_equal(protocol(policy, "web.org", 443), NETWORK_TLS);
	assert_int_equal(protocol(policy, "ssh.org", 22), NETWORK_RAW);
	assert_int_equal(protocol(policy, "many.org", 8150), NETWORK_TLS);
	assert_int_equal(protocol(policy, "raw.org", 443), NETWORK_RAW);
	assert_int_equal(protocol(policy, "edge.org", 65535), NETWORK_HTTP);
	assert_int_equal(protocol(policy, "edge.org", 0), NETWORK_HTTP);
	static const uint16_t shut[] = {1, 22, 79, 81, 442, 444, 8443, 65535};
	for (size_t i = 0; i < ARRAY_SIZE(shut); i++)
		assert_int_equal(decide(policy, "web.org", shut[i]), NETWORK_DENY);
	assert_int_equal(decide(policy, "ssh.org", 443), NETWORK_DENY);
	assert_int_equal(decide(policy, "ssh.org", 0), NETWORK_ALLOW);
	assert_int_equal(decide(policy, "many.org", 7999), NETWORK_DENY);
	assert_int_equal(decide(policy, "many.org", 8202), NETWORK_DENY);
	assert_int_equal(decide(policy, "edge.org", 2), NETWORK_DENY);
}

static void deny_wins_and_the_specific_decides(void **state)
{
	struct network_policy *policy = *state;
	set(policy, "allow-domain", "**.a.org");
	set(policy, "deny-domain", "*.bad.a.org");
	set(policy, "allow-domain", "good.bad.a.org"); /* more specific, and later: still no */
	assert_int_equal(decide(policy, "x.a.org", 443), NETWORK_ALLOW);
	assert_int_equal(decide(policy, "bad.a.org", 443), NETWORK_ALLOW);
	assert_int_equal(decide(policy, "x.bad.a.org", 443), NETWORK_DENY);
	assert_int_equal(decide(policy, "x.bad.a.org", 0), NETWORK_DENY);
	assert_int_equal(decide(policy, "good.bad.a.org", 443), NETWORK_DENY);
	set(policy, "deny-domain", "half.a.org:80");
	assert_int_equal(decide(policy, "half.a.org", 80), NETWORK_DENY);
	assert_int_equal(decide(policy, "half.a.org", 443), NETWORK_ALLOW);
	assert_int_equal(decide(policy, "half.a.org", 0), NETWORK_ALLOW);
	set(policy, "deny-domain", "half.a.org:443");
	assert_int_equal(decide(policy, "half.a.org", 0), NETWORK_DENY);

	set(policy, "ask-domain", "*");
	set(policy, "monitor-domain", "**.m.org");
	set(policy, "ask-domain", "*.q.m.org");
	assert_int_equal(decide(policy, "x.a.org", 443), NETWORK_ALLOW);
	assert_int_equal(decide(policy, "unknown.org", 443), NETWORK_ASK);
	assert_int_equal(decide(policy, "unknown.org", 22), NETWORK_DENY);
	assert_int_equal(decide(policy, "m.org", 80), NETWORK_MONITOR);
	assert_int_equal(decide(policy, "x.q.m.org", 80), NETWORK_ASK);
	assert_int_equal(decide(policy, "x.bad.a.org", 443), NETWORK_DENY);
	/* Equals: the stricter. */
	set(policy, "allow-domain", "same.org:80");
	set(policy, "monitor-domain", "same.org:80");
	assert_int_equal(decide(policy, "same.org", 80), NETWORK_MONITOR);
	set(policy, "ask-domain", "same.org:80");
	set(policy, "allow-domain", "same.org:80");
	assert_int_equal(decide(policy, "same.org", 80), NETWORK_ASK);
	/* On any port at all, the freest counts. */
	set(policy, "allow-domain", "same.org:8080");
	assert_int_equal(decide(policy, "same.org", 0), NETWORK_ALLOW);
	/* A protocol that is said beats one by port, whichever comes first. */
	set(policy, "allow-domain", "p.org:443/raw");
	set(policy, "allow-domain", "p.org:443");
	assert_int_equal(protocol(policy, "p.org", 443), NETWORK_RAW);
}

static void a_refusal_names_the_one_flag(void **state)
{
	struct network_policy *policy = *state;
	struct network_decision decision;
	network_decide_name(policy, "a.org", 443, &decision);
	assert_non_null(strstr(decision.reason, "the network is off"));
	set(policy, "allow-domain", "b.org");
	network_decide_name(policy, "a.org", 443, &decision);
	assert_null(decision.rule);
	assert_non_null(strstr(decision.reason, "--allow-domain a.org would"));
	network_decide_name(policy, "a.org", 8443, &decision);
	assert_non_null(strstr(decision.reason, "--allow-domain a.org:8443 would"));
	network_decide_name(policy, "b.org", 22, &decision);
	assert_non_null(strstr(decision.reason, "on port 22; --allow-domain b.org:22 would"));
	set(policy, "deny-domain", "b.org");
	network_decide_name(policy, "b.org", 443, &decision);
	assert_non_null(strstr(decision.reason, "refused by --deny-domain b.org"));
	assert_string_equal(decision.rule->source, "--deny-domain b.org");
	/* Following the words works, and the longest name does not break them. */
	set(policy, "allow-domain", "a.org:8443");
	assert_int_equal(decide(policy, "a.org", 8443), NETWORK_ALLOW);
	char name[NETWORK_NAME_BYTES];
	memset(name, 'a', 253);
	for (size_t i = 49; i < 253; i += 50)
		name[i] = '.';
	name[253] = '\0';
	assert_int_equal(decide(policy, name, 443), NETWORK_DENY);
}

static void net_on_opens_what_is_public(void **state)
{
	struct network_policy *policy = *state;
	set(policy, "net", "on");
	set(policy, "deny-domain", "bad.org");
	set(policy, "allow-domain", "said.org:9000/tls");
	assert_int_equal(decide(policy, "a.org", 443), NETWORK_ALLOW);
	assert_int_equal(decide(policy, "a.org", 12345), NETWORK_ALLOW);
	assert_int_equal(decide(policy, "bad.org", 12345), NETWORK_DENY);
	assert_int_equal(decide(policy, NETWORK_HOST_NAME, 80), NETWORK_DENY);
	assert_int_equal(protocol(policy, "said.org", 9000), NETWORK_TLS);
	assert_int_equal(protocol(policy, "said.org", 9001), NETWORK_RAW);
	assert_true(network_is_open(policy));
	set(policy, "net", "off");
	assert_int_equal(decide(policy, "a.org", 443), NETWORK_DENY);
	assert_int_equal(decide(policy, "said.org", 9000), NETWORK_DENY);
	assert_false(network_is_open(policy));
}

/* ---- addresses ---- */

static struct in6_addr address_from(const char *text)
{
	struct in6_addr address;
	if (network_parse_address(text, &address) != 0)
		fail_msg("'%s' is no address", text);
	return address;
}

static struct in6_addr beside(const struct in6_addr *address, int step)
{
	struct in6_addr next = *address;
	for (size_t i = 16; i-- > 0;) {
		next.s6_addr[i] = (uint8_t)(next.s6_addr[i] + step);
		if (step > 0 ? next.s6_addr[i] != 0 : next.s6_addr[i] != 255)
			break;
	}
	return next;
}

static struct in6_addr last_of(const struct address_block *block)
{
	struct in6_addr last = block->address;
	for (unsigned bit = block->prefix_bits; bit < 128; bit++)
		last.s6_addr[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return last;
}

/* First and last address of every refused row, against a list of its own. */
static void reserved_ranges_at_both_edges(void **state)
{
	(void)state;
	static const struct {
		const char *first, *last;
		bool public_before, public_after;
	} rows[] = {
		{"0.0.0.0", "0.255.255.255", false, true},
		{"10.0.0.0", "10.255.255.255", true, true},
		{"100.64.0.0", "100.127.255.255", true, true},
		{"127.0.0.0", "127.255.255.255", true, true},
		{"168.63.129.16", "168.63.129.16", true, true},
		{"169.254.0.0", "169.254.255.255", true, true},
		{"172.16.0.0", "172.31.255.255", true, true},
		{"192.0.0.0", "192.0.0.255", true, true},
		{"192.0.2.0", "192.0.2.255", true, true},
		{"192.88.99.0", "192.88.99.255", true, true},
		{"192.168.0.0", "192.168.255.255", true, true},
		{"198.18.0.0", "198.19.255.255", true, true},
		{"198.51.100.0", "198.51.100.255", true, true},
		{"203.0.113.0", "203.0.113.255", true, true},
		{"224.0.0.0", "255.255.255.255", true, false},
		{"::", "::fffe:ffff:ffff", false, false},
		{"64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", false, false},
		{"100::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false, true},
		{"2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", true, true},
		{"2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", false, false},
		{"2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", true, true},
		{"3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", true, true},
		{"4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true, false},
		{"fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false, false},
		{"fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false, false},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct in6_addr first = address_from(rows[i].first);
		struct in6_addr last = address_from(rows[i].last);
		struct in6_addr before = beside(&first, -1), after = beside(&last, 1);
		if (!network_reserved_range(&first) || !network_reserved_range(&last))
			fail_msg("%s to %s", rows[i].first, rows[i].last);
		if (rows[i].public_before && network_reserved_range(&before))
			fail_msg("before %s", rows[i].first);
		if (rows[i].public_after && network_reserved_range(&after))
			fail_msg("after %s", rows[i].last);
	}
	size_t count;
	const struct reserved_range *ranges = network_reserved_ranges(&count);
	for (size_t i = 0; i < count; i++) {
		struct in6_addr last = last_of(&ranges[i].block);
		assert_true(network_block_holds(&ranges[i].block, &ranges[i].block.address));
		assert_true(network_block_holds(&ranges[i].block, &last));
		/* No row has bits beyond its prefix. */
		for (unsigned bit = ranges[i].block.prefix_bits; bit < 128; bit++)
			assert_int_equal(
				ranges[i].block.address.s6_addr[bit / 8] & 0x80 >> bit % 8, 0);
		if (ranges[i].name) {
			assert_non_null(network_reserved_range(&ranges[i].block.address));
			assert_non_null(network_reserved_range(&last));
		}
	}
	static const char *const public[] = {"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0",
		"100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0", "172.15.255.255",
		"172.32.0.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0",
		"223.255.255.255", "2000::", "2606:4700::1", "2a00:1450::1",
		"2001:200::", "3ffe:ffff::1", "3fff:1000::", "64:ff9b::8.8.8.8", "2002:808:808::1",
		"2606:4700::5efe:808:808"};
	for (size_t i = 0; i < ARRAY_SIZE(public); i++) {
		struct in6_addr address = address_from(public[i]);
		if (network_reserved_range(&address))
			fail_msg("%s is %s", public[i], network_reserved_range(&address));
	}
}

static void embedded_addresses_are_looked_at(void **state)
{
	struct network_policy *policy = *state;
	static const char *const hidden[] = {
		"::ffff:10.0.0.1",
		"::10.0.0.1",
		"::ffff:0:10.0.0.1",
		"64:ff9b::10.0.0.1",
		"64:ff9b::a9fe:a9fe",
		"64:ff9b:1::10.0.0.1",
		"64:ff9b:1:a00:0:100::",
		"2002:a00:1::1",
		"2002:7f00:1::",
		"2001:0:a00:1::1",
		"2001:0:808:808::f5ff:fffe",
		"2606:4700::5efe:10.0.0.1",
		"2606:4700::200:5efe:10.0.0.1",
		"fe80::5efe:8.8.8.8",
	};
	set(policy, "net", "on");
	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++) {
		struct in6_addr address = address_from(hidden[i]);
		struct network_decision decision;
		char reason[160];
		if (!network_reserved_range(&address))
			fail_msg("%s is public", hidden[i]);
		assert_false(network_may_dial(policy, &address, 443, reason));
		assert_true(reason[0] != '\0');
		network_decide_address(policy, &address, 443, &decision);
		assert_int_equal(decision.verdict, NETWORK_DENY);
		assert_true(decision.reason[0] != '\0');
	}
	/* A denied public address is denied in disguise as well. */
	set(policy, "deny-cidr", "8.8.8.0/24");
	static const char *const denied[] = {"8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
		"2002:808:808::1", "2606:4700::5efe:8.8.8.8"};
	for (size_t i = 0; i < ARRAY_SIZE(denied); i++) {
		struct in6_addr address = address_from(denied[i]);
		char reason[160];
		assert_false(network_may_dial(policy, &address, 443, reason));
		assert_non_null(strstr(reason, "--deny-cidr 8.8.8.0/24"));
	}
	/* What is embedded has to be named, and what embeds too. */
	set(policy, "allow-cidr", "2001::/32");
	struct in6_addr teredo = address_from("2001:0:a00:1::fefe:fefe"); /* 10.0.0.1, 1.1.1.1 */
	char reason[160];
	assert_false(network_may_dial(policy, &teredo, 443, reason));
	assert_non_null(strstr(reason, "--allow-cidr 10.0.0.1 "));
	set(policy, "allow-cidr", "10.0.0.0/8");
	assert_true(network_may_dial(policy, &teredo, 443, reason));
}

/* With the network on, a name whose requests have rules exists: where they are seen. */
static void ruled_names_exist(void **state)
{
	struct network_policy *policy = *state;
	struct network_decision decision;
	set(policy, "net", "on");
	set(policy, "net-inspect", "api.example.com");
	set(policy, "net-request", "GET api.example.com/v1/**");
	network_decide_name(policy, "api.example.com", 0, &decision);
	assert_int_equal(decision.verdict, NETWORK_ALLOW);
	assert_string_equal(decision.reason, "");
	network_decide_name(policy, "api.example.com", 443, &decision);
	assert_int_equal(decision.verdict, NETWORK_ALLOW);
	assert_true(decision.inspect);
	network_decide_name(policy, "api.example.com", 1, &decision);
	assert_int_equal(decision.verdict, NETWORK_DENY);
}

static enum network_verdict decide_literal(
	const struct network_policy *policy, const char *text, uint16_t port)
{
	struct in6_addr address = address_from(text);
	struct network_decision decision;
	network_decide_address(policy, &address, port, &decision);
	if (decision.verdict == NETWORK_DENY)
		assert_true(decision.reason[0] != '\0');
	else
		assert_int_equal(decision.protocol, NETWORK_RAW);
	return decision.verdict;
}

static void literal_addresses(void **state)
{
	struct network_policy *policy = *state;
	assert_int_equal(decide_literal(policy, "1.1.1.1", 443), NETWORK_DENY);
	set(policy, "allow-cidr", "1.1.1.0/24");
	set(policy, "allow-cidr", "10.1.0.0/16:5432,6000-6100");
	set(policy, "allow-cidr", "[fd00:1::/32]:8080");
	set(policy, "allow-cidr", "2606:4700::/32");
	set(policy, "deny-cidr", "10.1.2.0/24");
	set(policy, "deny-cidr", "1.1.1.7:80");
	static const struct {
		const char *address;
		uint16_t port;
		bool allowed;
	} rows[] = {
		{"1.1.1.1", 443, true},
		{"1.1.1.1", 80, true},
		{"1.1.1.1", 22, false},
		{"::ffff:1.1.1.1", 443, true},
		{"1.1.2.0", 443, false},
		{"1.1.0.255", 443, false},
		{"1.1.1.7", 80, false},
		{"1.1.1.7", 443, true},
		{"1.1.1.7", 0, true},
		{"10.1.0.0", 5432, true},
		{"10.1.255.255", 6050, true},
		{"10.1.0.1", 443, false},
		{"10.1.2.3", 5432, false},
		{"10.1.2.3", 0, false},
		{"10.2.0.0", 5432, false},
		{"fd00:1::1", 8080, true},
		{"fd00:1::1", 443, false},
		{"fd00:2::1", 8080, false},
		{"2606:4700::1", 443, true},
		{"64:ff9b::1.1.1.1", 443, false},
		{"2002:101:101::", 443, false},
		{"8.8.8.8", 443, false},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if ((decide_literal(policy, rows[i].address, rows[i].port) == NETWORK_ALLOW) !=
			rows[i].allowed)
			fail_msg("%s port %u", rows[i].address, rows[i].port);
	struct network_decision decision;
	struct in6_addr address = address_from("2a00::1");
	network_decide_address(policy, &address, 8443, &decision);
	assert_non_null(strstr(decision.reason, "--allow-cidr [2a00::1]:8443 would"));
	/* What the words say works. */
	set(policy, "allow-cidr", "[2a00::1]:8443");
	assert_int_equal(decide_literal(policy, "2a00::1", 8443), NETWORK_ALLOW);
	/* Names and addresses are two things. */
	set(policy, "allow-domain", "a.org");
	assert_int_equal(decide(policy, "b.org", 443), NETWORK_DENY);
}

static void wide_blocks_name_no_reserved_range(void **state)
{
	struct network_policy *policy = *state;
	set(policy, "allow-cidr", "0.0.0.0/0");
	set(policy, "allow-cidr", "169.254.0.0/16");
	static const char *const shut[] = {"127.0.0.1", "10.0.0.1", "169.254.169.254", "224.0.0.1",
		"169.254.170.2", "192.168.1.1", "::1", "2606:4700::1", "0.0.0.0",
		"255.255.255.255"};
	for (size_t i = 0; i < ARRAY_SIZE(shut); i++)
		assert_int_equal(decide_literal(policy, shut[i], 443), NETWORK_DENY);
	assert_int_equal(decide_literal(policy, "8.8.8.8", 443), NETWORK_ALLOW);
	assert_int_equal(decide_literal(policy, "169.254.1.1", 443), NETWORK_ALLOW);
	set(policy, "allow-cidr", "169.254.169.254");
	assert_int_equal(decide_literal(policy, "169.254.169.254", 443), NETWORK_ALLOW);
	set(policy, "allow-cidr", "::/0");
	assert_int_equal(decide_literal(policy, "2606:4700::1", 443), NETWORK_ALLOW);
	assert_int_equal(decide_literal(policy, "::1", 443), NETWORK_DENY);
	assert_int_equal(decide_literal(policy, "fd00::1", 443), NETWORK_DENY);
	assert_int_equal(decide_literal(policy, "64:ff9b::127.0.0.1", 443), NETWORK_DENY);
}

static void answers_of_names(void **state)
{
	struct network_policy *policy = *state;
	char reason[160];
	set(policy, "allow-domain", "a.org");
	struct in6_addr address = address_from("93.184.216.34");
	assert_true(network_may_dial(policy, &address, 443, reason));
	address = address_from("127.0.0.1");
	assert_false(network_may_dial(policy, &address, 443, reason));
	assert_non_null(strstr(reason, "127.0.0.1 is loopback"));
	address = address_from("10.0.0.5");
	assert_false(network_may_dial(policy, &address, 8443, reason));
	assert_non_null(strstr(reason, "--allow-cidr 10.0.0.5:8443 would"));
	set(policy, "allow-cidr", "10.0.0.0/8:8443");
	assert_true(network_may_dial(policy, &address, 8443, reason));
	assert_string_equal(reason, "");
	assert_false(network_may_dial(policy, &address, 443, reason));
	assert_true(network_may_dial(policy, &address, 0, reason));
	set(policy, "deny-cidr", "10.0.0.5");
	assert_false(network_may_dial(policy, &address, 8443, reason));
	assert_non_null(strstr(reason, "--deny-cidr 10.0.0.5"));
	assert_false(network_may_dial(policy, &address, 0, reason));
}

/* ---- pools and blocks ---- */

static void names_share_pools_by_their_ports(void **state)
{
	struct network_policy *policy = *state;
	set(policy, "allow-domain", "a.org");
	set(policy, "allow-domain", "b.org:443,80");
	set(policy, "allow-domain", "**.c.org:443");
	set(policy, "allow-domain", "git.c.org:22");
	set(policy, "deny-domain", "no.c.org");
	set(policy, "deny-domain", "*.half.c.org:443");
	set(policy, "ask-domain", "q.org:8080");
	set(policy, "allow-domain", NETWORK_HOST_NAME ":5432");
	struct network_pool *pools;
	size_t count;
	assert_int_equal(network_pools(policy, false, &pools, &count, NULL), 0);
	assert_int_equal(count, 4); /* 80+443; 443; 22+443; 5432 */
	static const struct {
		const char *name;
		int port; /* one that its pool has; 0: no pool */
		size_t ranges;
	} rows[] = {
		{"a.org", 80, 2},
		{"b.org", 80, 2},
		{"c.org", 443, 1},
		{"x.c.org", 443, 1},
		{"git.c.org", 22, 2},
		{"x.git.c.org", 443, 1},
		{"no.c.org", 0, 0},
		{"x.no.c.org", 443, 1},
		{"half.c.org", 443, 1},
		{"x.half.c.org", 0, 0},
		{"q.org", 0, 0},
		{"d.org", 0, 0},
		{"x.a.org", 0, 0},
		{"a.onion", 0, 0},
		{NETWORK_HOST_NAME, 5432, 1},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int pool = network_pool_of(policy, false, pools, count, rows[i].name);
		if (rows[i].port == 0) {
			if (pool != -ENOENT)
				fail_msg("%s has pool %d", rows[i].name, pool);
			continue;
		}
		if (pool < 0 || pools[pool].ports.count != rows[i].ranges ||
			!network_ports_hold(&pools[pool].ports, (uint16_t)rows[i].port))
			fail_msg("%s has pool %d", rows[i].name, pool);
	}
	network_pools_free(pools, count);
	/* Who can be asked has a pool more. */
	assert_int_equal(network_pools(policy, true, &pools, &count, NULL), 0);
	assert_int_equal(count, 5);
	assert_true(network_pool_of(policy, true, pools, count, "q.org") >= 0);
	network_pools_free(pools, count);
}

static uint32_t v4_of(const struct in6_addr *address)
{
	uint32_t word;
	memcpy(&word, &address->s6_addr[12], sizeof(word));
	return ntohl(word);
}

static void pools_are_disjoint_and_bounded(void **state)
{
	struct network_policy *policy = *state;
	char value[64];
	for (unsigned i = 0; i < NETWORK_POOLS_MAX - 1; i++) {
		snprintf(value, sizeof(value), "n%u.org:%u", i, 1000 + 2 * i);
		set(policy, "allow-domain", value);
	}
	struct network_pool *pools;
	size_t count;
	struct error error = {0};
	assert_int_equal(network_pools(policy, false, &pools, &count, &error), 0);
	assert_int_equal(count, NETWORK_POOLS_MAX - 1);
	struct in6_addr own = address_from(EGRESS_ADDRESS_V4);
	struct in6_addr own_v6 = address_from(EGRESS_ADDRESS_V6);
	uint64_t end = v4_of(&own);
	for (size_t i = 0; i < count; i++) {
		uint64_t first = v4_of(&pools[i].v4);
		assert_true(IN6_IS_ADDR_V4MAPPED(&pools[i].v4));
		assert_true(first > end); /* none overlaps the one before, nor coffer's own */
		assert_int_equal(first & ((1U << pools[i].v4_bits) - 1), 0);
		end = first + (1U << pools[i].v4_bits) - 1;
		assert_memory_not_equal(&pools[i].v6, &own_v6, 8);
		for (size_t k = 0; k < i; k++)
			assert_memory_not_equal(&pools[i].v6, &pools[k].v6, 8);
		assert_string_equal(
			network_reserved_range(&pools[i].v4), "for benchmarks (RFC 2544)");
		assert_string_equal(
			network_reserved_range(&pools[i].v6), "for benchmarks (RFC 5180)");
	}
	assert_int_equal(end, 198U << 24 | 19U << 16 | 0xffff); /* the last one ends the /15 */
	network_pools_free(pools, count);
	assert_int_equal(network_validate(policy, &error), 0);
	set(policy, "allow-domain", "one.more.org:7");
	assert_int_equal(network_pools(policy, false, &pools, &count, &error), -E2BIG);
	assert_non_null(strstr(error.message, "more than 63 different sets"));
	assert_int_equal(network_validate(policy, &error), -E2BIG);
}

/* Whatever the rules, a name's pool has just the ports on which it gets through. */
static void pools_are_complete(void **state)
{
	struct network_policy *policy = *state;
	static const char *const keys[] = {
		"allow-domain", "deny-domain", "monitor-domain", "ask-domain"};
	static const char *const stars[] = {"", "*.", "**."};
	static const char *const names[] = {"org", "a.org", "b.a.org", "c.b.a.org", "x.org"};
	static const char *const ports[] = {"", ":22", ":443", ":80-90", ":1-65535"};
	uint32_t seed = 1;
	for (int round = 0; round < 200; round++) {
		network_policy_release(policy);
		for (int i = 0; i < 8; i++) {
			char value[64];
			seed = seed * 1664525 + 1013904223;
			snprintf(value, sizeof(value), "%s%s%s", stars[(seed >> 8) % 3],
				names[(seed >> 12) % 5], ports[(seed >> 16) % 5]);
			set(policy, keys[(seed >> 20) % 4], value);
		}
		struct network_pool *pools;
		size_t count;
		bool ask = round & 1;
		assert_int_equal(network_pools(policy, ask, &pools, &count, NULL), 0);
		static const char *const tried[] = {"org", "a.org", "b.a.org", "c.b.a.org",
			"d.c.b.a.org", "y.a.org", "y.b.a.org", "x.org", "y.x.org", "com"};
		static const uint16_t at[] = {
			1, 21, 22, 23, 79, 80, 81, 90, 91, 442, 443, 444, 65535};
		for (size_t i = 0; i < ARRAY_SIZE(tried); i++) {
			int pool = network_pool_of(policy, ask, pools, count, tried[i]);
			bool any = false;
			for (size_t k = 0; k < ARRAY_SIZE(at); k++) {
				enum network_verdict verdict = decide(policy, tried[i], at[k]);
				bool open = verdict == NETWORK_ALLOW ||
					    verdict == NETWORK_MONITOR ||
					    (verdict == NETWORK_ASK && ask);
				any = any || open;
				if (open != (pool >= 0 &&
						    network_ports_hold(&pools[pool].ports, at[k])))
					fail_msg("round %d: %s:%u", round, tried[i], at[k]);
			}
			if (any != (pool >= 0))
				fail_msg("round %d: %s", round, tried[i]);
			enum network_verdict whole = decide(policy, tried[i], 0);
			assert_int_equal(pool >= 0, whole == NETWORK_ALLOW ||
							    whole == NETWORK_MONITOR ||
							    (whole == NETWORK_ASK && ask));
		}
		network_pools_free(pools, count);
	}
}

static void blocks_say(const struct network_policy *policy, const char *const *expected)
{
	struct address_block *blocks;
	size_t count;
	assert_int_equal(network_literal_blocks(policy, &blocks, &count), 0);
	for (size_t i = 0; i < count; i++) {
		char plain[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + 8];
		bool v4 = IN6_IS_ADDR_V4MAPPED(&blocks[i].address);
		network_format_address(&blocks[i].address, plain);
		snprintf(text, sizeof(text), "%s/%u", plain, blocks[i].prefix_bits - (v4 ? 96 : 0));
		if (!expected[i])
			fail_msg("%s too many", text);
		assert_string_equal(text, expected[i]);
	}
	assert_null(expected[count]);
	free(blocks);
}

static void literal_blocks_are_merged(void **state)
{
	struct network_policy *policy = *state;
	blocks_say(policy, (const char *const[]){NULL});
	set(policy, "allow-cidr", "1.1.1.128/25");
	set(policy, "allow-cidr", "1.1.1.0/25:22");
	set(policy, "allow-cidr", "1.1.1.7");
	set(policy, "allow-cidr", "1.1.2.0/24");
	set(policy, "allow-cidr", "2606:4700::/32");
	set(policy, "allow-cidr", "10.0.0.0/8");
	blocks_say(policy, (const char *const[]){"1.1.1.0/24", "1.1.2.0/24", "10.0.0.0/8",
				   "2606:4700::/32", NULL});
	set(policy, "allow-cidr", "1.1.0.0/24");
	set(policy, "allow-cidr", "1.1.3.0/24");
	set(policy, "deny-cidr", "10.0.0.0/9");
	set(policy, "deny-cidr", "1.1.1.1:80"); /* not every port: egress decides */
	blocks_say(policy,
		(const char *const[]){"1.1.0.0/22", "10.128.0.0/9", "2606:4700::/32", NULL});
	network_policy_release(policy);
	set(policy, "allow-cidr", "169.254.169.252/30"); /* but the metadata service */
	blocks_say(policy, (const char *const[]){"169.254.169.252/31", "169.254.169.255/32", NULL});
	network_policy_release(policy);
	set(policy, "allow-cidr", "9.0.0.0/8");
	set(policy, "allow-cidr", "8.0.0.0/6"); /* 8 to 11, without 10 */
	blocks_say(policy, (const char *const[]){"8.0.0.0/7", "11.0.0.0/8", NULL});
}

/* With the network on, an address is in a block just when it gets through as a literal. */
static void blocks_agree_with_decisions(void **state)
{
	struct network_policy *policy = *state;
	set(policy, "net", "on");
	set(policy, "allow-cidr", "192.168.7.0/24:443");
	set(policy, "deny-cidr", "8.8.0.0/16");
	struct address_block *blocks;
	size_t count, ranges_count;
	assert_int_equal(network_literal_blocks(policy, &blocks, &count), 0);
	assert_true(count > 20 && count < 300);
	for (size_t i = 1; i < count; i++) {
		struct in6_addr last = last_of(&blocks[i - 1]);
		assert_true(memcmp(&last, &blocks[i].address, 16) < 0);
	}
	const struct reserved_range *ranges = network_reserved_ranges(&ranges_count);
	for (size_t i = 0; i < ranges_count; i++) {
		struct in6_addr first = ranges[i].block.address, last = last_of(&ranges[i].block);
		struct in6_addr tried[] = {first, last, beside(&first, -1), beside(&last, 1),
			address_from("192.168.7.9"), address_from("192.168.8.0"),
			address_from("8.8.8.8"), address_from("8.9.0.0")};
		for (size_t k = 0; k < ARRAY_SIZE(tried); k++) {
			/* What is embedded is for egress alone to judge. */
			struct in6_addr forms[ADDRESS_FORMS_MAX];
			if (network_address_forms(&tried[k], forms) > 1)
				continue;
			bool held = false;
			for (size_t b = 0; b < count; b++)
				held = held || network_block_holds(&blocks[b], &tried[k]);
			struct network_decision decision;
			network_decide_address(policy, &tried[k], 443, &decision);
			char text[INET6_ADDRSTRLEN];
			network_format_address(&tried[k], text);
			if (held != (decision.verdict == NETWORK_ALLOW))
				fail_msg("%s: %d, %s", text, held, decision.reason);
		}
	}
	free(blocks);
}

/* ---- the rest ---- */

static void requests_are_judged(void **state)
{
	struct network_policy *policy = *state;
	set(policy, "net-request", "GET api.org/v1/*/items/**");
	set(policy, "net-request", "* api.org/open");
	set(policy, "net-request", "!* api.org/v1/secret/**");
	set(policy, "net-request", "!DELETE **.loose.org/**");
	static const struct {
		const char *name, *method, *path;
		bool allowed;
	} rows[] = {
		{"other.org", "DELETE", "/../..//x", true},
		{"api.org", "GET", "/v1/7/items/", true},
		{"api.org", "GET", "/v1/7/items/a/b?c=/d", true},
		{"api.org", "GET", "/v1/7/8/items/a", false},
		{"api.org", "GET", "/v1//items/a", false},
		{"api.org", "POST", "/v1/7/items/a", false},
		{"api.org", "get", "/v1/7/items/a", false},
		{"api.org", "GET", "/v1/secret/items/a", false},
		{"api.org", "GET", "/v1/%73ecret/items/a", false},
		{"api.org", "GET", "/v1/7/items/../../secret/items/x", false},
		{"api.org", "GET", "/v1/7/items/%2e%2E/x", false},
		{"api.org", "GET", "/v1/7/items/..;a/x", false},
		{"api.org", "GET", "/v1/7/items/a%2fb", false},
		{"api.org", "GET", "/v1/7/items/a%5cb", false},
		{"api.org", "GET", "/v1/7/items/a\\b", false},
		{"api.org", "GET", "/v1/7/items/a%00", false},
		{"api.org", "GET", "/v1/7/items/a%2", false},
		{"api.org", "GET", "/v1/7/items/%252e%252e", false},
		{"api.org", "GET", "/v1/7/items/...", true},
		{"api.org", "GET", "/v1/7/items/.a", true},
		{"api.org", "GET", "/v1/7/items/b%C3%BC", true}, {"api.org", "POST", "/open", true},
		{"api.org", "POST", "/open?x", true}, {"api.org", "POST", "/open/", false},
		{"api.org", "POST", "/Open", false}, {"api.org", "GET", "", false},
		{"api.org", "GET", "open", false}, {"api.org", "OPTIONS", "*", false},
		{"x.api.org", "POST", "/x", true}, {"loose.org", "DELETE", "/a", false},
		{"x.loose.org", "DELETE", "/", false},
		{"x.loose.org", "POST", "/a", true}, /* only what is denied is denied */
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char reason[160];
		bool allowed = network_may_request(
			policy, rows[i].name, rows[i].method, rows[i].path, reason);
		if (allowed != rows[i].allowed || allowed != (reason[0] == '\0'))
			fail_msg("%s %s%s: %s", rows[i].method, rows[i].name, rows[i].path, reason);
	}
	char reason[160];
	set(policy, "net-read", NULL);
	assert_false(network_may_request(policy, "other.org", "POST", "/", reason));
	assert_false(network_may_request(policy, "api.org", "POST", "/open", reason));
	assert_false(network_may_request(policy, "other.org", "CONNECT", "/", reason));
	assert_true(network_may_request(policy, "other.org", "HEAD", "/", reason));
	assert_true(network_may_request(policy, "other.org", "OPTIONS", "*", reason));
}

static void secrets_and_inspection(void **state)
{
	struct network_policy *policy = *state;
	set(policy, "allow-domain", "**.a.org");
	set(policy, "net-inspect", "*.i.a.org");
	set(policy, "net-secret",
		"name=TOKEN,host=s.a.org,from=command:pass show a,b | head -1,in=header:X-Api-Key");
	set(policy, "net-secret",
		"name=B,host=**.t.a.org,from=file:/x,in=basic,method=GET,path=/v/*");
	set(policy, "net-secret", "from=env:C,in=query,host=s.a.org,name=C");
	const struct network_secret *secret = policy->secrets;
	assert_string_equal(secret[0].from, "command:pass show a,b | head -1");
	assert_string_equal(secret[0].header, "x-api-key");
	assert_string_equal(secret[0].method, "*");
	assert_string_equal(secret[0].path, "/**");
	assert_int_equal(secret[1].place, SECRET_BASIC);
	assert_int_equal(secret[1].match, MATCH_WITH_APEX);
	assert_int_equal(secret[2].place, SECRET_QUERY);
	refuse(policy, "net-secret", "name=C,host=a.org,from=env:D", "another secret", "");
	assert_int_equal(network_validate(policy, NULL), 0);
	static const struct {
		const char *name;
		uint16_t port;
		bool inspected;
	} rows[] = {{"x.i.a.org", 443, true}, {"i.a.org", 443, false}, {"s.a.org", 443, true},
		{"t.a.org", 443, true}, {"x.t.a.org", 443, true}, {"s.a.org", 80, false},
		{"a.org", 443, false}};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct network_decision decision;
		network_decide_name(policy, rows[i].name, rows[i].port, &decision);
		assert_int_equal(decision.inspect, rows[i].inspected);
	}
}

/* A port where requests could not be seen is no way around the rules for them. */
static void requests_cannot_hide_on_another_port(void **state)
{
	struct network_policy *policy = *state;
	set(policy, "net", "on");
	set(policy, "net-inspect", "api.org");
	set(policy, "net-request", "GET api.org/**");
	assert_int_equal(network_validate(policy, NULL), 0);
	assert_int_equal(decide(policy, "api.org", 443), NETWORK_ALLOW);
	assert_int_equal(decide(policy, "api.org", 8443), NETWORK_DENY);
	assert_int_equal(decide(policy, "other.org", 8443), NETWORK_ALLOW);
	set(policy, "allow-domain", "api.org:8443/tls");
	assert_int_equal(decide(policy, "api.org", 8443), NETWORK_ALLOW);
}

static void the_other_keys_set_what_they_say(void **state)
{
	struct network_policy *policy = *state;
	set(policy, "net-limit", "requests=100/m,connections=10/s,rate=50M,total=1G,over=refuse");
	assert_int_equal(policy->limits.requests_per_minute, 100);
	assert_int_equal(policy->limits.connections_per_second, 10);
	assert_int_equal(policy->limits.bytes_per_second, 6250000);
	assert_int_equal(policy->limits.total_bytes, 1 << 30);
	assert_true(policy->limits.refuse);
	set(policy, "net-limit", "requests=2/s,connections=120/m,rate=1G,total=none,over=wait");
	assert_int_equal(policy->limits.requests_per_minute, 120);
	assert_int_equal(policy->limits.connections_per_second, 2);
	assert_int_equal(policy->limits.bytes_per_second, 125000000);
	assert_int_equal(policy->limits.total_bytes, 0);
	assert_false(policy->limits.refuse);
	set(policy, "allow-udp", "NTP.org:123");
	set(policy, "allow-udp", "[2001:db8::1]:53");
	set(policy, "allow-udp", "1.1.1.1:53");
	assert_string_equal(policy->udp[0].name, "ntp.org");
	assert_null(policy->udp[1].name);
	assert_int_equal(policy->udp[2].port, 53);
	for (int i = 3; i < EGRESS_UDP_RULES_MAX; i++)
		set(policy, "allow-udp", "1.1.1.1:53");
	refuse(policy, "allow-udp", "1.1.1.1:53", "more than 16 times", "");
	set(policy, "publish", "8080");
	set(policy, "publish", "9090:80");
	assert_int_equal(policy->publish[0].box_port, 8080);
	assert_int_equal(policy->publish[1].host_port, 9090);
	assert_int_equal(policy->publish[1].box_port, 80);
	refuse(policy, "publish", "8080:1", "given twice", "");
	set(policy, "net-resolver", "1.1.1.1");
	set(policy, "net-resolver", "2606:4700::1111");
	set(policy, "net-resolver", "[::1]:5353");
	refuse(policy, "net-resolver", "9.9.9.9:5353", "more than 3 times", "");
	static const char *const resolvers[] = {"1.1.1.1:53", "[2606:4700::1111]:53", "[::1]:5353"};
	for (size_t i = 0; i < ARRAY_SIZE(resolvers); i++)
		assert_string_equal(policy->resolvers.items[i], resolvers[i]);
	set(policy, "upstream-proxy", "http://user:p@ss@proxy.corp:3128/");
	set(policy, "upstream-proxy", "http://10.0.0.1:3128");
	assert_string_equal(policy->upstream_proxy, "http://10.0.0.1:3128");
	set(policy, "upstream-ca", "/etc/corp.pem");
	set(policy, "proxy-variables", NULL);
	assert_true(policy->proxy_variables);
	/* All of it is on record, to be sent on. */
	struct network_policy copy;
	network_policy_init(&copy);
	for (size_t i = 0; i < policy->settings_count; i++) {
		const struct network_setting *setting = &policy->settings[i];
		assert_int_equal(
			network_set(&copy, setting->key, setting->value, setting->source, NULL), 0);
	}
	assert_int_equal(copy.settings_count, policy->settings_count);
	assert_int_equal(copy.udp_count, policy->udp_count);
	assert_string_equal(copy.settings[2].source, "--allow-udp NTP.org:123");
	network_policy_release(&copy);
}

static void presets_are_rules(void **state)
{
	struct network_policy *policy = *state;
	size_t count;
	const struct network_preset *presets = network_presets(&count);
	assert_int_equal(count, 11);
	for (size_t i = 0; i < count; i++)
		set(policy, "net-preset", presets[i].name);
	assert_int_equal(policy->settings_count, count);
	assert_int_equal(network_validate(policy, NULL), 0);
	assert_int_equal(protocol(policy, "github.com", 22), NETWORK_RAW);
	assert_int_equal(protocol(policy, "github.com", 443), NETWORK_TLS);
	assert_int_equal(decide(policy, "registry.npmjs.org", 443), NETWORK_ALLOW);
	assert_int_equal(decide(policy, "example.org", 443), NETWORK_DENY);
	struct network_decision decision;
	network_decide_name(policy, "pypi.org", 443, &decision);
	assert_string_equal(decision.rule->source, "preset pypi");
}

static void contradictions(void **state)
{
	(void)state;
	static const struct {
		struct setting settings[4];
		const char *message, *hint;
	} rows[] = {
		{{{"net", "off"}, {"allow-domain", "a.org"}}, "--net off with --allow-domain a.org",
			"drop one"},
		{{{"net", "off"}, {"net-preset", "npm"}}, "--net off with preset npm", "drop one"},
		{{{"net", "off"}, {"allow-udp", "1.1.1.1:53"}}, "--net off with", "drop one"},
		{{{"net", "off"}, {"publish", "80"}}, "--net off with --publish", "drop one"},
		{{{"net-secret", "name=A,host=a.org,from=env:A"}}, "no rule allows over TLS",
			"--allow-domain a.org:443"},
		{{{"net-secret", "name=A,host=a.org,from=env:A"}, {"allow-domain", "a.org:80"}},
			"no rule allows over TLS", "--allow-domain a.org:443"},
		{{{"net-secret", "name=A,host=*.a.org,from=env:A"}, {"allow-domain", "a.org"}},
			"no rule allows over TLS", "--allow-domain *.a.org:443"},
		{{{"net-request", "GET a.org/"}, {"allow-domain", "a.org"}}, "cannot be seen",
			"--net-inspect a.org"},
		{{{"net-inspect", "a.org"}, {"allow-domain", "a.org:80"}}, "nothing to look into",
			"--allow-domain a.org:443"},
		{{{"net-request", "GET **.a.org/"}, {"allow-domain", "**.a.org"},
			 {"net-inspect", "*.a.org"}},
			"cannot be seen", "--net-inspect **.a.org"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct network_policy policy;
		struct error error = {0};
		network_policy_init(&policy);
		for (size_t k = 0; k < 4 && rows[i].settings[k].key; k++)
			set(&policy, rows[i].settings[k].key, rows[i].settings[k].value);
		assert_int_equal(network_validate(&policy, &error), -EINVAL);
		if (!strstr(error.message, rows[i].message) || !strstr(error.hint, rows[i].hint))
			fail_msg("row %zu: %s; %s", i, error.message, error.hint);
		network_policy_release(&policy);
	}
}

static void the_mode_settles(void **state)
{
	(void)state;
	static const struct {
		struct setting settings[3];
		enum network_mode mode;
	} rows[] = {
		{{{NULL}}, NETWORK_OFF},
		{{{"deny-domain", "a.org"}}, NETWORK_OFF},
		{{{"net-limit", "rate=1M"}}, NETWORK_OFF},
		{{{"allow-domain", "a.org"}}, NETWORK_FILTERED},
		{{{"ask-domain", "*"}}, NETWORK_FILTERED},
		{{{"publish", "80"}}, NETWORK_FILTERED},
		{{{"net", "filtered"}}, NETWORK_FILTERED},
		{{{"net", "off"}, {"deny-domain", "a.org"}}, NETWORK_OFF},
		{{{"net", "on"}, {"allow-domain", "a.org"}}, NETWORK_ON},
		{{{"net-request", "GET a.org/"}, {"allow-domain", "a.org:80"}}, NETWORK_FILTERED},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct network_policy policy;
		network_policy_init(&policy);
		for (size_t k = 0; k < 3 && rows[i].settings[k].key; k++)
			set(&policy, rows[i].settings[k].key, rows[i].settings[k].value);
		bool open = network_is_open(&policy);
		assert_int_equal(network_validate(&policy, NULL), 0);
		assert_int_equal(policy.mode, rows[i].mode);
		assert_int_equal(open, rows[i].mode != NETWORK_OFF);
		network_policy_release(&policy);
	}
}

/* ---- as part of a policy ---- */

static void network_of(const struct setting *settings, struct network_policy *ret, int expected,
	const char *message)
{
	struct policy *policy;
	struct error error = {0};
	assert_int_equal(policy_new(&policy), 0);
	for (; settings->key; settings++)
		if (policy_set(policy, settings->key, settings->value, &error) < 0)
			fail_msg("%s", error.message);
	int r = policy_validate(policy, &error);
	assert_int_equal(r, expected);
	if (!strstr(error.message, message))
		fail_msg("'%s' is not in '%s'", message, error.message);
	network_policy_init(ret);
	if (r == 0)
		assert_int_equal(policy_network(policy, ret, &error), 0);
	policy_free(policy);
}

static void profiles_have_networks(void **state)
{
	(void)state;
	static const struct {
		struct setting settings[4];
		enum network_mode mode;
		bool pypi, own; /* whether pypi.org and own.org are allowed */
		uint64_t requests;
	} rows[] = {
		{{{NULL}}, NETWORK_OFF, false, false, 0},
		{{{"allow-domain", "own.org"}}, NETWORK_FILTERED, false, true, 0},
		{{{"profile", "cloud"}}, NETWORK_FILTERED, true, false, 100},
		{{{"profile", "cloud"}, {"net", "filtered"}}, NETWORK_FILTERED, true, false, 100},
		{{{"profile", "cloud"}, {"deny-domain", "pypi.org"}}, NETWORK_FILTERED, false,
			false, 100},
		{{{"profile", "cloud"}, {"allow-domain", "own.org"}}, NETWORK_FILTERED, false, true,
			100},
		{{{"profile", "cloud"}, {"net-limit", "requests=7/m"}}, NETWORK_FILTERED, true,
			false, 7},
		{{{"profile", "cloud"}, {"net", "on"}}, NETWORK_ON, true, true, 100},
		{{{"profile", "cloud"}, {"net", "off"}}, NETWORK_OFF, false, false, 100},
		{{{"profile", "strict"}, {"net", "off"}}, NETWORK_OFF, false, false, 0},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct network_policy network;
		network_of(rows[i].settings, &network, 0, "");
		assert_int_equal(network.mode, rows[i].mode);
		assert_int_equal(decide(&network, "pypi.org", 443) == NETWORK_ALLOW, rows[i].pypi);
		assert_int_equal(decide(&network, "own.org", 443) == NETWORK_ALLOW, rows[i].own);
		assert_int_equal(network.limits.requests_per_minute, rows[i].requests);
		if (rows[i].requests)
			assert_int_equal(network.limits.bytes_per_second, 6250000);
		network_policy_release(&network);
	}
	struct network_policy asked;
	network_of((const struct setting[]){{"net-ask", "/run/ask"}, {"allow-domain", "own.org"},
			   {NULL}},
		&asked, 0, "");
	assert_int_equal(decide(&asked, "own.org", 443), NETWORK_ALLOW);
	assert_int_equal(decide(&asked, "else.org", 443), NETWORK_ASK);
	assert_int_equal(decide(&asked, "else.onion", 443), NETWORK_DENY);
	network_policy_release(&asked);
	network_of((const struct setting[]){{"net-ask", "/run/ask"}, {"net", "off"}, {NULL}},
		&asked, 0, "");
	assert_int_equal(decide(&asked, "else.org", 443), NETWORK_DENY);
	network_policy_release(&asked);
	static const struct {
		struct setting settings[4];
		const char *message;
	} bad[] = {
		{{{"mode", "danger-full-access"}, {"allow-domain", "a.org"}}, "danger-full-access"},
		{{{"mode", "danger-full-access"}, {"net", "off"}}, "danger-full-access"},
		{{{"profile", "strict"}, {"allow-domain", "a.org"}}, "--profile strict"},
		{{{"profile", "strict"}, {"net", "on"}}, "--profile strict"},
		{{{"profile", "strict"}, {"publish", "80"}}, "--profile strict"},
		{{{"net", "off"}, {"allow-domain", "a.org"}}, "--net off"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct network_policy network;
		network_of(bad[i].settings, &network, -EINVAL, bad[i].message);
		network_policy_release(&network);
	}
}

int main(void)
{
#define WITH_POLICY(test) cmocka_unit_test_setup_teardown(test, new_policy, free_policy)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_have_one_form),
		cmocka_unit_test(what_is_no_name_is_refused),
		cmocka_unit_test(names_are_bounded),
		cmocka_unit_test(addresses_in_every_spelling),
		WITH_POLICY(special_names_never_leave),
		WITH_POLICY(mistakes_name_what_is_right),
		WITH_POLICY(patterns_match_what_they_say),
		cmocka_unit_test(patterns_cover_and_meet),
		WITH_POLICY(ports_and_protocols),
		WITH_POLICY(deny_wins_and_the_specific_decides),
		WITH_POLICY(a_refusal_names_the_one_flag),
		WITH_POLICY(net_on_opens_what_is_public),
		cmocka_unit_test(reserved_ranges_at_both_edges),
		WITH_POLICY(embedded_addresses_are_looked_at),
		WITH_POLICY(ruled_names_exist),
		WITH_POLICY(literal_addresses),
		WITH_POLICY(wide_blocks_name_no_reserved_range),
		WITH_POLICY(answers_of_names),
		WITH_POLICY(names_share_pools_by_their_ports),
		WITH_POLICY(pools_are_disjoint_and_bounded),
		WITH_POLICY(pools_are_complete),
		WITH_POLICY(literal_blocks_are_merged),
		WITH_POLICY(blocks_agree_with_decisions),
		WITH_POLICY(requests_are_judged),
		WITH_POLICY(secrets_and_inspection),
		WITH_POLICY(requests_cannot_hide_on_another_port),
		WITH_POLICY(the_other_keys_set_what_they_say),
		WITH_POLICY(presets_are_rules),
		cmocka_unit_test(contradictions),
		cmocka_unit_test(the_mode_settles),
		cmocka_unit_test(profiles_have_networks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
