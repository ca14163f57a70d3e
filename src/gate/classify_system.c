/* The machine: other users, services, the clock, the kernel, walls, traces, programs that stay. */
#include "gate/classify_internal.h"

/* Whether a signal goes to everything: a process id of -1, with or without a signal before it. */
static bool kills_everything(const struct command *command)
{
	const struct strv *argv = &command->part->argv;
	bool signal_said = false;
	for (size_t i = 1; i < argv->count; i++) {
		const char *word = argv->items[i];
		bool signal = word[0] == '-' && !signal_said && i + 1 < argv->count;
		if (strcmp(word, "--") == 0)
			signal_said = true;
		else if (strcmp(word, "-1") == 0 && !signal)
			return true;
		else if (signal)
			signal_said = true;
	}
	return false;
}

static bool sets_kernel_value(const struct command *command)
{
	struct option_walk walk = option_walk_begin(command);
	for (struct option option; option_walk_next(&walk, &option);)
		if (!option.is_option && strchr(option.name, '='))
			return true;
	return has_options(command, "w,write") || has_options(command, "p,load,system");
}

static bool lists_only(const struct command *command)
{
	return !has_options(command, "l,list,L");
}

static bool writes_cron(const struct command *command)
{
	return lists_only(command);
}

static bool detaches(const struct command *command)
{
	return has_options(command, "d");
}

static bool turns_history_off(const struct command *command)
{
	const struct strv *argv = &command->part->argv;
	for (size_t i = 1; i + 1 < argv->count; i++)
		if (strcmp(argv->items[i], "+o") == 0 && strcmp(argv->items[i + 1], "history") == 0)
			return true;
	return false;
}

static bool unsets_history(const struct command *command)
{
	const struct strv *argv = &command->part->argv;
	for (size_t i = 1; i < argv->count; i++)
		if (strncmp(argv->items[i], "HIST", 4) == 0)
			return true;
	return false;
}

static bool changes_firewall(const struct command *command)
{
	return !has_options(command, "L,list,S,list-rules") || has_options(command, "F,flush,Z");
}

static bool attaches(const struct command *command)
{
	return has_options(command, "p,pid,attach");
}

static bool asks_git_hosting_token(const struct command *command)
{
	return has_words(command, "auth token") || has_options(command, "show-token,t");
}

#define RUNS CLASS_DANGEROUS, CATEGORY_COMMAND
#define READS CLASS_DANGEROUS, CATEGORY_SECRET
#define STAYS "background-daemon", "it stays behind when the command has ended"

