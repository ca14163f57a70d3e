/* Commands that only read, with exactly the options that are listed: what is not in the list is not
 * known-safe, so an option that some version adds later changes nothing. Long options are compared
 * whole, since an abbreviation may mean one that is not here. */
#include "gate/classify_internal.h"

#include "base/path.h"

/* Operands that a row allows. */
enum { ANY_NUMBER = 255 };

static bool words_have_no_substitution(const struct command *command)
{
	/* Array subscripts are arithmetic, and arithmetic runs what stands in $( ): also where test
	 * -v, printf -v, read or unset are given the name as a plain string. */
	for (size_t i = 1; i < command->part->argv.count; i++) {
		const char *word = command->part->argv.items[i];
		if (strchr(word, '[') && (strchr(word, '`') || strstr(word, "$(")))
			return false;
	}
	return true;
}

static bool printf_is_safe(const struct command *command)
{
	const struct strv *argv = &command->part->argv;
	bool format_known = argv->count > 1 && command->part->word_known[1];
	/* -v assigns to any variable. */
	return format_known && argv->items[1][0] != '-' && words_have_no_substitution(command);
}

static bool date_is_safe(const struct command *command)
{
	bool known = true;
	const char *first = operand(command, 0, &known);
	return !first || (known && first[0] == '+');
}

static bool find_is_safe(const struct command *command)
{
	/* -exec's command is a part of its own, so the word itself is harmless here. */
	static const char tests[] =
		"-H,-L,-P,-O0,-O1,-O2,-O3,-D,-a,-and,-o,-or,-not,-true,-false,-name,-iname,-path,"
		"-ipath,-wholename,-iwholename,-regex,-iregex,-regextype,-type,-xtype,-size,-empty,"
		"-maxdepth,-mindepth,-depth,-d,-mount,-xdev,-prune,-print,-print0,-printf,-ls,"
		"-quit,"
		"-newer,-anewer,-cnewer,-newermt,-mtime,-atime,-ctime,-mmin,-amin,-cmin,-used,"
		"-perm,"
		"-user,-group,-uid,-gid,-nouser,-nogroup,-links,-inum,-samefile,-lname,-ilname,"
		"-readable,-writable,-executable,-daystart,-follow,-ignore_readdir_race,-noleaf,"
		"-fstype,-exec,-execdir,-context,-nowarn,-warn,-files0-from,-E,-X,-s,-x,-f";
	const struct gate_part *part = command->part;
	for (size_t i = 1; i < part->argv.count; i++) {
		const char *word = part->argv.items[i];
		if (strcmp(word, "-exec") == 0 || strcmp(word, "-execdir") == 0) {
			/* Up to its end the words are the inner command's. */
			while (i + 1 < part->argv.count && strcmp(part->argv.items[i], ";") != 0 &&
				strcmp(part->argv.items[i], "+") != 0)
				i++;
			continue;
		}
		if (may_be_option(part, i))
			return false;
		if (word[0] == '-' && word[1] && !list_has(tests, word, strlen(word)) &&
			strspn(word + 1, "0123456789") != strlen(word + 1))
			return false;
	}
	return true;
}

static bool sed_is_safe(const struct command *command)
{
	bool sandbox = has_options(command, "sandbox"), scripts = false;
	struct option_walk walk = option_walk_begin(command);
	for (struct option option; option_walk_next(&walk, &option);) {
		bool e = option.is_option && option.value &&
			 list_has("e,expression", option.name, option.name_bytes);
		if (e && !(option.known && (sandbox || sed_script_is_safe(option.value))))
			return false;
		scripts = scripts || e;
	}
	bool known = false;
	const char *script = scripts ? NULL : operand(command, 0, &known);
	return scripts || (script && known && (sandbox || sed_script_is_safe(script)));
}

static bool command_is_safe(const struct command *command)
{
	return has_options(command, "v,V");
}

