/* Theory of operation: a part is looked up by the name of its program in the tables of
 * classify_*.c. Every row that fits is weighed, and the gravest is told; among equals, the first. A
 * part against which nothing is known is safe if it is in the list of what only reads, else
 * ordinary. The class never gets lower because of what else stands there. */
#include "gate/classify_internal.h"

#include "base/path.h"
#include "gate/words.h"

/* Options that take an argument: without them an argument would be taken for an operand. */
static const struct argument_row {
	const char *programs, *options;
} arguments[] = {
	{"git", "C= c= git-dir= work-tree= namespace= super-prefix= config-env= exec-path? o= m= "
		"message="},
	{"curl", "A= b= c= C= d= D= e= E= F= h= H= K= m= o= P= Q= r= t= T= u= U= w= x= X= Y= y= z= "
		 "abstract-unix-socket= cacert= capath= cert= cert-type= ciphers= config= "
		 "connect-timeout= connect-to= cookie= cookie-jar= data= data-ascii= data-binary= "
		 "data-raw= data-urlencode= dump-header= form= form-string= ftp-port= header= "
		 "interface= "
		 "json= key= limit-rate= max-filesize= max-redirs= max-time= netrc-file= noproxy= "
		 "output= "
		 "output-dir= pass= pinnedpubkey= proxy= proxy-user= proto= quote= range= rate= "
		 "referer= "
		 "request= request-target= resolve= retry= retry-delay= retry-max-time= socks5= "
		 "socks5-hostname= stderr= time-cond= tls-max= trace= trace-ascii= unix-socket= "
		 "upload-file= url= url-query= user= user-agent= write-out= variable="},
	{"wget", "O= o= a= e= P= U= T= t= w= i= A= R= D= l= B= Q= output-document= output-file= "
		 "append-output= execute= directory-prefix= user-agent= timeout= tries= wait= "
		 "input-file= accept= reject= domains= level= base= quota= header= post-data= "
		 "post-file= "
		 "body-data= body-file= method= user= password= load-cookies= save-cookies= "
		 "use-askpass= "
		 "ca-certificate= certificate= private-key= limit-rate= referer= rejected-log="},
	{"nc,ncat,netcat,nc.openbsd,nc.traditional",
		"e= c= g= G= i= I= m= M= o= O= p= q= s= T= V= w= x= X= exec= sh-exec= lua-exec= "
		"proxy= source= source-port= ssl-cert= ssl-key= wait= idle-timeout= output="},
	{"ssh", "B= b= c= D= E= e= F= I= i= J= L= l= m= O= o= P= p= Q= R= S= W= w="},
	{"scp,sftp", "B= b= c= D= F= i= J= l= o= P= R= S= s= X="},
	{"rsync",
		"e= B= T= M= f= rsh= rsync-path= exclude= include= exclude-from= include-from= "
		"files-from= filter= bwlimit= temp-dir= partial-dir= backup-dir= suffix= timeout= "
		"port= password-file= log-file= out-format= max-size= min-size= chmod= chown= "
		"compare-dest= copy-dest= link-dest= compress-level= info= debug="},
	{"tar,bsdtar",
		"f= C= b= K= N= T= X= I= F= L= V= H= g= file= directory= exclude= files-from= "
		"exclude-from= use-compress-program= to-command= checkpoint-action= transform= "
		"xform= "
		"strip-components= info-script= new-volume-script= rsh-command= rmt-command= "
		"owner= "
		"group= mode= mtime= format= warning="},
	{"sed", "e= f= l= expression= file= line-length= i? in-place?"},
	{"grep,egrep,fgrep,zgrep,rg,ag,ack",
		"e= f= A= B= C= m= D= d= g= t= T= r= j= M= regexp= file= after-context= "
		"before-context= "
		"context= max-count= include= exclude= include-dir= exclude-dir= exclude-from= "
		"color? "
		"glob= type= type-not= replace= threads= max-columns= pre= pre-glob= hostname-bin= "
		"iglob= sort= sortr= max-depth= encoding= engine= pager= label= binary-files="},
	{"awk,gawk,mawk,nawk",
		"F= v= f= E= i= l= e= field-separator= assign= file= source= include="},
	{"jq", "f= from-file= L= indent="},
	{"sort,shuf", "o= k= t= S= T= n= i= output= key= field-separator= buffer-size= "
		      "temporary-directory= compress-program= parallel= batch-size= files0-from= "
		      "random-source= head-count="},
	{"cp,mv,ln,install", "t= S= m= o= g= target-directory= suffix= mode= owner= group="},
	{"touch", "d= r= t= date= reference= time="},
	{"mkdir,mkfifo,mknod", "m= mode="},
	{"truncate", "s= r= size= reference="},
	{"fallocate", "l= o= length= offset="},
	{"shred", "n= s= iterations= size= random-source="},
	{"head,tail", "n= c= s= lines= bytes= pid= sleep-interval= max-unchanged-stats="},
	{"cut", "b= c= d= f= bytes= characters= delimiter= fields= output-delimiter="},
	{"chmod,chown,chgrp", "reference= from="},
	{"gcc,g++,cc,c++,clang,clang++,ld,as",
		"o= I= L= l= D= U= x= T= e= u= z= include= isystem="},
	{"gpg,gpg2", "o= r= u= output= recipient= local-user= homedir= passphrase-file="},
	{"unzip", "d= x= P="},
	{"kill", "s= n= signal="},
	{"tmux", "f= L= S= c= T="},
	{"screen", "c= e= h= p= r? s= S= t= T= x?"},
	{"strace,ltrace", "a= b= e= E= I= o= O= p= P= s= S= u= U= X= attach="},
	{"gdb", "p= pid= ex= eval-command= x= command= s= e= c="},
	{"journalctl", "n= o= p= t= u= g= S= U= D= b? lines= output= unit= since= until= "
		       "vacuum-size= vacuum-time= vacuum-files="},
	{"npm,pnpm,yarn,bun",
		"C= w= prefix= registry= workspace= tag= otp= cwd= dir= filter= script-shell= "
		"loglevel= cache="},
	{"npx,bunx,pnpx", "p= c= package= call="},
	{"pip,pip3", "r= c= e= i= f= t= d= index-url= extra-index-url= find-links= trusted-host= "
		     "target= "
		     "dest= prefix= root= requirement= constraint= editable= proxy= cert= timeout= "
		     "cache-dir= python= config-settings= platform= log="},
	{"uv", "p= i= f= index-url= extra-index-url= index= default-index= find-links= python= "
	       "directory= "
	       "project= extra= group= with= from="},
	{"cargo", "p= j= Z= F= C= package= bin= example= test= bench= features= target= "
		  "target-dir= manifest-path= config= git= branch= tag= rev= registry= index= "
		  "version= "
		  "vers= root= path= profile= jobs= color="},
	{"docker,podman,nerdctl",
		"H= c= l= v= p= e= u= w= m= f= t= a= h= name= volume= mount= network= net= pid= "
		"ipc= "
		"userns= uts= cap-add= cap-drop= device= security-opt= env= env-file= publish= "
		"user= "
		"workdir= entrypoint= file= tag= platform= context= host= config= label= hostname= "
		"memory= cpus= restart= tmpfs= add-host= build-arg= target= project-name="},
	{"kubectl,oc",
		"n= f= l= o= c= k= s= namespace= context= kubeconfig= cluster= user= filename= "
		"selector= output= container= as= server= token= replicas="},
	{"helm", "n= f= namespace= kube-context= kubeconfig= values= set= version="},
	{"aws", "profile= region= output= query= endpoint-url= ca-bundle= color="},
	{"gcloud", "project= account= configuration= format= zone= region="},
	{"gh", "R= repo= X= F= f= H= q= t= method= field= raw-field= header= input= jq= title= "
	       "body= "
	       "hostname="},
	{"terraform,tofu", "chdir= var= var-file= target= state= out="},
	{"ansible,ansible-playbook", "i= m= a= u= inventory="},
	{"psql", "c= d= f= h= p= U= v= o= command= dbname= file= host= port= username= set="},
	{"mysql,mariadb", "e= h= D= execute= host= database="},
	{"systemctl",
		"H= M= n= o= p= t= s= host= machine= lines= output= property= type= state= root="},
	{"crontab", "u="},
	{"date", "d= r= s= f= date= reference= set= file= rfc-3339="},
	{"make", "C= f= I= o= W= directory= file= makefile="},
	{"su,runuser", "c= s= g= G= command= shell="},
	{"time", "f= o= format= output="},
	{"xargs", "a= d= E= I= L= n= P= s= arg-file= delimiter= max-args= max-chars= max-procs="},
	{"python,python3,node,perl,ruby,php", "c= e= m= W= X= r= p= eval= require= print="},
};

