/* Shell syntax, taken apart. Each table: a script, and its parts as parts_text.h writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "parts_text.h"

#include "base/limits.h"

#include <stdio.h>

static const struct example syntax[] = {
	{"ls -la /tmp", "ls -la /tmp"},
	{"echo 'a b' \"c d\" e\\ f", "echo a b c d e f"},
	{"p1; p2 & p3 && p4 || p5", "p1; p2 &; p3; p4; p5"},
	{"p1 | p2 |& p3", "p1; p2 <1; p3 <2"},
	{"! p1", "p1"},
	{"(p1; p2)", "p1; p2"},
	{"{ p1; p2; }", "p1; p2"},
	{"if a; then b; elif c; then d; else e; fi", "a; b; c; d; e"},
	{"while a; do b; done", "a; b"},
	{"until a; do b; done", "a; b"},
	{"for x in 1 2; do p1 $x; done", "p1 ?$x"},
	{"for x; do p1; done", "p1"},
	{"for ((;;)); do p1; done", "p1"},
	{"select x in a; do p1; done", "p1"},
	{"case $x in a) p1;; b|c) p2;; *) p3; esac", "p1; p2; p3"},
	{"case x in (a) p1;& b) p2;;& esac", "!p1; !p2"},
	{"[[ -f x && $(p1) == y ]] && p2", "p1; p2"},
	{"[ -f x ] && p1", "[ -f x ]; p1"},
	{"((1 + 2)) && p1", "p1"},
	{"p1 $(p2 $(p3))", "p3; p2 ?$(p3); p1 ?$(p2 $(p3))"},
	{"p1 `p2`", "p2; p1 ?`p2`"},
	{"p1 \"a $(p2) b\"", "p2; p1 ?\"a $(p2) b\""},
	{"p1 <(p2) >(p3)", "p2; p3; p1 ?<(p2) ?>(p3)"},
	{"x=$(p1)", "p1; {x=$(p1)}"},
	{"x=$(p1) p2", "p1; {x=$(p1)} p2"},
	{"a=(1 $(p1) 2); p2", "p1; {a=(1 $(p1) 2)}; p2"},
	{"a[$(p1)]=x", "!p1; {a[$(p1)]=x}"},
	{"echo ${x:-$(p1)}", "p1; echo ?${x:-$(p1)}"},
	{"echo \"${x:-`p1`}\"", "!p1; !echo ?\"${x:-`p1`}\""},
	{"echo $(( $(p1) + 1 ))", "!p1; echo ?$(( $(p1) + 1 ))"},
	{"p1 > out 2>> err < in", "p1 >out >>err <in"},
	{"p1 &> both; p2 >& both2; p3 &>> both3", "p1 >both; p2 >both2; p3 >>both3"},
	{"p1 >| clob; p2 2>&1 >&-", "p1 >clob; p2"},
	{"p1 > \"$x\"", "p1 >?"},
	{"p1 > \"a b\" > $(p2)", "p2; p1 >a b >?"},
	{"> out", " >out"},
	{"{ p1; } > out", "p1;  >out"},
	{"exec > out", "exec >out"},
	{"p1 <<< \"$(p2)\"", "p2; p1"},
	{"cat <<E\n$(p1) `p2`\nE\np3", "cat; p1; p2; p3"},
	{"cat <<'E'\n$(p1)\nE\np2", "cat; p2"},
	{"cat <<-E\n\t$(p1)\n\tE\np2", "cat; p1; p2"},
	{"cat <<A <<B\n$(p1)\nA\n$(p2)\nB\np3", "!cat; !p1; !p2; !p3"},
	{"cat <<E | p1\nx\nE\np2", "cat; p1 <1; p2"},
	{"f() { p1; }; f x", "p1; f x()"},
	{"function f { p1; }; f", "p1; f()"},
	{"f() ( p1 ); f", "p1; f()"},
	{"p1() { p2; }; p1", "p2; p1()"},
	{"p1; p1() { p2; }", "p1; p2"},
	{"false && f() { p1; }; f", "false; p1; f"},
	{"f() { p1; } | p2; f", "p1; p2 <1; f"},
	{"f() { p1; } & f", "p1 &; f"},
	{"f() { p1; }; unset -f f; f", "p1; unset -f f; f"},
	{"f() { p1; }; env f; command f", "p1; env f; >f; command f; >f"},
	{"time p1; time -p p2", "p1; p2"},
	{"time", ""},
	{"coproc p1", "p1 &"},
	{"A=b C=d p1", "{A=b} {C=d} p1"},
	{"A=b", "{A=b}"},
	{"A=$x p1", "{A=$x} p1"},
	{"export A=b", "export A=b"},
	{"declare -r A=b B", "declare -r A=b B"},
	{"p1 # p2", "p1"},
	{"p1 a#b # c", "p1 a#b"},
	{"p1 '#' \\# \"#\"", "p1 # # #"},
	{"p1 \\\\\n  a", "p1 \\; a"},
	{"p1 {a,b} c{d,e}f", "p1 a b cdf cef"},
	{"p1 {1..3}", "p1 ?{1..3}"},
	{"p1 \"{a,b}\" {a}", "p1 {a,b} {a}"},
	{"{a,b} c", "!a b c"},
	{"p1 ~ ~/x \"~\"", "p1 ?~ ?~/x ~"},
	{"p1 *.c [ab] ? '*'", "p1 ?*.c ?[ab] ?? *"},
	{"'p1'; \"p2\"; p\\3; p''4; $'\\x70\\065'", "p1; p2; p3; p4; p5"},
	{"p1 $'a\\nb' $'\\'' $\"x\"", "p1 a\nb ' ?$\"x\""},
	{"p1 $x \"$x\" ${x} \"$@\" $1 $? $# a$x", "p1 ?$x ?\"$x\" ?${x} ?\"$@\" ?$1 ?$? ?$# ?a$x"},
	{"$x a", "!?$x a"},
	{"\"$x\" a", "!?\"$x\" a"},
	{"$(p1) a", "p1; !?$(p1) a"},
	{"`p1`", "p1; !?`p1`"},
	{"eval p1 a", "eval p1 a; >p1 a"},
	{"eval 'p1; p2'", "eval p1; p2; >p1; >p2"},
	{"eval \"$x\"", "!eval ?\"$x\""},
	{"eval p1 '|' p2", "eval p1 | p2; >p1; >p2 <2"},
	{"trap 'p1' EXIT", "trap p1 EXIT; >p1"},
	{"trap - INT", "trap - INT"},
	{"trap \"$x\" EXIT", "!trap ?\"$x\" EXIT"},
	{"command p1; command -v p2; command -V p3; command -p p4",
		"command p1; >p1; command -v p2; command -V p3; command -p p4; >p4"},
	{"builtin echo; builtin eval p1", "builtin echo; >echo; builtin eval p1; >eval p1; >p1"},
	{"exec p1 a", "exec p1 a; >p1 a"},
	{"exec -a n p1", "exec -a n p1; >p1"},
	{"set -e; p1; set -euo pipefail", "set -e; p1; set -euo pipefail"},
	{"cd /tmp && p1", "cd /tmp; p1"},
	{"p1 && (p2 | p3) || { p4; }", "p1; p2; p3 <2; p4"},
	{"p1 | while read x; do p2; done", "p1; read x <1; p2 <1"},
	{"p1 | { p2; p3; }", "p1; p2 <1; p3 <1"},
	{"p1 | (sh)", "p1; !sh stdin <1"},
	{"p1 && p2 &", "p1 &; p2 &"},
	{"(p1 &)", "p1 &"},
	{"p1 'it'\"'\"'s'", "p1 it's"},
	{"p1 $((1+2)) $[3]", "p1 ?$((1+2)) ?$[3]"},
	{"p1 ${#x} ${x%%.*} ${x//a/b} ${x^^} ${x[@]}",
		"p1 ?${#x} ?${x%%.*} ?${x//a/b} ?${x^^} ?${x[@]}"},
	{"x=1; ((x++)); p1 $((x * 2))", "{x=1}; ; p1 ?$((x * 2))"},
	{"for ((i=0;i<3;i++)); do p1; done", "; p1"},
	{"p1 if then fi { } !", "p1 if then fi { } !"},
	{"'if' x", "if x"},
	{"\\if x", "if x"},
	{"echo }", "echo }"},
	{"p1 -- -x", "p1 -- -x"},
	{"p1 >out a b", "p1 a b >out"},
	{">out p1 a", "p1 a >out"},
	{"2>&1 p1", "p1"},
	{"p1 3<&0 10>x", "p1 >x"},
	{"p1 a=b", "p1 a=b"},
	{"a=b=c p1", "{a=b=c} p1"},
	{"p1 é 日本", "p1 é 日本"},
	{"p1;# c\np2", "p1; p2"},
	{"\n\np1\n\n", "p1"},
	{"# nothing", ""},
	{"true", "true"},
	{"p1 \"a\nb\"", "p1 a\nb"},
	{"[ a = b -a -n \"$(p1)\" ]", "p1; ![ a = b -a -n ?\"$(p1)\" ]"},
	{"test -n \"$x\"", "test -n ?\"$x\""},
	{"[[ a =~ ^(x|y)$ ]] && p1", "p1"},
	{"[[ a == @(x|y) ]] && p1", "p1"},
	{"[[ $# -eq 1 ]] && p1", "p1"},
	{"[[ 1 -lt 2 ]] && p1", "p1"},
	{"echo \"$(case x in x) p1;; esac)\"", "p1; echo ?\"$(case x in x) p1;; esac)\""},
	{"echo $(case x in (x) p1;; esac)", "p1; echo ?$(case x in (x) p1;; esac)"},
	{"p1 $(p2 # )\n)", "p2; p1 ?$(p2 # )\n)"},
	{"p1 \"$(echo \")\")\" p2", "echo ); p1 ?\"$(echo \")\")\" p2"},
};

/* What a shell does that changes what its words mean, and text that is read in more than one
 * way. */
