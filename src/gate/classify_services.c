/* What others see or lose: packages that are published, clouds, clusters, databases; and packages
 * that come from where nobody vouches for them. */
#include "gate/classify_internal.h"

#include <strings.h>

/* An operand that is a place instead of a package's name. */
static bool installs_from_place(const struct command *command)
{
	static const char *const prefixes[] = {"git+", "git:", "git@", "http:", "https:", "ssh:",
		"ftp:", "github:", "gitlab:", "bitbucket:", "gist:", "hg+", "svn+", "bzr+"};
	struct option_walk walk = option_walk_begin(command);
	for (struct option option; option_walk_next(&walk, &option);) {
		if (option.is_option)
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
			if (strncmp(option.name, prefixes[i], strlen(prefixes[i])) == 0 ||
				strstr(option.name, " @ ") || strstr(option.name, "@git+") ||
				strstr(option.name, "@http"))
				return true;
	}
	return false;
}

/* Words of SQL after which something is gone. */
static bool drops(const char *text)
{
	static const char *const words[] = {"drop table", "drop database", "drop schema",
		"drop view", "drop index", "drop user", "drop role", "drop owned", "drop column",
		"truncate", "dropdatabase", "flushall", "flushdb", "deletemany({})", ".drop("};
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcasestr(text, words[i]))
			return true;
	const char *deletes = strcasestr(text, "delete from");
	return deletes && !strcasestr(deletes, "where");
}

/* SQL that starts programs or reads files of the server. */
static bool leaves_database(const char *text)
{
	static const char *const words[] = {"copy", "\\!", ".shell", ".system", "load_file",
		"into outfile", "pg_read_file", "lo_import", "xp_cmdshell", "system("};
	static const char *const needs[] = {"program", "", "", "", "", "", "", "", "", ""};
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		const char *found = strcasestr(text, words[i]);
		if (found && strcasestr(found, needs[i]))
			return true;
	}
	return false;
}

static bool any_word(const struct command *command, bool (*test)(const char *text))
{
	for (size_t i = 1; i < command->part->argv.count; i++)
		if (test(command->part->argv.items[i]))
			return true;
	return false;
}

static bool sql_drops(const struct command *command)
{
	return any_word(command, drops);
}

static bool sql_leaves(const struct command *command)
{
	return any_word(command, leaves_database);
}

/* "delete-stack", "terminate-instances", "delete": a leading operand of a cloud's command. */
static bool cloud_deletes(const struct command *command)
{
	static const char *const words[] = {
		"delete", "terminate", "destroy", "purge", "remove", "deregister", "wipe"};
	for (size_t n = 0; n < 6; n++) {
		const char *word = operand(command, n, NULL);
		for (size_t i = 0; word && i < ARRAY_SIZE(words); i++)
			if (strncmp(word, words[i], strlen(words[i])) == 0)
				return true;
		const char *colon = word ? strchr(word, ':') : NULL;
		if (colon &&
			(strncmp(colon, ":destroy", 8) == 0 || strncmp(colon, ":delete", 7) == 0 ||
				strcmp(colon, ":reset") == 0))
			return true;
	}
	return false;
}

static bool mounts_the_host(const struct command *command)
{
	struct option_walk walk = option_walk_begin(command);
	for (struct option option; option_walk_next(&walk, &option);) {
		if (!option.is_option || !option.value)
			continue;
		if (strncmp(option.value, "/:", 2) == 0 || strstr(option.value, "docker.sock") ||
			strstr(option.value, "source=/,") ||
			strncmp(option.value, "/etc", 4) == 0 ||
			strncmp(option.value, "/root", 5) == 0 || strcmp(option.value, "host") == 0)
			return true;
	}
	return false;
}

static bool drops_task(const struct command *command)
{
	static const char *const tasks[] = {"db:drop", "db:reset", "db:purge", "migrate:fresh",
		"migrate:reset", "flush", "reset_db", "db:wipe", "sqlflush"};
	for (size_t i = 1; i < command->part->argv.count; i++)
		for (size_t k = 0; k < ARRAY_SIZE(tasks); k++)
			if (strcmp(command->part->argv.items[i], tasks[k]) == 0)
				return true;
	return false;
}

#define PUBLISHES CLASS_DANGEROUS, CATEGORY_NETWORK
#define LOSES CLASS_DANGEROUS, CATEGORY_DELETE
#define RUNS CLASS_DANGEROUS, CATEGORY_COMMAND
#define PUBLISH "publish", "it publishes a package to the world"
#define ELSEWHERE "package-from-elsewhere", "it installs code from where nobody vouches for it"
#define DATABASES                                                                                  \
	"psql,mysql,mariadb,sqlite3,sqlcmd,sqlplus,duckdb,clickhouse-client,cqlsh,mongo,mongosh"