const struct program_table argument_table = PROGRAM_TABLE(arguments);

const char *options_with_arguments(const char *program)
{
	const struct command command = {.program = program, .rows = program_rows(program)};
	const struct argument_row *row = program_row(&command, TABLE_ARGUMENTS);
	return row ? row->options : NULL;
}

void classification_raise(struct classification *ret, enum command_class class,
	enum approval_category category, const char *id, const char *reason)
{
	/* Among equals a write outside gives way: it is what a box holds best. */
	bool tells_more = class == ret->class && ret->category == CATEGORY_WRITE_OUTSIDE &&
			  category != CATEGORY_WRITE_OUTSIDE;
	if (class > ret->class || tells_more)
		*ret = (struct classification){class, category, id, reason};
}

/* A name in which something looks like a letter and is none, or is not seen at all. */
static bool is_disguised(const char *name)
{
	for (const unsigned char *s = (const unsigned char *)name; *s; s++)
		if (*s >= 0x80 || *s < 0x20 || *s == 0x7f)
			return true;
	return false;
}

/* Modules that are programs: python -m pip is pip. */
static bool is_module_run(const struct gate_part *part, const char *program)
{
	static const char modules[] = "pip,twine,uv,poetry,flit,build,pipx,hatch,pdm";
	return strncmp(program, "python", 6) == 0 && part->argv.count > 2 && part->word_known[1] &&
	       strcmp(part->argv.items[1], "-m") == 0 && part->word_known[2] &&
	       list_has(modules, part->argv.items[2], strlen(part->argv.items[2]));
}

