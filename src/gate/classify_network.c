/* What leaves this machine or comes to it: uploads, tunnels, shells for others, tokens of
 * clouds. */
#include "gate/classify_internal.h"

#include "base/path.h"

#include <fnmatch.h>

/* Programs whose output may come from the network. */
static const struct {
	const char *programs;
} fetchers[] = {
	{"curl,wget,aria2c,http,https,httpie,xh,fetch,lynx,links,w3m,axel"},
	{"nc,ncat,netcat,socat,telnet,wscat,websocat,ssh,ftp,lftp,tftp,openssl"},
	{"dig,nslookup,host,gh,aws,gsutil,ipfs"},
};
const struct program_table fetcher_table = PROGRAM_TABLE(fetchers);

bool is_fetcher(const char *program)
{
	struct program_rows rows = program_rows(program);
	return program_rows_next(&rows, TABLE_FETCHERS);
}

/* Programs that speak to a network; words: only with these leading ones. */
static const struct network_program {
	const char *programs, *words;
} network_programs[] = {
	{"curl,wget,aria2c,http,https,httpie,xh,lynx,links,w3m,nc,ncat,netcat,socat,telnet,ssh,"
	 "scp,sftp,ftp,lftp,tftp,dig,host,nslookup,ping,traceroute,mtr,whois,nmap,masscan,axel,"
	 "wscat,websocat,ngrok,cloudflared,npx,bunx,uvx,pipx,apt,apt-get,dnf,yum,apk,brew,snap,"
	 "flatpak,pacman,zypper,aws,gcloud,az,gh,glab,heroku,fly,flyctl,vercel,netlify,wrangler,"
	 "doctl,kubectl,helm,terraform,tofu,pulumi,s3cmd,gsutil,rclone,twine,mail,mailx,sendmail,"
	 "mutt,ssh-copy-id,rustup,nvm,ipfs,tailscale",
		NULL},
	{"git", "push,fetch,pull,clone,ls-remote,archive,send-email"},
	{"git", "submodule update,add,sync"},
	{"git", "remote update,prune,show"},
	{"git", "lfs fetch,pull,push"},
	{"npm,pnpm,yarn,bun",
		"install,i,ci,add,publish,update,upgrade,up,audit,outdated,view,info,exec,x,dlx,"
		"create,init,login,search,unpublish,deprecate,owner,token,dist-tag"},
	{"pip,pip3", "install,download,wheel,search,index"},
	{"uv", "pip,add,sync,tool,lock,run,python,publish,self"},
	{"poetry,pdm,hatch,flit", "install,add,update,publish,lock,self,search,build"},
	{"conda,mamba,micromamba", "install,create,update,search,env"},
	{"cargo", "install,add,update,fetch,publish,search,login,yank,owner"},
	{"go", "get,install,mod"},
	{"gem,bundle,bundler", "install,update,push,fetch,outdated,add,yank"},
	{"composer", "install,update,require,create-project"},
	{"mvn,gradle,gradlew", "deploy,publish,dependency:resolve"},
	{"docker,podman,nerdctl,buildah,skopeo",
		"pull,push,build,run,login,search,compose,buildx,copy,create"},
	{"deno", "run,install,cache,add,publish"},
	{"rsync", NULL},
};

const struct program_table network_table = PROGRAM_TABLE(network_programs);

static bool names_host(const struct command *command)
{
	struct option_walk walk = option_walk_begin(command);
	for (struct option option; option_walk_next(&walk, &option);)
		if (!option.is_option && strchr(option.name, ':'))
			return true;
	return false;
}

bool uses_network(const struct command *command)
{
	if (strcmp(command->program, "rsync") == 0)
		return names_host(command);
	struct program_rows rows = command->rows;
	for (const struct network_program *row; (row = program_rows_next(&rows, TABLE_NETWORK));)
		if (!row->words || has_words(command, row->words))
			return true;
	return false;
}

static bool is_local_url(const char *url)
{
	static const char *const hosts[] = {"localhost", "127.", "[::1]", "0.0.0.0", "::1"};
	const char *host = strstr(url, "://");
	host = host ? host + 3 : url;
	/* user@host: what stands before the last @ of the authority is no host. */
	size_t authority = strcspn(host, "/?#");
	for (size_t i = 0; i < authority; i++)
		if (host[i] == '@')
			return false;
	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		size_t bytes = strlen(hosts[i]);
		if (strncmp(host, hosts[i], bytes) != 0)
			continue;
		if (strcmp(hosts[i], "127.") == 0)
			return strspn(host, "0123456789.") == strcspn(host, ":/?#");
		return host[bytes] == '\0' || strchr(":/?#", host[bytes]);
	}
	return false;
}