static const struct danger rows[] = {
	{"npm,pnpm,yarn,bun,deno",
		"publish,unpublish,deprecate,dist-tag,owner,access,team,org,hook", NULL, NULL,
		PUBLISHES, PUBLISH},
	{"yarn", "npm publish,tag", NULL, NULL, PUBLISHES, PUBLISH},
	{"lerna,changeset,semantic-release,np,release-it,vsce,ovsx,jsr", NULL, NULL, NULL,
		PUBLISHES, PUBLISH},
	{"cargo", "publish,yank,owner", NULL, NULL, PUBLISHES, PUBLISH},
	{"twine", "upload,register", NULL, NULL, PUBLISHES, PUBLISH},
	{"poetry,pdm,flit,hatch,uv", "publish", NULL, NULL, PUBLISHES, PUBLISH},
	{"gem", "push,yank,owner", NULL, NULL, PUBLISHES, PUBLISH},
	{"mvn", "deploy,release:perform", NULL, NULL, PUBLISHES, PUBLISH},
	{"gradle,gradlew", "publish,publishPlugins,uploadArchives", NULL, NULL, PUBLISHES, PUBLISH},
	{"dotnet", "nuget push,delete", NULL, NULL, PUBLISHES, PUBLISH},
	{"nuget", "push,delete", NULL, NULL, PUBLISHES, PUBLISH},
	{"docker,podman,nerdctl,buildah,helm,oras,crane,skopeo", "push,copy,manifest", NULL, NULL,
		PUBLISHES, PUBLISH},
	{"docker", "image,compose,manifest push", NULL, NULL, PUBLISHES, PUBLISH},
	{"goreleaser", "release", NULL, NULL, PUBLISHES, PUBLISH},
	{"gh", "release create,edit,upload,delete", NULL, NULL, PUBLISHES, PUBLISH},
	{"gh",
		"repo,secret,ssh-key,gpg-key,workflow,variable,ruleset "
		"create,delete,edit,set,add,archive,rename,remove,run,enable,disable,sync",
		NULL, NULL, PUBLISHES, "hosting-change", "it changes what others rely on"},
	{"gh", "pr,issue merge,close,delete,transfer,lock", NULL, NULL, PUBLISHES, "hosting-change",
		"it changes what others rely on"},
	{"gh", "api", "X,method,f,F,field,raw-field,input", NULL, PUBLISHES, "hosting-change",
		"it may change anything that the login may"},
	{"vercel,netlify,wrangler,firebase,fly,flyctl,heroku,surge,serverless,sls,sam,cdk,eb,"
	 "amplify",
		"deploy,publish,prod,release,up,secrets,secret", NULL, NULL, PUBLISHES, "deploy",
		"it changes what runs for others"},
	{"kubectl",
		"apply,create,replace,patch,edit,set,rollout,scale,label,annotate,expose,run,exec,"
		"cp,port-forward,proxy,attach,debug,taint",
		NULL, NULL, PUBLISHES, "deploy", "it changes or enters what runs for others"},
	{"kubectl,oc", "delete,drain,cordon", NULL, NULL, LOSES, "cluster-delete",
		"it deletes what runs for others"},
	{"helm", "install,upgrade,rollback", NULL, NULL, PUBLISHES, "deploy",
		"it changes what runs for others"},
	{"helm", "uninstall,delete,del,un", NULL, NULL, LOSES, "cluster-delete",
		"it deletes what runs for others"},
	{"terraform,tofu,terragrunt,pulumi,cdk,ansible",
		"destroy,taint,state,workspace,force-unlock", NULL, NULL, LOSES, "infrastructure",
		"it deletes infrastructure, or what is known of it"},
	{"terraform,tofu,terragrunt", "apply,import", NULL, NULL, PUBLISHES, "infrastructure",
		"it changes infrastructure"},
	{"pulumi", "up,update,cancel,import", NULL, NULL, PUBLISHES, "infrastructure",
		"it changes infrastructure"},
	{"ansible-playbook,ansible", NULL, NULL, NULL, PUBLISHES, "infrastructure",
		"it changes other machines"},
	{"aws", "s3 rm,rb", NULL, NULL, LOSES, "cloud-delete", "it deletes data in a cloud"},
	{"aws", "s3 sync", "delete", NULL, LOSES, "cloud-delete", "it deletes data in a cloud"},
	{"gsutil", "rm,rb", NULL, NULL, LOSES, "cloud-delete", "it deletes data in a cloud"},
	{"rclone", "delete,purge,deletefile,rmdirs,sync", NULL, NULL, LOSES, "cloud-delete",
		"it deletes data in a cloud"},
	{"aws,gcloud,az,doctl,hcloud,heroku,fly,flyctl,vercel,netlify,eksctl,ibmcloud,oci,"
	 "linode-cli",
		NULL, NULL, cloud_deletes, LOSES, "cloud-delete",
		"it deletes something in a cloud"},
	{"vercel,netlify", "rm,remove", NULL, NULL, LOSES, "cloud-delete",
		"it deletes something in a cloud"},
	{"docker,podman,nerdctl", "run,create,exec,compose", NULL, mounts_the_host, RUNS,
		"container-escape", "it gives a container the host's own files or rights"},
	{"docker,podman,nerdctl", "system,volume,image,container,network,builder prune,rm,remove",
		NULL, NULL, LOSES, "container-delete",
		"it deletes containers, images or their data"},
	{"docker,podman,nerdctl", "rm,rmi,kill", "f,force,a,all,v,volumes", NULL, LOSES,
		"container-delete", "it deletes containers, images or their data"},
	{"docker,podman", "compose down", "v,volumes,rmi", NULL, LOSES, "container-delete",
		"it deletes containers with their data"},
	{"docker-compose", "down", "v,volumes,rmi", NULL, LOSES, "container-delete",
		"it deletes containers with their data"},
	{"virsh", "destroy,undefine", NULL, NULL, LOSES, "container-delete",
		"it deletes virtual machines"},
	{"dropdb,dropuser,pg_dropcluster,mysqladmin", NULL, NULL, NULL, LOSES, "database-drop",
		"it deletes a database or a login"},
	{DATABASES, NULL, NULL, sql_drops, LOSES, "database-drop", "it deletes data of a database"},
	{DATABASES, NULL, NULL, sql_leaves, RUNS, "database-program",
		"it starts a program or reads files out of a database"},
	{"redis-cli,valkey-cli", NULL, NULL, sql_drops, LOSES, "database-drop",
		"it deletes data of a database"},
	{"rails,rake,artisan,php,python,python3,django-admin,mix,bin/rails", NULL, NULL, drops_task,
		LOSES, "database-drop", "it deletes data of a database"},
	{"prisma", "migrate reset", NULL, NULL, LOSES, "database-drop",
		"it deletes data of a database"},
	{"prisma", "db push", "force-reset,accept-data-loss", NULL, LOSES, "database-drop",
		"it deletes data of a database"},
	{"pip,pip3", "install,download,wheel", NULL, installs_from_place, RUNS, ELSEWHERE},
	{"pip,pip3", "install,download,wheel",
		"i,index-url,extra-index-url,f,find-links,trusted-host,proxy,config-settings", NULL,
		RUNS, ELSEWHERE},
	{"pip,pip3", "config set,edit,unset", NULL, NULL, RUNS, "package-source",
		"it changes where packages come from"},
	{"uv", "pip,add,tool install,run", NULL, installs_from_place, RUNS, ELSEWHERE},
	{"uv", "add", NULL, installs_from_place, RUNS, ELSEWHERE},
	{"uv", "pip,add,sync", "index-url,extra-index-url,index,default-index,find-links,i,f", NULL,
		RUNS, ELSEWHERE},
	{"pipx,uvx", NULL, NULL, installs_from_place, RUNS, ELSEWHERE},
	{"npm,pnpm,yarn,bun", "install,i,add,exec,x,dlx,create,ci", NULL, installs_from_place, RUNS,
		ELSEWHERE},
	{"npm,pnpm,yarn,bun", "install,i,add,exec,x,dlx,create,ci", "registry", NULL, RUNS,
		ELSEWHERE},
	{"npx,bunx,pnpx", NULL, NULL, installs_from_place, RUNS, ELSEWHERE},
	{"npm,pnpm,yarn", "config,set set,delete,edit", NULL, NULL, RUNS, "package-source",
		"it changes where packages come from, or what npm runs"},
	{"npm,pnpm,yarn,bun", NULL, "script-shell,g,global", NULL, RUNS, "install-global",
		"it changes programs for everybody on this machine"},
	{"cargo", "install,add", "git,registry,index", NULL, RUNS, ELSEWHERE},
	{"cargo", NULL, "config", NULL, CLASS_UNDECIDABLE, CATEGORY_COMMAND, "runs-named-program",
		"a setting may name a program to run"},
	{"gem,bundle", "install,add", "s,source,git,P", NULL, RUNS, ELSEWHERE},
	{"gem,bundle", "sources,config", NULL, NULL, RUNS, "package-source",
		"it changes where packages come from"},
	{"go", "env", "w,u", NULL, RUNS, "package-source", "it changes how go builds, from now on"},
	{"go", "env", "-w,-u", NULL, RUNS, "package-source",
		"it changes how go builds, from now on"},
	{"go", NULL, "-toolexec,-exec,--toolexec,--exec", NULL, CLASS_UNDECIDABLE, CATEGORY_COMMAND,
		"runs-named-program", "it starts a program that its words name"},
	{"apt,apt-get,aptitude,dnf,yum,zypper,apk,pacman,brew,snap,flatpak,port,emerge,nix-env,"
	 "dpkg,rpm",
		"install,remove,purge,autoremove,upgrade,dist-upgrade,full-upgrade,add,del,update,"
		"erase,reinstall,tap,refresh,uninstall",
		NULL, NULL, RUNS, "system-packages", "it changes the software of this machine"},
	{"pacman,dpkg,rpm,nix-env,emerge", NULL, "i,S,R,U,r,P,e,install,remove,purge,erase", NULL,
		RUNS, "system-packages", "it changes the software of this machine"},
	{"add-apt-repository,apt-key", NULL, NULL, NULL, RUNS, "package-source",
		"it changes where software comes from"},
};

const struct program_table dangers_of_services = PROGRAM_TABLE(rows);