static void classify_rows(const struct command *command, struct classification *ret)
{
	for (int table = TABLE_DANGERS_OF_FILES; table <= TABLE_DANGERS_OF_SERVICES; table++) {
		struct program_rows rows = command->rows;
		for (const struct danger *row;
			(row = program_rows_next(&rows, (enum program_table_id)table));)
			if (row->class >= ret->class &&
				(!row->words || has_words(command, row->words)) &&
				(!row->options || has_options(command, row->options)) &&
				(!row->holds || row->holds(command)))
				classification_raise(
					ret, row->class, row->category, row->id, row->reason);
	}
}

static void classify_name(const struct command *command, struct classification *ret)
{
	const struct gate_part *part = command->part;
	if (part->undecidable)
		classification_raise(ret, CLASS_UNDECIDABLE, CATEGORY_COMMAND, "undecidable",
			part->why_undecidable ? part->why_undecidable
					      : "it cannot be known what would run");
	if (part->argv.count > 0 && part->word_known[0] && is_disguised(command->program))
		classification_raise(ret, CLASS_DANGEROUS, CATEGORY_COMMAND, "disguised-name",
			"its name has characters that look like others or are not seen");
}

/* The part whose words are a module's: those behind -m. Borrowed from part. */
static struct gate_part without_interpreter(const struct gate_part *part)
{
	struct gate_part inner = *part;
	inner.argv.items += 2;
	inner.argv.count -= 2;
	inner.word_known += 2;
	return inner;
}

static const char *known_program(const struct gate_part *part)
{
	if (part->argv.count == 0 || !part->word_known[0])
		return "";
	return path_name(part->argv.items[0]);
}

static void classify_command(const struct command *command, struct classification *ret)
{
	classify_variables(command, ret);
	classify_pipes(command, ret);
	classify_rows(command, ret);
	classify_deletion(command, ret);
	classify_reads(command, ret);
	classify_writes(command, ret);
	classify_name(command, ret); /* last: a table says more than that it cannot be known */
}

void classify_part(const struct analysis *analysis, size_t index,
	const struct classify_context *context, struct classification *ret)
{
	const struct gate_part *part = &analysis->parts[index];
	struct places_walk own = {0};
	const struct places *places = context->places;
	if (!places)
		places = places_walk_to(&own, analysis, index, context);
	struct command command = {.analysis = analysis,
		.index = index,
		.part = part,
		.context = context,
		.places = places,
		.program = known_program(part)};
	struct gate_part inner;
	if (is_module_run(part, command.program)) {
		inner = without_interpreter(part);
		command.part = &inner;
		command.program = inner.argv.items[0];
	}
	command.foreign = part->argv.count > 0 && word_is_foreign(part->argv.items[0]);
	command.rows = program_rows(command.program);
	const struct argument_row *takes = program_row(&command, TABLE_ARGUMENTS);
	command.with_arguments = takes ? takes->options : NULL;

	*ret = (struct classification){CLASS_SAFE, CATEGORY_COMMAND, "safe", "it only reads"};
	classify_command(&command, ret);
	if (ret->class == CLASS_SAFE && !is_safe(&command))
		*ret = (struct classification){CLASS_ORDINARY, CATEGORY_COMMAND, "ordinary",
			"it is not known to only read"};
	bool wraps = index + 1 < analysis->count && analysis->parts[index + 1].depth > part->depth;
	if (ret->class == CLASS_SAFE && wraps)
		ret->reason = "what it runs is decided about by itself";
	if (ret->class == CLASS_ORDINARY && uses_network(&command))
		*ret = (struct classification){
			CLASS_ORDINARY, CATEGORY_NETWORK, "uses-network", "it speaks to a network"};
	places_walk_release(&own);
}