static const struct example doubts[] = {
	{"p1 \"a", "!p1 SYNTAX 1:6: a \" is not closed"},
	{"p1 'a", "!p1 SYNTAX 1:4: a ' is not closed"},
	{"p1 `a", "!p1 SYNTAX 1:4: a ` is not closed"},
	{"p1 $(a", "!a; !p1 SYNTAX 1:7: a ( is not closed"},
	{"p1 ${a", "!p1 SYNTAX 1:7: a ${ is not closed"},
	{"if p1", "!p1 SYNTAX 1:6: an if wants then"},
	{"p1; }", "!p1 SYNTAX 1:5: a closing word or sign too many"},
	{"p1 )", "!p1 SYNTAX 1:4: a closing word or sign too many"},
	{"fi", "! SYNTAX 1:1: a closing word or sign too many"},
	{"p1 ||", "!p1 SYNTAX 1:6: a closing word or sign too many"},
	{"| p1", "! SYNTAX 1:1: a command is missing"},
	{"p1 && && p2", "!p1 SYNTAX 1:7: a command is missing"},
	{"for 1x in a; do p1; done", "p1"},
	{"case x in a p1;; esac", "! SYNTAX 1:13: a pattern is not closed with )"},
	{"p1 <", "!p1 SYNTAX 1:5: a redirection wants a word"},
	{"p1 <<E\nx", "!p1 INCOMPLETE"},
	{"f( p1", "! SYNTAX 1:4: a ( that fits nowhere"},
	{"f() p1", "! SYNTAX 1:5: a function wants a body"},
	{"p1 (a)", "! SYNTAX 1:5: a ( that fits nowhere"},
	{"[[ a", "! SYNTAX 1:5: a [[ is not closed"},
	{"p1 ;; p2", "!p1 SYNTAX 1:4: a closing word or sign too many"},
	{"((p1); (p2))", "! INCOMPLETE"},
	{"$((p1); (p2))", "! INCOMPLETE"},
	{"p1 `p2 \\`p3\\``", "!p1 INCOMPLETE"},
	{"shopt -s extglob; p1 !(x)", "!shopt -s extglob; !p1 INCOMPLETE"},
	{"p1 @(a|b)", "!p1 INCOMPLETE"},
	{"alias p1=p2; p1", "!alias p1=p2; !p1"},
	{"PATH=/x; p1", "!{PATH=/x}; !p1"},
	{"PATH=/x p1", "!{PATH=/x} p1"},
	{"export PATH=$HOME/bin:$PATH; p1", "!export ?PATH=$HOME/bin:$PATH; !p1"},
	{"LD_PRELOAD=x p1", "!{LD_PRELOAD=x} p1"},
	{"GIT_SSH_COMMAND=p1 git pull", "!{GIT_SSH_COMMAND=p1} git pull"},
	{"x=1; declare -n y=PATH", "!{x=1}; !declare -n y=PATH"},
	{"BASH_ENV=x bash -c p1", "!{BASH_ENV=x} bash -c p1; >!p1"},
	{"IFS=x; p1", "{IFS=x}; p1"},
	{"hash -p /x p1", "!hash -p /x p1"},
	{"enable -f x y", "!enable -f x y"},
	{"set -k; p1", "!set -k; !p1"},
	{"set -o posix", "!set -o posix"},
	{"set +B", "!set +B"},
	{"shopt -s expand_aliases", "!shopt -s expand_aliases"},
	{"read PATH", "!read PATH"},
	{"read -r x y", "read -r x y"},
	{"read \"$x\"", "!read ?\"$x\""},
	{"read a b <<< x", "read a b"},
	{"printf -v PATH x", "!printf -v PATH x"},
	{"printf -v x y", "printf -v x y"},
	{"printf \"$x\"", "!printf ?\"$x\""},
	{"printf '%s' \"$x\"", "printf %s ?\"$x\""},
	{"for PATH in /x; do p1; done", "!p1"},
	{"mapfile -C p1 x", "!mapfile -C p1 x"},
	{"mapfile x", "mapfile x"},
	{"getopts a PATH", "!getopts a PATH"},
	{"unset PATH", "!unset PATH"},
	{"unset x", "unset x"},
	{"((PATH=3)); p1", "!; !p1"},
	{"echo ${PATH:=/x}", "!echo ?${PATH:=/x}"},
	{"exec {PATH}>x", "!exec >x"},
	{"x=a; ((x)); p1", "{x=a}; !; p1"},
	{"read x; ((x))", "read x; !"},
	{"((x))", "!"},
	{"echo $((x))", "!echo ?$((x))"},
	{"echo $((1))", "echo ?$((1))"},
	{"echo ${a[x]} ${a[0]}", "!echo ?${a[x]} ?${a[0]}"},
	{"echo ${a[x]}", "!echo ?${a[x]}"},
	{"echo ${!x}", "!echo ?${!x}"},
	{"echo ${!x*} ${!x[@]}", "echo ?${!x*} ?${!x[@]}"},
	{"echo ${x@P}", "!echo ?${x@P}"},
	{"echo ${x@Q}", "echo ?${x@Q}"},
	{"echo ${x:1:2}", "echo ?${x:1:2}"},
	{"echo ${x:y}", "!echo ?${x:y}"},
	{"[[ $x -eq 1 ]]", "!"},
	{"[[ -v x ]]", "!"},
	{"[[ $x == 1 ]]", ""},
	{"[ $x -eq 1 ]", "![ ?$x -eq 1 ]"},
	{"[ \"$x\" -eq 1 ]", "[ ?\"$x\" -eq 1 ]"},
	{"[ \"$x\" = \"$y\" ]", "[ ?\"$x\" = ?\"$y\" ]"},
	{"[ -v x ]", "[ -v x ]"},
	{"[ -v \"$x\" ]", "![ -v ?\"$x\" ]"},
	{"[ -v 'a[$(p1)]' ]", "![ -v a[$(p1)] ]"},
	{"test \"$x\" \"$y\"", "!test ?\"$x\" ?\"$y\""},
	{"[ ! -f \"$x\" ]", "[ ! -f ?\"$x\" ]"},
	{"let x=1", "!let x=1"},
	{"declare -i x", "!declare -i x"},
	{"compgen -C p1", "!compgen -C p1"},
	{"eval \"$x\"; p1", "!eval ?\"$x\"; !p1"},
	{"source x", "!source x"},
	{". /nothing/x", "!. /nothing/x"},
	{"trap \"$x\" EXIT", "!trap ?\"$x\" EXIT"},
	{"p1 $'\\c'", "!p1 "},
	{"p1 $'\\x'", "!p1 "},
	{"{,p1} a", "!?{,p1} a"},
	{"x=p1; $x", "{x=p1}; !?$x"},
	{"p1 <(p2", "!p2; !p1 SYNTAX 1:8: a ( is not closed"},
	{"cat <<$x\na\n$x", "!cat INCOMPLETE"},
	{"coproc f { p1; }", "!p1 &"},
	{"p1 <>f", "!p1 >f"},
	{"p1 $\"x\"", "p1 ?$\"x\""},
	{"p1 $[x]", "!p1 ?$[x]"},
	{"export -f f", "!export -f f"},
	{"local x", "local x"},
	{"jobs -x p1", "!jobs -x p1"},
	{"disown", "disown &"},
	{"exec -z p1", "!exec -z p1"},
	{"command -z p1", "!command -z p1"},
	{"builtin p1", "builtin p1; >!p1"},
	{"exec \"$x\"", "exec ?\"$x\"; >!?\"$x\""},
	{"command \"$x\"", "command ?\"$x\"; >!?\"$x\""},
	{"p1 >&$x", "p1 >?"},
	{"p1 2>&$x", "p1 >?"},
	{"pushd x; ./s.sh", "pushd x; !./s.sh"},
	{"echo ${x:-'a'} \"${x:-'a'}\"", "!echo ?${x:-'a'} INCOMPLETE"},
};