/* Whether some operand leads elsewhere than to this machine. */
static bool leads_away(const struct command *command)
{
	size_t urls = 0;
	struct option_walk walk = option_walk_begin(command);
	for (struct option option; option_walk_next(&walk, &option);) {
		const char *url = option.is_option ? NULL : option.name;
		if (option.is_option && option.is_long && option.value &&
			list_has("url", option.name, option.name_bytes))
			url = option.value;
		if (!url)
			continue;
		urls++;
		if (!option.known || !is_local_url(url))
			return true;
	}
	return urls == 0;
}

static bool curl_sends_file(const struct command *command)
{
	static const char data[] = "d,data,data-binary,data-urlencode,data-ascii,json,url-query";
	struct option_walk walk = option_walk_begin(command);
	bool sends = false;
	for (struct option option; option_walk_next(&walk, &option);) {
		if (!option.is_option || !option.value)
			continue;
		const char *value = option.value;
		size_t bytes = option.name_bytes;
		char suffix;
		bool is_data = spec_find("d,data,data-binary,data-urlencode,data-ascii,json",
				       option.name, bytes, option.is_long, &suffix) ||
			       list_has(data, option.name, bytes);
		bool is_form = spec_find("F,form", option.name, bytes, option.is_long, &suffix) &&
			       !list_has("form-string", option.name, bytes);
		bool is_upload =
			spec_find("T,upload-file", option.name, bytes, option.is_long, &suffix);
		sends = sends || is_upload ||
			(is_data && (value[0] == '@' || strstr(value, "=@"))) ||
			(is_form && (strstr(value, "=@") || strstr(value, "=<"))) ||
			(is_data && !option.known && (strstr(value, "$(") || strchr(value, '`')));
	}
	return sends && leads_away(command);
}

static bool reads_piped_input(const struct command *command)
{
	for (size_t i = 0; i < command->part->redirections_count; i++)
		if (command->part->redirections[i].kind == REDIRECT_READ)
			return true;
	return command->part->piped_from > 0;
}

static bool sends_input_away(const struct command *command)
{
	return reads_piped_input(command) && leads_away(command);
}

static bool asks_for_metadata(const struct command *command)
{
	static const char *const addresses[] = {"169.254.169.254", "169.254.170.2",
		"metadata.google.internal", "100.100.100.200", "fd00:ec2::254", "2852039166",
		"0xa9fea9fe", "0xa9.0xfe.0xa9.0xfe", "0251.0376.0251.0376",
		"[::ffff:169.254.169.254]", "metadata.azure.com", "instance-data"};
	for (size_t i = 1; i < command->part->argv.count; i++)
		for (size_t k = 0; k < ARRAY_SIZE(addresses); k++)
			if (strcasestr(command->part->argv.items[i], addresses[k]))
				return true;
	return false;
}

static bool names_with_substitution(const struct command *command)
{
	for (size_t i = 1; i < command->part->argv.count; i++)
		if (!command->part->word_known[i] &&
			(strstr(command->part->argv.items[i], "$(") ||
				strchr(command->part->argv.items[i], '`')))
			return true;
	return false;
}

/* scp, rsync: the last operand is HOST:PATH or a URL. */
static bool last_is_host(const struct command *command)
{
	size_t count = operands_count(command);
	const char *last = count > 1 ? operand(command, count - 1, NULL) : NULL;
	if (!last)
		return false;
	const char *colon = strchr(last, ':');
	return colon && colon != last && !memchr(last, '/', (size_t)(colon - last));
}

static bool last_is_bucket(const struct command *command)
{
	size_t count = operands_count(command);
	const char *last = count > 1 ? operand(command, count - 1, NULL) : NULL;
	return last && strstr(last, "://");
}

static bool ssh_runs_locally(const struct command *command)
{
	struct option_walk walk = option_walk_begin(command);
	for (struct option option; option_walk_next(&walk, &option);)
		if (option.is_option && option.value && *option.name == 'o' &&
			(strcasestr(option.value, "command") ||
				strcasestr(option.value, "KnownHosts") ||
				strcasestr(option.value, "PKCS11") || !option.known))
			return true;
	return false;
}

static bool socat_gives_shell(const struct command *command)
{
	bool runs = false, connects = false;
	for (size_t i = 1; i < command->part->argv.count; i++) {
		const char *word = command->part->argv.items[i];
		runs = runs || strncasecmp(word, "EXEC:", 5) == 0 ||
		       strncasecmp(word, "SYSTEM:", 7) == 0 || strncasecmp(word, "SHELL:", 6) == 0;
		connects = connects || strcasestr(word, "TCP") || strcasestr(word, "UDP") ||
			   strcasestr(word, "OPENSSL") || strcasestr(word, "SSL:");
	}
	return runs && connects;
}

static bool runs_from_network(const struct command *command)
{
	struct option_walk walk = option_walk_begin(command);
	for (struct option option; option_walk_next(&walk, &option);)
		if (!option.is_option && strstr(option.name, "://"))
			return true;
	return false;
}

