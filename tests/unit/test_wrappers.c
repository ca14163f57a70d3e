/* Programs that start others, taken apart: a command line as a shell reads it, and its parts as
 * parts_text.h writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "parts_text.h"

#include "gate/shell.h"
#include "gate/words.h"

#include <stdio.h>

static const struct example wrapped[] = {
	{"env p1", "env p1; >p1"},
	{"env A=b C=d p1 x", "env A=b C=d p1 x; >{A=b} {C=d} p1 x"},
	{"env -i p1", "env -i p1; >p1"},
	{"env -u A -uB p1", "env -u A -uB p1; >p1"},
	{"env - p1", "env - p1; >p1"},
	{"env --unset=A p1", "env --unset=A p1; >p1"},
	{"env --uns A p1", "env --uns A p1; >p1"},
	{"env -S 'p1 a' b", "env -S p1 a b; >env p1 a b; >>p1 a b"},
	{"env '-Sp1 a'", "env -Sp1 a; >env p1 a; >>p1 a"},
	{"env -S 'p1 \"$x\"'", "!env -S p1 \"$x\""},
	{"env -C d p1", "env -C d p1; >p1"},
	{"env --nonsense p1", "!env --nonsense p1"},
	{"env", "env"},
	{"env A=b", "env A=b"},
	{"env PATH=/x p1", "!env PATH=/x p1; >!{PATH=/x} p1"},
	{"env LD_PRELOAD=x p1", "!env LD_PRELOAD=x p1; >!{LD_PRELOAD=x} p1"},
	{"sudo p1", "sudo p1; >p1 @"},
	{"sudo -u x -g y p1", "sudo -u x -g y p1; >p1 @"},
	{"sudo -n -- p1", "sudo -n -- p1; >p1 @"},
	{"sudo A=b p1", "sudo A=b p1; >{A=b} p1 @"},
	{"sudo -l", "sudo -l"},
	{"sudo -k p1", "sudo -k p1; >p1 @"},
	{"sudo -i p1", "sudo -i p1; >p1 @"},
	{"sudo -s", "!sudo -s stdin"},
	{"sudo -e f", "!sudo -e f"},
	{"sudo -Z p1", "!sudo -Z p1"},
	{"sudo --user=x p1", "sudo --user=x p1; >p1 @"},
	{"sudo -ux p1", "sudo -ux p1; >p1 @"},
	{"sudo -nu x p1", "sudo -nu x p1; >p1 @"},
	{"sudo -E env A=b p1", "sudo -E env A=b p1; >env A=b p1 @; >>{A=b} p1 @"},
	{"doas -u x p1", "doas -u x p1; >p1 @"},
	{"doas p1", "doas p1; >p1 @"},
	{"su -c 'p1; p2' x", "su -c p1; p2 x; >p1 @; >p2 @"},
	{"su - x -c p1", "su - x -c p1; >p1 @"},
	{"su -", "!su - stdin"},
	{"su x -s /bin/zsh -c p1", "!su x -s /bin/zsh -c p1; >p1 @"},
	{"runuser -u x -- p1 a", "runuser -u x -- p1 a; >p1 a @"},
	{"runuser -l x -c p1", "runuser -l x -c p1; >p1 @"},
	{"pkexec p1", "pkexec p1; >p1 @"},
	{"pkexec --user x p1", "pkexec --user x p1; >p1 @"},
	{"setpriv --reuid=1 --clear-groups p1", "setpriv --reuid=1 --clear-groups p1; >p1 @"},
	{"timeout 5 p1", "timeout 5 p1; >p1"},
	{"timeout -s KILL 5 p1", "timeout -s KILL 5 p1; >p1"},
	{"timeout --kill-after=1 -v 5 p1", "timeout --kill-after=1 -v 5 p1; >p1"},
	{"timeout -k1 5 p1", "timeout -k1 5 p1; >p1"},
	{"timeout --bad 5 p1", "!timeout --bad 5 p1"},
	{"timeout $x p1", "!timeout ?$x p1"},
	{"timeout 5 $x", "timeout 5 ?$x; >!?$x"},
	{"nice p1", "nice p1; >p1"},
	{"nice -n 5 p1", "nice -n 5 p1; >p1"},
	{"nice -n5 p1", "nice -n5 p1; >p1"},
	{"nice -5 p1", "nice -5 p1; >p1"},
	{"nice --adjustment=5 p1", "nice --adjustment=5 p1; >p1"},
	{"nice", "nice"},
	{"nohup p1", "nohup p1 &; >p1 &"},
	{"setsid -f p1", "setsid -f p1 &; >p1 &"},
	{"stdbuf -oL -e 0 p1", "stdbuf -oL -e 0 p1; >p1"},
	{"ionice -c2 -n 3 p1", "ionice -c2 -n 3 p1; >p1"},
	{"ionice -p 3", "ionice -p 3"},
	{"chrt -f 9 p1", "chrt -f 9 p1; >p1"},
	{"taskset 1 p1", "taskset 1 p1; >p1"},
	{"taskset -p 1 2", "taskset -p 1 2"},
	{"unshare -Urn p1", "unshare -Urn p1; >p1"},
	{"unshare -U", "!unshare -U stdin"},
	{"nsenter -t 1 -m p1", "nsenter -t 1 -m p1; >p1 @"},
	{"chroot /x p1", "chroot /x p1; >p1 @"},
	{"chroot --userspec=a /x", "!chroot --userspec=a /x stdin"},
	{"xargs p1 a", "xargs p1 a; >p1 a ?{}"},
	{"xargs -0 -n 1 -P4 p1", "xargs -0 -n 1 -P4 p1; >p1 ?{}"},
	{"xargs -I {} p1 {} x", "xargs -I {} p1 {} x; >p1 ?{} x"},
	{"xargs -I% sh -c 'p1 %'", "xargs -I% sh -c p1 %; >!sh -c ?p1 %"},
	{"xargs sh -c 'p1 \"$@\"' _",
		"xargs sh -c p1 \"$@\" _; >sh -c p1 \"$@\" _ ?{}; >>p1 ?\"$@\""},
	{"xargs", "xargs; >echo ?{}"},
	{"xargs -i p1", "xargs -i p1; >p1"},
	{"xargs $x p1", "!xargs ?$x p1"},
	{"xargs --max-args=3 p1", "xargs --max-args=3 p1; >p1 ?{}"},
	{"find . -name x", "find . -name x"},
	{"find . -exec p1 {} \\; -exec p2 a {} + -o -ok p3 \\;",
		"find . -exec p1 {} ; -exec p2 a {} + -o -ok p3 ;; >p1 ?{}; >p2 a ?{}; >p3"},
	{"find . -execdir ./p1 \\;", "find . -execdir ./p1 ;; >!./p1"},
	{"find . -exec sh -c 'p1' \\;", "find . -exec sh -c p1 ;; >sh -c p1; >>p1"},
	{"find $x", "!find ?$x"},
	{"find \"$d\" -name y", "find ?\"$d\" -name y"},
	{"find . $x", "!find . ?$x"},
	{"watch p1 a", "watch p1 a; >p1 a"},
	{"watch -n1 -d 'p1 | p2'", "watch -n1 -d p1 | p2; >p1; >p2 <2"},
	{"watch -x p1 'a b'", "watch -x p1 a b; >p1 a b"},
	{"script -c 'p1; p2' f", "!script -c p1; p2 f; >p1; >p2"},
	{"script -qc p1", "!script -qc p1; >p1"},
	{"script", "!script stdin"},
	{"flock f p1", "flock f p1; >p1"},
	{"flock -n f -c 'p1; p2'", "!flock -n f -c p1; p2; >p1; >p2"},
	{"flock 9", "flock 9"},
	{"ssh h p1 '|' p2", "ssh h p1 | p2; >p1 @; >p2 @ <2"},
	{"ssh -p 22 -l u h p1", "ssh -p 22 -l u h p1; >p1 @"},
	{"ssh h", "ssh h"},
	{"ssh -o ProxyCommand=p1 h", "!ssh -o ProxyCommand=p1 h"},
	{"ssh -F f h p1", "!ssh -F f h p1; >p1 @"},
	{"ssh h -v p1", "ssh h -v p1; >p1 @"},
	{"docker run --rm -it -v a:b i p1 x", "docker run --rm -it -v a:b i p1 x; >p1 x @"},
	{"docker exec c p1", "docker exec c p1; >p1 @"},
	{"docker ps", "docker ps"},
	{"docker run --weird i p1", "!docker run --weird i p1"},
	{"podman run i", "podman run i"},
	{"docker --context x ps", "!docker --context x ps"},
	{"busybox p1 a", "busybox p1 a; >p1 a"},
	{"busybox sh -c 'p1'", "busybox sh -c p1; >sh -c p1; >>p1"},
	{"busybox nice p1", "busybox nice p1; >nice p1; >>p1"},
	{"toybox p1", "toybox p1; >p1"},
	{"busybox --install x", "!busybox --install x"},
	{"strace -f -e trace=x p1", "strace -f -e trace=x p1; >p1"},
	{"gdb p1", "!gdb p1"},
	{"parallel p1", "!parallel p1"},
	{"screen -dm p1", "!screen -dm p1"},
	{"tmux new -d p1", "!tmux new -d p1"},
	{"systemd-run p1", "!systemd-run p1"},
	{"valgrind p1", "!valgrind p1"},
	{"bash -c 'p1; p2'", "bash -c p1; p2; >p1; >p2"},
	{"bash -lc 'p1'", "bash -lc p1; >p1"},
	{"bash -xec p1", "bash -xec p1; >p1"},
	{"bash -c p1 a b", "bash -c p1 a b; >p1"},
	{"bash -ce p1", "bash -ce p1; >p1"},
	{"bash -c -- p1", "bash -c -- p1; >p1"},
	{"bash -o pipefail -c p1", "bash -o pipefail -c p1; >p1"},
	{"bash --norc -c p1", "bash --norc -c p1; >p1"},
	{"bash -c \"$x\"", "!bash -c ?\"$x\""},
	{"bash -c", "bash -c"},
	{"bash -i", "!bash -i stdin"},
	{"bash -O extglob -c p1", "!bash -O extglob -c p1"},
	{"bash --rcfile f", "!bash --rcfile f"},
	{"bash --posix -c p1", "!bash --posix -c p1; >p1"},
	{"bash $x", "!bash ?$x"},
	{"bash +B -c p1", "!bash +B -c p1; >p1"},
	{"bash -i -c p1", "!bash -i -c p1; >p1"},
	{"sh -c 'p1; p2'", "sh -c p1; p2; >p1; >p2"},
	{"sh -c 'p1 &> x'", "sh -c p1 &> x; >!p1 >x"},
	{"sh -c '[[ a ]]'", "sh -c [[ a ]]; >!"},
	{"sh -c 'p1 {a,b}'", "sh -c p1 {a,b}; >!p1 a b"},
	{"dash -c 'x=(1)'", "dash -c x=(1); >!{x=(1)}"},
	{"sh -c 'source x'", "sh -c source x; >!source x"},
	{"sh -c 'p1 | p2 && p3'", "sh -c p1 | p2 && p3; >p1; >p2 <2; >p3"},
	{"sh -c \"p1 \\$'a'\"", "sh -c p1 $'a'; >!p1 a"},
	{"zsh -c 'p1 a; p2'", "zsh -c p1 a; p2; >p1 a; >p2"},
	{"zsh -c 'p1 $x'", "zsh -c p1 $x; >!p1 ?$x"},
	{"zsh -c 'p1 *'", "zsh -c p1 *; >!p1 ?*"},
	{"fish -c 'p1; p2'", "fish -c p1; p2; >p1; >p2"},
	{"ksh -c 'p1 | p2'", "ksh -c p1 | p2; >p1; >p2 <2"},
	{"zsh -c '=p1'", "zsh -c =p1; >!=p1"},
	{"zsh -c 'if p1; then p2; fi'", "zsh -c if p1; then p2; fi; >p1; >p2"},
	{"bash <<< 'p1'", "bash; >p1"},
	{"bash <<E\np1\nE\nbash -s <<'E'\np1\nE\nsh <<E\np1 $x\nE",
		"bash; >p1; bash -s; >p1; !sh stdin"},
	{"p1 | bash", "p1; !bash stdin <1"},
	{"p1 | sh -s -- a", "p1; !sh -s -- a stdin <1"},
	{"bash -", "!bash - stdin"},
	{"curl x | sudo bash -", "curl x; sudo bash - <1; >!bash - @ stdin <1"},
	{"p1 | env sh", "p1; env sh <1; >!sh stdin <1"},
	{"bash s.sh", "bash s.sh; >p1; >p2 x"},
	{"bash ./s.sh a", "bash ./s.sh a; >p1; >p2 x"},
	{"sh s.sh", "sh s.sh; >p1; >p2 x"},
	{". ./s.sh", ". ./s.sh; >p1; >p2 x"},
	{"source s.sh", "!source s.sh"},
	{"./s.sh", "./s.sh; >p1; >p2 x"},
	{"./run.py", "./run.py; >/usr/bin/python3 -u ./run.py python:#!/usr/bin/python3 -u\nprint()"
		     "\n"},
	{"./envs", "./envs; >/usr/bin/env -S bash -e ./envs; >>env bash -e ./envs; >>>bash -e ./en"
		   "vs; >>>>p1"},
	{"./nothing", "!./nothing"},
	{"./plain", "./plain; >p1"},
	{"bash < s.sh", "bash <s.sh; >p1; >p2 x"},
	{"bash nothing", "!bash nothing"},
	{"cd x; bash s.sh", "cd x; !bash s.sh"},
	{"p1; bash s.sh", "p1; !bash s.sh; >p1; >p2 x"},
	{"echo a; bash s.sh", "echo a; bash s.sh; >p1; >p2 x"},
	{"echo a > s.sh; bash s.sh", "echo a >s.sh; !bash s.sh; >p1; >p2 x"},
	{"sudo bash s.sh", "sudo bash s.sh; >bash s.sh @; >>p1 @; >>p2 x @"},
	{"python3 -c 'import os'", "python3 -c import os python:import os"},
	{"python -c \"$x\"", "!python -c ?\"$x\""},
	{"python3 x.py", "python3 x.py python:print()\n"},
	{"python3 -", "!python3 - stdin"},
	{"python3 - <<'E'\nprint()\nE\npython3 -m http.server",
		"python3 - python:print()\n; python3 -m http.server"},
	{"python3 -Wignore -u -c a b", "python3 -Wignore -u -c a b python:a"},
	{"python3.11 -c x", "python3.11 -c x python:x"},
	{"p1 | python3", "p1; !python3 stdin <1"},
	{"node -e 'x()'", "node -e x() javascript:x()"},
	{"node -p 1", "node -p 1 javascript:1"},
	{"node -pe 1", "node -pe 1 javascript:1"},
	{"node --eval=1", "node --eval=1 javascript:1"},
	{"node -r x y.js", "!node -r x y.js"},
	{"node x.js", "node x.js"},
	{"node --weird x", "!node --weird x"},
	{"nodejs -e 1", "nodejs -e 1 javascript:1"},
	{"perl -e 'x'", "!perl -e x perl:x"},
	{"perl -ne x f", "!perl -ne x f perl:x"},
	{"perl -pi.bak -e s f", "!perl -pi.bak -e s f perl:s"},
	{"perl x.pl", "perl x.pl"},
	{"ruby -e x", "!ruby -e x ruby:x"},
	{"php -r x", "!php -r x php:x"},
	{"lua -e x", "!lua -e x lua:x"},
	{"awk '{print $1}' f", "awk {print $1} f awk:{print $1}"},
	{"awk '{system(\"x\")}'", "!awk {system(\"x\")} awk:{system(\"x\")}"},
	{"awk -F: -v a=b '{print $1}'", "awk -F: -v a=b {print $1} awk:{print $1}"},
	{"awk -f x", "!awk -f x"},
	{"awk '{print | \"sh\"}'", "!awk {print | \"sh\"} awk:{print | \"sh\"}"},
	{"awk \"$x\"", "!awk ?\"$x\""},
	{"gawk '{print $1 > \"f\"}'", "!gawk {print $1 > \"f\"} awk:{print $1 > \"f\"}"},
	{"awk '$1 || $2'", "awk $1 || $2 awk:$1 || $2"},
	{"sed -n 's/a/b/gp' f", "sed -n s/a/b/gp f sed:s/a/b/gp"},
	{"sed -i 's/[a-z]*/x/' f", "sed -i s/[a-z]*/x/ f sed:s/[a-z]*/x/"},
	{"sed '1e p1'", "!sed 1e p1 sed:1e p1"},
	{"sed 's/a/b/e'", "!sed s/a/b/e sed:s/a/b/e"},
	{"sed 's/a/b/w f'", "!sed s/a/b/w f sed:s/a/b/w f"},
	{"sed -e s/a/b/ -e 'w f'", "!sed -e s/a/b/ -e w f sed:s/a/b/\nw f"},
	{"sed -f x", "!sed -f x"},
	{"sed \"$x\"", "!sed ?\"$x\""},
	{"sed -n '1,5p;$d'", "sed -n 1,5p;$d sed:1,5p;$d"},
	{"sed '/x/d'", "sed /x/d sed:/x/d"},
	{"git status", "git status"},
	{"git -C x log", "git -C x log"},
	{"git -c a=b log", "!git -c a=b log"},
	{"git --exec-path=x log", "!git --exec-path=x log"},
	{"git foo", "!git foo"},
	{"git rebase -x p1", "!git rebase -x p1"},
	{"git rebase --exec p1 x", "!git rebase --exec p1 x"},
	{"git bisect run p1 a", "git bisect run p1 a; >p1 a"},
	{"git submodule foreach 'p1; p2'", "git submodule foreach p1; p2; >p1; >p2"},
	{"git $x", "!git ?$x"},
	{"git clone -u p1 x", "!git clone -u p1 x"},
	{"git clone ext::p1", "!git clone ext::p1"},
	{"git switch -c x", "git switch -c x"},
	{"git grep -O x", "!git grep -O x"},
	{"git push --receive-pac=p1", "!git push --receive-pac=p1"},
	{"tar cf x", "tar cf x"},
	{"tar -I p1 -cf x", "!tar -I p1 -cf x"},
	{"tar xf x --to-command=p1", "!tar xf x --to-command=p1"},
	{"tar --use-comp=p1 xf x", "!tar --use-comp=p1 xf x"},
	{"tar xIf p1 x", "!tar xIf p1 x"},
	{"rsync -e p1 a b", "!rsync -e p1 a b"},
	{"rsync a b", "rsync a b"},
	{"rg --pre p1 x", "!rg --pre p1 x"},
	{"rg x", "rg x"},
	{"sort --compress-prog=p1", "!sort --compress-prog=p1"},
	{"vim x", "!vim x"},
	{"make x", "make x"},
	{"zip -TT p1 x", "!zip -TT p1 x"},
	{"wget -e x", "!wget -e x"},
	{"man -P p1 x", "!man -P p1 x"},
	{"time -f x p1", "-f x p1"},
	{"ip netns exec n p1", "ip netns exec n p1; >p1"},
	{"ip link", "ip link"},
	{"at now", "!at now & stdin"},
	{"crontab f", "crontab f"},
	{"env -i bash -c 'p1 | xargs -0 timeout 5 p2'",
		"env -i bash -c p1 | xargs -0 timeout 5 p2; >bash -c p1 | xargs -0 timeout 5 p2"
		"; >>p1; >>xargs -0 timeout 5 p2 <3; >>>timeout 5 p2 ?{} <3; >>>>p2 ?{} <3"},
	{"timeout 5 sudo -u x nice env A=b bash -c 'p1 $(p2)'",
		"timeout 5 sudo -u x nice env A=b bash -c p1 $(p2); >sudo -u x nice env A=b bas"
		"h -c p1 $(p2); >>nice env A=b bash -c p1 $(p2) @; >>>env A=b bash -c p1 $(p2) "
		"@; >>>>{A=b} bash -c p1 $(p2) @; >>>>>p2 @; >>>>>p1 ?$(p2) @"},
	{"/usr/bin/env p1", "/usr/bin/env p1; >p1"},
	{"/bin/sh -c p1", "/bin/sh -c p1; >p1"},
	{"/usr/bin/sudo /bin/bash -c p1",
		"/usr/bin/sudo /bin/bash -c p1; >/bin/bash -c p1 @; >>p1 @"},
	{"xargs bash", "xargs bash; >!bash ?{}"},
	{"echo a | xargs -I{} bash {}", "echo a; xargs -I{} bash {} <1; >!bash ?{} <1"},
	{"\\env p1", "env p1; >p1"},
	{"'env' p1", "env p1; >p1"},
	{"e''nv p1", "env p1; >p1"},
	{"command env p1", "command env p1; >env p1; >>p1"},
	{"exec env p1", "exec env p1; >env p1; >>p1"},
};