/* Continued lines, words that may become several, places that change. */
static const struct example more[] = {
	{"!\\\n p1", "! INCOMPLETE"},
	{"a | ! b", "!a INCOMPLETE"},
	{"a | time b", "a; time b <1; >b <1"},
	{"if\\\n true; then p1; fi", "! INCOMPLETE"},
	{"p1 $(\\\n( '$(p2)' ))", "!p1 INCOMPLETE"},
	{"(\\\n( p1 ))", "! INCOMPLETE"},
	{"cat <<E\\\nOF\n$(p1)\nEOF", "!cat INCOMPLETE"},
	{"p1 ${ p2; }", "!p1 INCOMPLETE"},
	{"p1 ${| p2; }", "!p1 INCOMPLETE"},
	{"env A=$x p1", "!env ?A=$x p1; >!{A=$x} p1"},
	{"env A=\"$x\" p1", "env ?A=\"$x\" p1; >{A=\"$x\"} p1"},
	{"timeout -s $s 5 p1", "!timeout -s ?$s 5 p1"},
	{"timeout -s \"$s\" 5 p1", "timeout -s ?\"$s\" 5 p1; >p1"},
	{"timeout \"$x\" 5 p1", "!timeout ?\"$x\" 5 p1"},
	{"find . -exec p1 $x {} \\;", "!find . -exec p1 ?$x {} ;; >p1 ?$x ?{}"},
	{"find . -exec p1 \"a$x\" {} \\;", "!find . -exec p1 ?\"a$x\" {} ;; >p1 ?\"a$x\" ?{}"},
	{"sudo A=$x p1", "!sudo ?A=$x p1; >!{A=$x} p1 @"},
	{"if true; then . ./sub/f.sh; fi; f", "true; . ./sub/f.sh; >p9; f"},
	{". ./sub/f.sh; f", ". ./sub/f.sh; >p9; f"},
	{"bash /dev/stdin <<< p1", "!bash /dev/stdin"},
	{". /dev/stdin", "!. /dev/stdin"},
	{"bash //dev/./stdin", "!bash //dev/./stdin"},
	{"wait -p PATH", "!wait -p PATH"},
	{"wait $!", "wait ?$!"},
	{"coproc PATH { p1; }; p2", "!p1 &; !p2"},
	{"PATH=/x eval p1", "!{PATH=/x} eval p1; >!p1"},
	{"IFS= read -r x", "{IFS=} read -r x"},
	{"LC_ALL=x; p1 é", "! INCOMPLETE"},
	{"LC_ALL=C p1", "{LC_ALL=C} p1"},
	{"sh -c \"export A=\\$x; p1\"", "sh -c export A=$x; p1; >!export ?A=$x; >!p1"},
	{"sh -c 'export A=\"$x\"; p1'", "sh -c export A=\"$x\"; p1; >export ?A=\"$x\"; >p1"},
	{"xargs -I\"$x\" p1 a", "!xargs ?-I\"$x\" p1 a"},
	{"p1 \\\n p2", "p1 p2"},
	{"p1 \\\n  a", "p1 a"},
	{"p\\\n1 a", "p1 a"},
	{"p1 &\\\n& p2", "!p1 & INCOMPLETE"},
	{"p1 |\\\n p2", "p1; p2 <1"},
	{"p1 \"a\\\nb\"", "p1 ab"},
	{"cat <<E\nE\\\nx\nE", "!cat INCOMPLETE"},
	{"cat <<E\na \\\nE\np1\nE", "!cat"},
	{"cat <<E\n\\$(p1) \\\\$(p2)\nE", "!cat; !p2"},
	{"echo a > /dev/null; ./s.sh", "echo a >/dev/null; ./s.sh; >p1; >p2 x"},
	{"p1 {~,a}", "p1 ?{~,a}"},
	{"p1 a{,}", "p1 a a"},
	{"x=$(p1 \"a)b\")", "p1 a)b; {x=$(p1 \"a)b\")}"},
	{"[[ a ]] && p1", "p1"},
	{"case esac in esac) ;; esac", "! SYNTAX 1:18: a closing word or sign too many"},
	{"for i in a; { p1; }", "!p1"},
	{"p1 $'\\u0041' $'\\101' $'\\cA'", "!p1 A A A"},
	{"declare -a x=(1 $(p1))", "p1; declare -a ?x=(1 $(p1))"},
	{"p1 a=(b)", "!p1 a= SYNTAX 1:6: a sign that fits nowhere"},
	{"function a-b { p1; }; a-b", "p1; a-b()"},
	{"f() { f; }; f", "f; f()"},
	{"if a; then b() { c; }; fi; b", "a; c; b"},
	{"{ b() { c; }; }; b", "c; b"},
	{"p1 < <(p2)", "p2; p1 <?"},
	{"p1 > >(p2)", "p2; p1 >?"},
	{"sudo -u \"$u\" p1", "sudo -u ?\"$u\" p1; >p1 @"},
	{"git -C \"$d\" status", "git -C ?\"$d\" status"},
	{"git -C $d status", "!git -C ?$d status"},
	{"git log --format=\"%h $(p1)\"", "p1; git log ?--format=\"%h $(p1)\""},
	{"nice -n $x p1", "!nice -n ?$x p1"},
	{"docker run -v \"$PWD:/w\" i p1", "docker run -v ?\"$PWD:/w\" i p1; >p1 @"},
	{"docker run -v $PWD:/w i p1", "!docker run -v ?$PWD:/w i p1"},
	{"ssh \"$h\" p1", "!ssh ?\"$h\" p1"},
	{"xargs -n1 -I{} p1 a{}b", "xargs -n1 -I{} p1 a{}b; >p1 ?a{}b"},
	{"p1 2>/dev/null | p2 || true", "p1 >/dev/null; p2 <1; true"},
	{"(cd sub && ./s.sh)", "cd sub; !./s.sh"},
	{"(cd sub; ls); ./s.sh", "cd sub; ls; !./s.sh"},
	{"while read -r x; do p1 \"$x\"; done < f", "read -r x; p1 ?\"$x\";  <f"},
	{"printf \"%s\\n\" \"$x\" | xargs -r p1",
		"printf %s\\n ?\"$x\"; xargs -r p1 <1; >p1 ?{} <1"},
	{"time -p p1 | p2", "p1; p2 <1"},
	{"! p1 | p2", "p1; p2 <1"},
	{"p1 $(</etc/x)", " </etc/x; p1 ?$(</etc/x)"},
	{"bash <(p1)", "p1; !bash ?<(p1)"},
	{"bash -c \"$(p1)\"", "p1; !bash -c ?\"$(p1)\""},
	{"eval \"$(p1)\"", "!p1; !eval ?\"$(p1)\""},
	{". <(p1)", "!p1; !. ?<(p1)"},
	{"bash -c 'p1 \"$1\"' _ a", "bash -c p1 \"$1\" _ a; >p1 ?\"$1\""},
	{"sh <<< \"p1\"", "sh; >p1"},
	{"env -- p1", "env -- p1; >p1"},
	{"command -- p1", "command -- p1; >p1"},
	{"exec -- p1", "exec -- p1; >p1"},
	{"xargs -- p1", "xargs -- p1; >p1 ?{}"},
	{"timeout -- 5 p1", "timeout -- 5 p1; >p1"},
	{"sudo -- p1", "sudo -- p1; >p1 @"},
	{"nohup -- p1", "nohup -- p1 &; >p1 &"},
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

static void test_syntax(void **state)
{
	(void)state;
	check(syntax, ARRAY_SIZE(syntax));
}

static void test_doubts(void **state)
{
	(void)state;
	check(doubts, ARRAY_SIZE(doubts));
}

static void test_more(void **state)
{
	(void)state;
	check(more, ARRAY_SIZE(more));
}

/* Whether nothing of the script is certain, and at least something of it is there to be seen. */
static bool is_doubtful(const char *script, size_t length)
{
	struct analysis *analysis = NULL;
	assert_int_equal(analyze_shell(script, length, &examples, &analysis), 0);
	bool doubtful = analysis->count > 0 || analysis->incomplete;
	for (size_t i = 0; i < analysis->count; i++)
		doubtful &= analysis->parts[i].undecidable;
	analysis_free(analysis);
	return doubtful;
}

static void test_bytes_that_are_read_in_two_ways(void **state)
{
	static const struct {
		const char *script;
		size_t length;
	} scripts[] = {
		{"p1\r\np2", 6},
		{"p1 \0 p2", 7},
		{"p1 \xff", 4},
		{"p1 \xc0\xaf", 5},
		{"p1 \xed\xa0\x80", 6},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++)
		assert_true(is_doubtful(scripts[i].script, scripts[i].length));
	assert_false(is_doubtful("p1 \xc3\xa9", 5));
}

static void test_places(void **state)
{
	static const char script[] = "p1\n  p2 $(p3)\n\n\tif p4; then p5; fi\n";
	static const unsigned places[][2] = {{1, 1}, {2, 8}, {2, 3}, {4, 5}, {4, 14}};
	struct analysis *analysis = NULL;
	(void)state;
	assert_int_equal(analyze_shell(script, strlen(script), NULL, &analysis), 0);
	assert_int_equal(analysis->count, ARRAY_SIZE(places));
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		assert_int_equal(analysis->parts[i].line, places[i][0]);
		assert_int_equal(analysis->parts[i].column, places[i][1]);
	}
	assert_string_equal(analysis->parts[2].text, "p2 $(p3)");
	analysis_free(analysis);
}