static const struct danger rows[] = {
	{"sudo,su,doas,pkexec,runuser,sudoedit,gosu,run0,machinectl", NULL, NULL, NULL, RUNS,
		"other-user", "it runs as another user"},
	{"passwd,chpasswd,useradd,userdel,usermod,groupadd,groupdel,groupmod,gpasswd,adduser,"
	 "deluser,addgroup,visudo,vipw,vigr,chsh,chfn,newusers,dscl,pw",
		NULL, NULL, NULL, RUNS, "accounts", "it changes who may log in"},
	{"shutdown,reboot,halt,poweroff,telinit,init,kexec", NULL, NULL, NULL, RUNS, "stop-machine",
		"it stops or restarts the machine"},
	{"systemctl", "reboot,poweroff,halt,kexec,suspend,hibernate,rescue,emergency,soft-reboot",
		NULL, NULL, RUNS, "stop-machine", "it stops or restarts the machine"},
	{"crontab", NULL, NULL, writes_cron, RUNS, "cron", "it schedules commands"},
	{"at,batch,anacron", NULL, NULL, lists_only, RUNS, "cron", "it schedules a command"},
	{"systemctl",
		"enable,link,reenable,edit,preset,set-property,daemon-reload,mask,unmask,disable,"
		"set-default,import-environment,set-environment,revert,add-wants,add-requires",
		NULL, NULL, RUNS, "service", "it changes which services run"},
	{"systemctl", "start,stop,restart,reload,kill,try-restart,isolate,reload-or-restart", NULL,
		NULL, RUNS, "service", "it starts or stops services"},
	{"service,initctl,rc-service,sv,launchctl,update-rc.d,chkconfig,rc-update,supervisorctl",
		NULL, NULL, NULL, RUNS, "service", "it changes which services run"},
	{"systemd-run,start-stop-daemon,daemonize,daemon,supervisord", NULL, NULL, NULL, RUNS,
		STAYS},
	{"loginctl", "enable-linger,kill-session,kill-user,terminate-user", NULL, NULL, RUNS,
		"service", "it changes which logins stay"},
	{"nohup,setsid,disown", NULL, NULL, NULL, RUNS, STAYS},
	{"screen", NULL, "d,D", NULL, RUNS, STAYS},
	{"tmux", NULL, NULL, detaches, RUNS, STAYS},
	{"pm2,forever", "start,startup,resurrect", NULL, NULL, RUNS, STAYS},
	{"dtach", NULL, "n", NULL, RUNS, STAYS},
	{"kill", NULL, NULL, kills_everything, RUNS, "kill-all", "it ends every process"},
	{"killall,pkill,killall5,skill,xkill", NULL, NULL, NULL, RUNS, "kill-all",
		"it ends every process that fits, whosever it is"},
	{"fuser", NULL, "k,kill", NULL, RUNS, "kill-all", "it ends every process that uses a file"},
	{"sysctl", NULL, NULL, sets_kernel_value, RUNS, "kernel",
		"it changes the kernel's settings"},
	{"insmod,modprobe,rmmod,depmod,kmod,bpftool,bpftrace,perf", NULL, NULL, NULL, RUNS,
		"kernel", "it changes or watches the kernel"},
	{"mount,umount,swapon,swapoff,losetup,pivot_root,fusermount", NULL, NULL, NULL, RUNS,
		"mount", "it changes what is mounted"},
	{"chroot,unshare,nsenter,capsh,setpriv,bwrap,firejail", NULL, NULL, NULL, RUNS,
		"namespaces", "it changes the walls around a program"},
	{"iptables,ip6tables,ebtables,arptables,iptables-restore,ip6tables-restore", NULL, NULL,
		changes_firewall, RUNS, "firewall", "it changes the firewall"},
	{"nft", "add,delete,flush,insert,replace,create,destroy", NULL, NULL, RUNS, "firewall",
		"it changes the firewall"},
	{"nft", NULL, "f,file", NULL, RUNS, "firewall", "it changes the firewall"},
	{"ufw", "disable,reset,allow,delete,default", NULL, NULL, RUNS, "firewall",
		"it changes the firewall"},
	{"firewall-cmd,pfctl", NULL, NULL, NULL, RUNS, "firewall", "it changes the firewall"},
	{"ip",
		"link,addr,address,route,rule,netns,neigh,tunnel add,del,delete,set,change,"
		"replace,flush,exec",
		NULL, NULL, RUNS, "network-settings", "it changes the network of this machine"},
	{"ifconfig,route,brctl,nmcli,hostnamectl,timedatectl,localectl,hwclock,chronyc", NULL, NULL,
		NULL, RUNS, "network-settings", "it may change settings of this machine"},
	{"date", NULL, "s,set", NULL, RUNS, "network-settings", "it sets the clock"},
	{"setenforce,aa-teardown,aa-complain,aa-disable,aa-remove-unknown,semanage,setsebool,"
	 "apparmor_parser,spctl,csrutil",
		NULL, NULL, NULL, RUNS, "weaken-security", "it weakens what protects this machine"},
	{"auditctl", NULL, "D,e", NULL, RUNS, "weaken-security",
		"it weakens what protects this machine"},
	{"update-ca-certificates,update-ca-trust,trust,certutil", NULL, NULL, NULL, RUNS,
		"certificates", "it changes which servers are trusted"},
	{"update-alternatives,dpkg-divert,ldconfig", NULL, NULL, NULL, RUNS, "loader",
		"it changes which programs or libraries are used"},
	{"xhost", NULL, NULL, NULL, RUNS, "weaken-security", "it opens the screen to others"},
	{"history", NULL, "c,d,w", NULL, RUNS, "hide-history", "it removes what was typed"},
	{"set", NULL, NULL, turns_history_off, RUNS, "hide-history", "it hides what is run"},
	{"unset", NULL, NULL, unsets_history, RUNS, "hide-history", "it hides what is run"},
	{"journalctl", NULL, "vacuum-size,vacuum-time,vacuum-files,rotate,flush", NULL, RUNS,
		"hide-history", "it removes what was logged"},
	{"enable", NULL, "f", NULL, RUNS, "shell-plugin", "it loads code into the shell"},
	{"hash", NULL, "p", NULL, CLASS_UNDECIDABLE, CATEGORY_COMMAND, "env-path",
		"names may mean other programs"},
	{"bind", NULL, "x", NULL, CLASS_UNDECIDABLE, CATEGORY_COMMAND, "runs-named-program",
		"it runs a command when a key is pressed"},
	{"complete", NULL, "C,F", NULL, CLASS_UNDECIDABLE, CATEGORY_COMMAND, "runs-named-program",
		"it runs a command for completions"},
	{"mapfile,readarray", NULL, "C", NULL, CLASS_UNDECIDABLE, CATEGORY_COMMAND,
		"runs-named-program", "it runs a command for what it reads"},
	{"gdb,strace,ltrace,gcore,reptyr", NULL, NULL, attaches, READS, "attach",
		"it looks into a running process"},
	{"gpg,gpg2", NULL, "export-secret-keys,export-secret-subkeys", NULL, READS, "read-secret",
		"it reads private keys"},
	{"secret-tool", "lookup,search", NULL, NULL, READS, "read-secret", "it reads the keyring"},
	{"security", "find-generic-password,find-internet-password,dump-keychain,export", NULL,
		NULL, READS, "read-secret", "it reads the keyring"},
	{"pass,gopass", NULL, NULL, NULL, READS, "read-secret", "it reads stored passwords"},
	{"op", "read,item,run,inject,document", NULL, NULL, READS, "read-secret",
		"it reads stored passwords"},
	{"bw,lpass,keepassxc-cli", NULL, NULL, NULL, READS, "read-secret",
		"it reads stored passwords"},
	{"vault", "read,kv,login,token,print", NULL, NULL, READS, "read-secret",
		"it reads stored secrets"},
	{"gh,glab", NULL, NULL, asks_git_hosting_token, READS, "read-secret", "it prints a token"},
	{"gcloud", "auth print-access-token,print-identity-token,application-default", NULL, NULL,
		READS, "read-secret", "it prints a token"},
	{"aws", "configure get,export-credentials", NULL, NULL, READS, "read-secret",
		"it prints a login"},
	{"aws", "secretsmanager,ssm get-secret-value,get-parameter,get-parameters", NULL, NULL,
		READS, "read-secret", "it reads stored secrets"},
	{"aws", "sts get-session-token,assume-role", NULL, NULL, READS, "read-secret",
		"it makes a login"},
	{"az", "account get-access-token", NULL, NULL, READS, "read-secret", "it prints a token"},
	{"kubectl", "get,describe,edit secret,secrets", NULL, NULL, READS, "read-secret",
		"it reads a cluster's secrets"},
	{"docker,podman", "inspect,cp", NULL, NULL, CLASS_ORDINARY, CATEGORY_COMMAND, "container",
		"it looks into a container"},
	{"docker,podman,nerdctl", "run,create,exec",
		"privileged,pid,ipc,cap-add,device,userns,security-opt", NULL, RUNS,
		"container-escape", "it starts a container with the host's own rights"},
};

const struct program_table dangers_of_system = PROGRAM_TABLE(rows);