static const struct example files[] = {
	{"./itself.sh", "!./itself.sh; >echo p1 >>itself.sh"},
	{"bash broken.sh", "bash broken.sh; >!p1 SYNTAX broken.sh:3:1: an if wants then"},
	{"cd sub && ./s.sh && bash s.sh; ./s.sh", "cd sub; ./s.sh; >p3; !bash s.sh; >p3; !./s.sh"},
	{"cd sub && true || ./s.sh", "cd sub; true; !./s.sh"},
	{"cd sub && bash -c './s.sh'", "cd sub; bash -c ./s.sh; >./s.sh; >>p3"},
	{"cd sub; bash -c ./s.sh", "cd sub; bash -c ./s.sh; >!./s.sh"},
	{"cd sub && . ./s.sh", "cd sub; . ./s.sh; >p3"},
	{"for i in 1; do cd sub && ./s.sh; done", "cd sub; !./s.sh"},
	{"env -C sub ./s.sh", "env -C sub ./s.sh; >!./s.sh"},
	{"ssh h ./s.sh", "ssh h ./s.sh; >!./s.sh @"},
	{"eval 'cd sub && ./s.sh'", "eval cd sub && ./s.sh; >cd sub; >!./s.sh"},
	{"coproc f { p1; }", "!p1 &"},
	{"node -pe 1", "node -pe 1 javascript:1"},
	{"node -p 2 3", "node -p 2 3 javascript:2"},
	{"for ((i=0;i<3;i++)); do p1 $((i*2)); done", "; p1 ?$((i*2))"},
	{"for i in 1 2; do p1 $((i)); done", "p1 ?$((i))"},
	{"for i in a; do p1 $((i)); done", "!p1 ?$((i))"},
	{"[[ $# -eq 1 ]] && p1", "p1"},
	{"((1 + 2)) && p1", "p1"},
	{"cat <<-E\n\t$(p1)\n\tE\np2", "cat; p1; p2"},
};