#define SENDS CLASS_DANGEROUS, CATEGORY_NETWORK
#define NETCAT "nc,ncat,netcat,nc.openbsd,nc.traditional"

static const struct danger rows[] = {
	{"curl,wget,http,https,httpie,xh,aria2c,nc,ncat,netcat,fetch", NULL, NULL,
		asks_for_metadata, CLASS_DANGEROUS, CATEGORY_SECRET, "cloud-metadata",
		"it asks the cloud for this machine's own credentials"},
	{"curl", NULL, NULL, curl_sends_file, SENDS, "send-file",
		"it sends files or input to a server"},
	{"curl", NULL, "K,config", NULL, CLASS_UNDECIDABLE, CATEGORY_COMMAND, "options-from-file",
		"a file says what it does"},
	{"curl", NULL, "unix-socket,abstract-unix-socket", NULL, SENDS, "host-socket",
		"it speaks to a service of this host"},
	{"wget", NULL, "post-file,body-file", NULL, SENDS, "send-file",
		"it sends a file to a server"},
	{"wget", NULL, "use-askpass,e,execute", NULL, CLASS_UNDECIDABLE, CATEGORY_COMMAND,
		"options-from-file", "it is given settings that may name a program"},
	{"http,https,httpie,xh", NULL, NULL, sends_input_away, SENDS, "send-file",
		"it sends input to a server"},
	{NETCAT, NULL, "e,c,exec,sh-exec,lua-exec", NULL, CLASS_FORBIDDEN, CATEGORY_NETWORK,
		"reverse-shell", "it hands a program to somebody on the network"},
	{"socat", NULL, NULL, socat_gives_shell, CLASS_FORBIDDEN, CATEGORY_NETWORK, "reverse-shell",
		"it hands a program to somebody on the network"},
	{NETCAT ",socat,telnet,websocat,wscat", NULL, NULL, sends_input_away, SENDS, "send-file",
		"it sends files or input to somebody on the network"},
	{"ssh", NULL, NULL, reads_piped_input, SENDS, "send-file",
		"it sends input to another host"},
	{"ssh,scp,sftp", NULL, NULL, ssh_runs_locally, CLASS_DANGEROUS, CATEGORY_COMMAND,
		"ssh-option", "its settings may run a program on this host"},
	{"ssh,scp,sftp", NULL, "F", NULL, CLASS_UNDECIDABLE, CATEGORY_COMMAND, "options-from-file",
		"a file says what it does"},
	{"ssh", NULL, "R", NULL, SENDS, "tunnel", "it opens this host to another one"},
	{"ssh-copy-id", NULL, NULL, NULL, SENDS, "authorized-keys",
		"it lets somebody log in with a key"},
	{"ngrok,localtunnel,lt,bore,tailscale", NULL, NULL, NULL, SENDS, "tunnel",
		"it opens this host to the world"},
	{"cloudflared", "tunnel", NULL, NULL, SENDS, "tunnel", "it opens this host to the world"},
	{"scp,rsync", NULL, NULL, last_is_host, SENDS, "send-file",
		"it copies files to another host"},
	{"scp", NULL, "S", NULL, CLASS_UNDECIDABLE, CATEGORY_COMMAND, "runs-named-program",
		"it starts a program that its words name"},
	{"rsync", NULL, "e,rsh,rsync-path", NULL, CLASS_UNDECIDABLE, CATEGORY_COMMAND,
		"runs-named-program", "it starts a program that its words name"},
	{"rsync", NULL, "daemon", NULL, SENDS, "background-daemon", "it serves files to others"},
	{"aws", "s3 cp,sync,mv", NULL, last_is_bucket, SENDS, "send-file",
		"it copies files to a cloud"},
	{"gsutil", "cp,rsync,mv", NULL, last_is_bucket, SENDS, "send-file",
		"it copies files to a cloud"},
	{"rclone", "copy,sync,move,copyto,moveto,rcat,serve", NULL, NULL, SENDS, "send-file",
		"it copies files to a cloud"},
	{"gh", "gist create,edit", NULL, NULL, SENDS, "send-file", "it publishes files"},
	{"mail,mailx,sendmail,mutt,msmtp,swaks", NULL, NULL, NULL, SENDS, "send-mail",
		"it sends mail"},
	{"dig,host,nslookup,ping,curl,wget", NULL, NULL, names_with_substitution, SENDS,
		"send-unknown", "what it sends only shows when it runs"},
	{"ftp,lftp,tftp,sftp", NULL, NULL, sends_input_away, SENDS, "send-file",
		"it may send files to another host"},
	{"deno", "run,install", NULL, runs_from_network, CLASS_DANGEROUS, CATEGORY_COMMAND,
		"code-from-network", "it runs code from the network"},
};

const struct program_table dangers_of_network = PROGRAM_TABLE(rows);
