# Applies /source/patch to the workspace, which is a layer over somebody's working tree.
#
#	THREE_WAY   or empty; then /source/git is that tree's repository, of which objects are read
#
# The tree's own .git is never used: not its index, and not its configuration. Its .gitattributes say
# how its lines end, as for any git.

GIT_DIR=${TMPDIR:-/tmp}/coffer-apply GIT_WORK_TREE=/workspace
export GIT_DIR GIT_WORK_TREE
cd /workspace
format=sha1
! grep -q -m 1 -E '^index [0-9a-f]{64}\.\.' /source/patch || format=sha256
git init -q --template= --object-format="$format"
if [ -d /source/git/objects ]; then
	mkdir -p "$GIT_DIR/objects/info"
	echo /source/git/objects >"$GIT_DIR/objects/info/alternates"
fi
if [ -n "$THREE_WAY" ]; then
	# The index that a merge starts from: the tree as it is.
	git -c core.bigFileThreshold=1 add -A --ignore-errors . 2>/dev/null || [ $? = 1 ]
fi
git apply --whitespace=nowarn ${THREE_WAY:+--3way} /source/patch || exit "$refused"