static const struct safe {
	const char *programs;
	const char *options; /* "*": whatever options there are */
	unsigned char operands_max;
	bool (*holds)(const struct command *command);
} safe[] = {
	{"true,false,:,pwd,whoami,id,groups,logname,users,who,w,uptime,uname,arch,nproc,tty,free,"
	 "ps,"
	 "pgrep,pidof,pstree,lscpu,lsblk,lsmem,lspci,lsusb,getconf,locale,cal,ncal,df,sleep,seq,"
	 "factor,expr,numfmt,tsort",
		"*", ANY_NUMBER, NULL},
	{"echo,cat,tac,head,tail,nl,rev,cut,tr,fold,fmt,expand,unexpand,paste,join,comm,cmp,od,"
	 "hexdump,hd,strings,cksum,sum,md5sum,sha1sum,sha224sum,sha256sum,sha384sum,sha512sum,"
	 "b2sum,base64,base32,basenc,wc,pr,column,diff,jq,readelf,c++filt",
		"*", ANY_NUMBER, NULL},
	{"ls,dir,vdir,stat,du,basename,dirname,realpath,readlink,which,whereis,type,grep,egrep,"
	 "fgrep,printenv,pathchk",
		"*", ANY_NUMBER, NULL},
	{"test,[,[[,unset,return,exit,break,continue,shift,cd,pushd,popd,dirs,wait,times,jobs,"
	 "getopts,"
	 "read,let,((",
		"*", ANY_NUMBER, words_have_no_substitution},
	{"set,export,local,readonly,declare,typeset", "*", ANY_NUMBER, words_have_no_substitution},
	{"printf", "*", ANY_NUMBER, printf_is_safe},
	{"command", "v V p", ANY_NUMBER, command_is_safe},
	{"hostname",
		"f,fqdn,long s,short i,ip-address I,all-ip-addresses d,domain A,all-fqdns y,yp,nis",
		0, NULL},
	{"date",
		"d,date= u,utc,universal I,iso-8601? R,rfc-email,rfc-822 rfc-3339= r,reference= "
		"f,file= debug",
		1, date_is_safe},
	{"sort",
		"b,ignore-leading-blanks d,dictionary-order f,ignore-case g,general-numeric-sort "
		"i,ignore-nonprinting M,month-sort h,human-numeric-sort n,numeric-sort "
		"R,random-sort r,reverse sort= V,version-sort c,check? C m,merge s,stable "
		"k,key= t,field-separator= u,unique z,zero-terminated S,buffer-size= parallel= "
		"files0-from= debug",
		ANY_NUMBER, NULL},
	{"uniq",
		"c,count d,repeated D all-repeated? f,skip-fields= group? i,ignore-case "
		"s,skip-chars= u,unique w,check-chars= z,zero-terminated",
		1, NULL},
	{"file",
		"b,brief i,mime mime-type mime-encoding L,dereference h,no-dereference k,"
		"keep-going "
		"r,raw s,special-files N,no-pad 0,print0 e,exclude= F,separator= l,list v,version "
		"apple extension f,files-from=",
		ANY_NUMBER, NULL},
	{"tree",
		"a d f i l L= P= I= p s h u g D F q N Q r t c U v A S n C x J X dirsfirst noreport "
		"gitignore prune filelimit= matchdirs ignore-case charset= du inodes device si "
		"timefmt= fromfile",
		ANY_NUMBER, NULL},
	{"xxd", "a b C c= E e g= i l= p s= u", 1, NULL},
	{"rg",
		"A,after-context= B,before-context= C,context= b,byte-offset s,case-sensitive "
		"color= colors= column c,count count-matches E,encoding= engine= e,regexp= "
		"f,file= l,files-with-matches files-without-match F,fixed-strings L,follow g,glob= "
		"iglob= glob-case-insensitive heading no-heading H,with-filename I,no-filename "
		".,hidden no-hidden i,ignore-case ignore-file= v,invert-match json "
		"n,line-number N,no-line-number x,line-regexp M,max-columns= m,max-count= d,"
		"max-depth= "
		"max-filesize= U,multiline multiline-dotall no-config no-ignore no-ignore-vcs "
		"no-messages q,quiet P,pcre2 p,pretty passthru r,replace= sort= sortr= stats "
		"S,smart-case a,text j,threads= trim t,type= T,type-not= type-list u,unrestricted "
		"vimgrep w,word-regexp 0,null o,only-matching files version V",
		ANY_NUMBER, NULL},
	{"fd,fdfind",
		"H,hidden I,no-ignore u,unrestricted s,case-sensitive i,ignore-case g,glob "
		"F,fixed-strings a,absolute-path L,follow p,full-path d,max-depth= min-depth= "
		"exact-depth= t,type= e,extension= E,exclude= c,color= 0,print0 1 q,quiet "
		"j,threads= S,size= changed-within= changed-before= o,owner= base-directory=",
		ANY_NUMBER, NULL},
	{"find", NULL, ANY_NUMBER, find_is_safe},
	{"sed",
		"n,quiet,silent E,r,regexp-extended e,expression= s,separate u,unbuffered "
		"z,null-data posix sandbox l,line-length= debug",
		ANY_NUMBER, sed_is_safe},
	{"git", NULL, ANY_NUMBER, git_is_safe},
};