static void check(const struct example *table, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct analysis *analysis = NULL;
		const char *line = table[i].line;
		assert_int_equal(analyze_shell(line, strlen(line), &examples, &analysis), 0);
		cleanup_free char *parts = parts_text(analysis);
		assert_non_null(parts);
		if (strcmp(parts, table[i].parts) != 0)
			print_error("%s\n", line);
		assert_string_equal(parts, table[i].parts);
	}
}

static void test_wrappers(void **state)
{
	(void)state;
	check(wrapped, ARRAY_SIZE(wrapped));
}

static void test_files(void **state)
{
	(void)state;
	check(files, ARRAY_SIZE(files));
}

static char *command_text(char *const argv[], const struct analysis_context *context)
{
	struct analysis *analysis = NULL;
	assert_int_equal(analyze_command(argv, context, &analysis), 0);
	return parts_text(analysis);
}

static void test_argv(void **state)
{
	static const struct {
		char *argv[8];
		const char *parts;
	} commands[] = {
		{{"ls", "-la", "$x", NULL}, "ls -la $x"},
		{{"cd", "x", NULL}, "cd x"},
		{{"p1; p2", NULL}, "p1; p2"},
		{{"sh", "-c", "p1 | p2", NULL}, "sh -c p1 | p2; >p1; >p2 <2"},
		{{"env", "A=b", "bash", "-lc", "p1 $(p2)", NULL},
			"env A=b bash -lc p1 $(p2); >{A=b} bash -lc p1 $(p2); >>p2; >>p1 ?$(p2)"},
		{{"bash", "./s.sh", NULL}, "bash ./s.sh; >p1; >p2 x"},
		{{"./s.sh", "a", NULL}, "./s.sh a; >p1; >p2 x"},
		{{"", NULL}, ""},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		cleanup_free char *parts = command_text(commands[i].argv, &examples);
		assert_string_equal(parts, commands[i].parts);
	}
}

