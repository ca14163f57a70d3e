# Makes one git tree of what is in the workspace.
#
#	OUT      a new directory of the home, for what comes of it
#	COMMIT   of the clone, whose own .git is at /source/git
#	LARGE    bytes: a bigger file that git does not know is left out
#
# With /source/prepared (the OUT of the prepared tree) it tells what has changed since.
#
# This box's layer is thrown away, so what git would trip over is simply put out of its way: special
# files, locks on directories, repositories within the tree. GIT_DIR is this script's own; /workspace
# may hold anything as .git, and git never looks at it.

case $HOME in /*) cd "$HOME" ;; esac
[ -w "$HOME" ] || chmod u+rwx "$HOME"
out=$HOME/$OUT
mkdir "$out"
GIT_DIR=$out/git GIT_WORK_TREE=/workspace
export GIT_DIR GIT_WORK_TREE
chmod u+rwx /workspace
cd /workspace

format=sha1
[ "${#COMMIT}" -lt 64 ] || format=sha256
git init -q --template= --object-format="$format"
mkdir -p "$GIT_DIR/info" "$GIT_DIR/objects/info"
echo /source/git/objects >"$GIT_DIR/objects/info/alternates"
[ ! -f /source/git/shallow ] || cp /source/git/shallow "$GIT_DIR/shallow"
# No attribute of the tree's converts, hides or names a program.
echo '* !text !crlf !eol !ident !filter !working-tree-encoding !diff !merge !whitespace' \
	>"$GIT_DIR/info/attributes"

if [ -d /source/prepared ]; then
	echo /source/prepared/git/objects >>"$GIT_DIR/objects/info/alternates"
	# With its times: by them git knows which files cannot have changed since. What changed has
	# another ctime, which nobody in a box can set.
	cp --preserve=timestamps /source/prepared/git/index "$GIT_DIR/index"
else
	git read-tree "$COMMIT"
fi

: >"$out/large"
find . -path ./.git -prune -o \
	-name .git \( -type d -fprintf "$out/nested" '%P\0' -exec chmod 000 {} + -o \
		-fprintf "$out/nested" '%P\0' -exec rm -f {} + \) -prune -o \
	-type d \( -perm -700 -o -exec chmod u+rwx {} \; \) -empty \
		-fprintf "$out/empty" '%P\0' -o \
	-type f \( -perm -400 -o -exec chmod u+r {} + \) -size "+${LARGE}c" \
		-fprintf "$out/large" '%P\0' -o \
	! -type d ! -type f ! -type l -fprintf "$out/special" '%P\0' -exec rm -f {} +
sed -z 's/[][*?\\ !#]/\\&/g; s/\n/?/g; s/^/\//' "$out/large" | tr '\0' '\n' >"$GIT_DIR/info/exclude"

# Every blob goes into one pack: a million small files are no million files here.
code=0
git -c core.bigFileThreshold=1 add -A --ignore-errors . || code=$?
[ "$code" -le 1 ] || exit "$code"
git ls-files -z -o --exclude-per-directory=.gitignore >"$out/left"
git diff-files -z --name-only >>"$out/left"
git write-tree >"$out/tree"

# Submodules are other repositories; of them it is only said whether anything in them has changed.
git ls-files -s -z | grep -z '^160000 ' | sed -z 's/^[^\t]*\t//' >"$out/links" || :
xargs -0 -r sh -c 'for path; do
	find "./$path" -name .git -prune -o -type d -o -printf "%P %y %m %s %C@ %l\0" 2>/dev/null |
		sort -z | sha256sum | cut -c 1-64
done' sh <"$out/links" >"$out/digests"

[ -d /source/prepared ] || exit 0
git diff-tree -r -z --raw --no-renames --no-abbrev \
	"$(cat /source/prepared/tree)" "$(cat "$out/tree")" >"$out/changes"
sed -z -n '1~2s/^:[0-7]* [0-7]* [0-9a-f]* \([0-9a-f]*\) .*/\1/p' "$out/changes" | tr '\0' '\n' |
	git cat-file --batch-check='%(objectsize)' >"$out/sizes"
