/* The prefix that "always" would write: the program and what says which of its uses this is, never
 * so wide that it would allow something else. None for what is dangerous or cannot be decided, for
 * interpreters and shells with code, for wrappers, for programs whose words alone say nothing. */
#include "base/cleanup.h"
#include "base/path.h"
#include "gate/decide_internal.h"
#include "gate/words.h"

#include <stdint.h>
#include <string.h>

/* Programs whose leading operands say which use it is: how many of them. */
static const struct {
	const char *programs;
	unsigned words;
} uses[] = {
	{"git,npm,pnpm,yarn,bun,cargo,go,docker,podman,kubectl,helm,terraform,tofu,pip,pip3,gem,"
	 "bundle,composer,mvn,gradle,gradlew,dotnet,poetry,pdm,hatch,make,just,task,ninja,meson,"
	 "cmake,apt,apt-get,brew,systemctl,mix,rails,rake,deno,conda,flutter,dart,swift,stack,"
	 "cabal,zig,nix,pre-commit,turbo,nx,lerna,prisma,alembic,tox,nox,invoke,ansible-galaxy",
		1},
	{"aws,gcloud,az,gh,glab,doctl,fly,flyctl,heroku,uv", 2},
	{"npx,bunx,uvx,pipx", 1},
};

/* Leading words that are themselves ways to run something: they say nothing without the next. */
static const char carriers[] = "run,exec,x,dlx,tool,compose,script,run-script";

/* Programs of which no prefix is narrow: what they do is all in their other words. */
static const char unbounded[] =
	"sh,bash,dash,zsh,ksh,fish,python,python3,node,deno,perl,ruby,php,lua,env,sudo,doas,su,"
	"xargs,"
	"find,eval,exec,command,builtin,source,.,time,timeout,nice,nohup,setsid,stdbuf,ssh,awk,"
	"gawk,"
	"sed,tee,curl,wget,nc,ncat,socat,busybox,toybox,parallel,watch,script,rm,mv,cp,dd,chmod,"
	"chown,ln,install,export,set,cd,declare,tar,rsync,scp,vim,vi,emacs,ed,gdb,strace,crontab,"
	"at,"
	"flock,chroot,unshare,nsenter,systemd-run,osascript,tclsh,expect,ts-node,tsx,julia,pwsh,"
	"java,groovy,scala,elixir,erl,guile,racket,sbcl,raku,runghc,luajit,pypy,pypy3,irb,ipython";

static bool is_plain(const char *word)
{
	return word[0] != '-' && word[0] != '\0' && !strpbrk(word, " \t\n'\"$`\\;&|<>(){}*?[]=~");
}

static unsigned words_of_use(const char *program)
{
	for (size_t i = 0; i < ARRAY_SIZE(uses); i++)
		for (const char *s = uses[i].programs; *s;
			s += strcspn(s, ",") + (s[strcspn(s, ",")] == ','))
			if (strcspn(s, ",") == strlen(program) &&
				strncmp(s, program, strlen(program)) == 0)
				return uses[i].words;
	return 0;
}

static bool list_contains(const char *list, const char *word)
{
	size_t length = strlen(word);
	for (const char *s = list; *s; s += strcspn(s, ",") + (s[strcspn(s, ",")] == ','))
		if (strcspn(s, ",") == length && strncmp(s, word, length) == 0)
			return true;
	return false;
}

/* Modules that run what they are given. */
static const char runs_others[] =
	"pip,code,pdb,timeit,runpy,http.server,cProfile,profile,trace,bdb,asyncio,coverage,IPython,"
	"ipdb,debugpy,doctest,ensurepip,memory_profiler,pyinstrument,scalene,viztracer";

/* python -m NAME is as narrow as NAME. */
static bool is_module_run(const struct gate_part *part, const char *program)
{
	return strncmp(program, "python", 6) == 0 && part->argv.count > 2 && part->word_known[2] &&
	       strcmp(part->argv.items[1], "-m") == 0 && is_plain(part->argv.items[2]) &&
	       !list_contains(runs_others, part->argv.items[2]);
}

/* How many words of the part make a prefix; 0: none does. */
static size_t prefix_words(const struct gate_part *part)
{
	const char *first = part->argv.items[0];
	const char *program = path_name(first);
	if (is_module_run(part, program))
		return 3;
	if (part->language || list_contains(unbounded, program) || !is_plain(first))
		return 0;
	unsigned wanted = words_of_use(program);
	size_t count = 1;
	while (count < part->argv.count && wanted > 0) {
		const char *word = part->argv.items[count];
		/* An option before the use could be anything: git -c, npm --prefix. */
		if (!part->word_known[count] || !is_plain(word))
			return 0;
		wanted += list_contains(carriers, word) && wanted == 1;
		wanted--;
		count++;
	}
	if (wanted > 0)
		return 0;
	/* A script of the workspace, by whatever path, changes with it: all its words, then. */
	while (word_is_foreign(first) && count < part->argv.count) {
		if (!part->word_known[count])
			return 0;
		count++;
	}
	return count;
}

static bool may_be_allowed(const struct part_knowledge *known, const struct gate_part *part)
{
	return part->kind == PART_COMMAND && part->argv.count > 0 && part->word_known[0] &&
	       !part->undecidable && !part->as_other_user && !part->code &&
	       known->class.class <= CLASS_ORDINARY && part->assignments.count == 0;
}

int decision_prefix(struct gate_decision *decision, const struct decider *d)
{
	const struct gate_part *asks = NULL;
	for (size_t i = 0; i < d->analysis->count; i++) {
		const struct gate_part *part = &d->analysis->parts[i];
		bool wanted = decision->parts[i].verdict != VERDICT_ALLOW ||
			      (d->request->asks_count > 0 && d->known[i].class.class != CLASS_SAFE);
		if (!wanted)
			continue;
		/* One rule is one prefix. */
		if (asks || !may_be_allowed(&d->known[i], part))
			return 0;
		asks = part;
	}
	if (!asks || d->analysis->syntax.errno_value || d->analysis->incomplete)
		return 0;
	size_t count = prefix_words(asks);
	int r = 0;
	for (size_t i = 0; r == 0 && i < count; i++)
		r = strv_add(&decision->rule_prefix, asks->argv.items[i]);
	return r;
}