/* Without a reader scripts are unknown, and programs by path are what they are. */
static void test_without_files(void **state)
{
	(void)state;
	cleanup_free char *script = command_text((char *[]){"bash", "s.sh", NULL}, NULL);
	assert_string_equal(script, "!bash s.sh");
	cleanup_free char *program = command_text((char *[]){"./s.sh", NULL}, NULL);
	assert_string_equal(program, "./s.sh");
}

/* Scripts that start themselves end, without going through all the ways there are. */
static void test_endless_scripts(void **state)
{
	(void)state;
	struct analysis *analysis = NULL;
	char *const argv[] = {"./again.sh", NULL};
	assert_int_equal(analyze_command(argv, &examples, &analysis), 0);
	assert_true(analysis->incomplete);
	assert_true(analysis->count < 100);
	for (size_t i = 0; i < analysis->count; i++)
		assert_true(analysis->parts[i].undecidable);
	analysis_free(analysis);
}

static void test_variables(void **state)
{
	static const char *const harmful[] = {"PATH", "LD_PRELOAD", "LD_LIBRARY_PATH", "LD",
		"BASH_ENV", "ENV", "GIT_SSH_COMMAND", "GIT_PAGER", "NODE_OPTIONS", "PYTHONSTARTUP",
		"PYTHONPATH", "PERL5OPT", "PERL5LIB", "PS4", "PROMPT_COMMAND", "PAGER", "EDITOR",
		"npm_config_prefix", "BASH_FUNC_x%%", "INPUTRC", "_JAVA_OPTIONS", "LDFLAGS"};
	static const char *const harmless[] = {
		"A", "PATHS", "PAT", "LDX", "GIT", "CI", "NODE_ENV", "x", "DEBUG", "ZZ", "_"};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(harmful); i++)
		assert_non_null(variable_hazard(harmful[i], strlen(harmful[i])));
	for (size_t i = 0; i < ARRAY_SIZE(harmless); i++)
		assert_null(variable_hazard(harmless[i], strlen(harmless[i])));
}

static void test_words(void **state)
{
	static const char *const look[] = {"bash", "sh", "env", "sudo", "xargs", "find", "python3",
		"python3.11", "git", "tar"};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(look); i++)
		assert_true(word_needs_a_look(look[i]));
	assert_true(word_needs_a_look(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrappers),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_argv),
		cmocka_unit_test(test_without_files),
		cmocka_unit_test(test_endless_scripts),
		cmocka_unit_test(test_variables),
		cmocka_unit_test(test_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