/* count times what, in memory of its own. */
static char *repeat(const char *what, size_t count)
{
	size_t n = strlen(what);
	char *text = malloc(n * count + 1);
	assert_non_null(text);
	for (size_t i = 0; i < count; i++)
		memcpy(text + i * n, what, n);
	text[n * count] = '\0';
	return text;
}

/* What is too long or too deep is doubted as a whole, and ends soon. */
static void test_bounds(void **state)
{
	static const struct {
		const char *what;
		size_t count;
	} texts[] = {
		{"p1;", MAX_SCRIPT_COMMANDS + 1},
		{"x", MAX_SCRIPT_BYTES + 1},
		{"$(", 100000},
		{"(", 100000},
		{"${x:-", 100000},
		{"\"$(", 100000},
		{"{ ", 100000},
		{"if ", 100000},
		{"p1 <<a ", 100},
		{"$((", 100000},
		{"[[ (", 10000},
		{"`", 100001},
		{"f(){ ", 10000},
		{"case x in x) ", 10000},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		cleanup_free char *text = repeat(texts[i].what, texts[i].count);
		assert_true(is_doubtful(text, strlen(text)));
	}
	cleanup_free char *braces = repeat("{a,b}", 200);
	assert_true(is_doubtful(braces, strlen(braces)));
}

static void test_long_scripts_are_known(void **state)
{
	cleanup_free char *text = repeat("p1 a \"b\" 'c' | p2 $(p3)\n", 2000);
	struct analysis *analysis = NULL;
	(void)state;
	assert_int_equal(analyze_shell(text, strlen(text), NULL, &analysis), 0);
	assert_int_equal(analysis->count, 6000);
	assert_false(analysis->incomplete);
	assert_false(analysis->parts[5999].undecidable);
	assert_int_equal(analysis->parts[5999].line, 2000);
	analysis_free(analysis);
}

/* Every prefix of every example: whatever a script breaks off in, it is read without harm. */
static void test_scripts_that_break_off(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(syntax); i++)
		for (size_t n = 0; n < strlen(syntax[i].line); n++) {
			struct analysis *analysis = NULL;
			assert_int_equal(analyze_shell(syntax[i].line, n, &examples, &analysis), 0);
			analysis_free(analysis);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_syntax),
		cmocka_unit_test(test_doubts),
		cmocka_unit_test(test_more),
		cmocka_unit_test(test_bytes_that_are_read_in_two_ways),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_long_scripts_are_known),
		cmocka_unit_test(test_scripts_that_break_off),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