const struct program_table safe_table = PROGRAM_TABLE(safe);

/* Programs of which exactly `NAME --version` (or the like) is known-safe. */
static const char versioned[] =
	"node,npm,npx,yarn,pnpm,bun,deno,python,python3,pip,pip3,uv,cargo,rustc,rustup,go,gcc,"
	"g++,cc,"
	"clang,make,cmake,ninja,meson,java,javac,mvn,gradle,ruby,gem,bundle,perl,php,composer,"
	"docker,"
	"podman,kubectl,helm,terraform,aws,gcloud,gh,bash,sh,zsh,dash,fish,curl,wget,jq,tmux,vim,"
	"tsc,"
	"eslint,prettier,pytest,ruff,mypy,black,sqlite3,psql,mysql,redis-cli,openssl,ssh,rsync,tar";

static bool asks_for_the_version(const struct command *command)
{
	const struct gate_part *part = command->part;
	if (part->argv.count != 2 || !part->word_known[1])
		return false;
	const char *word = part->argv.items[1];
	size_t length = strlen(command->program);
	if (list_has("--version,--help,-V,-version", word, strlen(word)))
		return list_has(versioned, command->program, length);
	return strcmp(word, "version") == 0 &&
	       list_has("go,docker,helm,terraform", command->program, length);
}

/* Whether every option is in the row's list and every word that matters is known. */
static bool fits(const struct command *command, const struct safe *row)
{
	if (row->holds && !row->holds(command))
		return false;
	if (!row->options || strcmp(row->options, "*") == 0)
		return true;
	struct command parsed = *command;
	parsed.with_arguments = row->options;
	unsigned operands = 0;
	struct option_walk walk = option_walk_begin(&parsed);
	for (struct option option; option_walk_next(&walk, &option);) {
		char suffix;
		if (may_be_option(command->part, option.at))
			return false;
		if (!option.is_option) {
			if (++operands > row->operands_max && row->operands_max != ANY_NUMBER)
				return false;
		} else if (option.is_long && option.name_bytes == 1) {
			return false;
		} else if (!spec_find(
				   row->options, option.name, option.name_bytes, false, &suffix) &&
			   (option.is_long || option.name[0] < '0' || option.name[0] > '9')) {
			return false;
		}
	}
	return true;
}

static const char wrappers[] =
	"env,nice,ionice,timeout,time,stdbuf,command,exec,builtin,xargs,chrt,"
	"taskset,setarch,caffeinate,eval,source,.,if,while,trap";

bool is_wrapper(const char *program)
{
	return list_has(wrappers, program, strlen(program));
}

bool is_shell(const char *program)
{
	return list_has(
		"sh,bash,dash,zsh,ksh,mksh,ash,rbash,fish,busybox", program, strlen(program));
}

/* Wrappers that write or read a file themselves if they are told to: by options before their
 * command. */
static bool has_a_file_of_its_own(const struct command *command)
{
	static const struct {
		const char *program, *option;
	} files[] = {{"time", "output"}, {"xargs", "arg-file"}};
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		if (strcmp(command->program, files[i].program) != 0)
			continue;
		const char *name = files[i].option;
		struct option_walk walk = option_walk_begin(command);
		for (struct option option; option_walk_next(&walk, &option) && option.is_option;)
			if (strncmp(option.name, name, option.name_bytes) == 0)
				return true;
	}
	return false;
}

/* Whether this part only starts others that are parts of their own, just behind it. */
static bool is_transparent(const struct command *command)
{
	const struct gate_part *part = command->part;
	if (!is_wrapper(command->program) && !is_shell(command->program))
		return false;
	if (part->reads_stdin_script || part->code || has_a_file_of_its_own(command))
		return false;
	/* A shell whose script was taken apart has nothing but its parts. */
	size_t next = command->index + 1;
	return is_shell(command->program) ||
	       (next < command->analysis->count &&
		       command->analysis->parts[next].depth > part->depth);
}

bool is_safe(const struct command *command)
{
	const struct gate_part *part = command->part;
	if (part->kind == PART_FUNCTION)
		return true;
	if (part->argv.count == 0)
		return true; /* assignments and redirections, which are judged by themselves */
	if (command->foreign || !part->word_known[0])
		return false;
	if (is_transparent(command))
		return true;
	if (asks_for_the_version(command))
		return true;
	const struct safe *row = program_row(command, TABLE_SAFE);
	return row && fits(command, row);
}
