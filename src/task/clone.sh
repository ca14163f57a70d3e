# Fetches one repository and checks one commit of it out.
#
#	SOURCE   a directory or bundle of the host's that holds it; or empty, and
#	URL      where git fetches it
#	ORIGIN   what .git/config remembers of that
#	WORK     the working tree; GITDIR its .git, elsewhere for a submodule
#	KIND     head, name or commit; REF: the branch or tag, or the commit
#	DEPTH, FILTER, MODULE, PARENT   or empty
#
# Tells in GITDIR/coffer-clone what it is, in coffer-modules and coffer-links what the submodules are.

tab=$(printf '\t')
head='' head_branch='' branch='' tag='' target=''

# A repository of the host is served by one of this box's own, which has its objects and refs and
# nothing of its configuration.
if [ -f "$SOURCE" ]; then
	URL=$SOURCE
elif [ -n "$SOURCE" ]; then
	common=$SOURCE
	# A worktree has its own HEAD and little else.
	[ ! -f "$SOURCE/commondir" ] || common=/source
	URL=${TMPDIR:-/tmp}/served
	format=sha1
	[ ! -f "$common/config" ] ||
		format=$(git config -f "$common/config" extensions.objectFormat) || format=sha1
	git init -q --bare --template= --object-format="$format" "$URL"
	echo "$common/objects" >"$URL/objects/info/alternates"
	for name in packed-refs shallow; do
		[ ! -f "$common/$name" ] || cp "$common/$name" "$URL/"
	done
	[ ! -f "$SOURCE/HEAD" ] || cp "$SOURCE/HEAD" "$URL/"
	cp -R "$common/refs" "$URL/"
	# Reading a pipe would never end.
	find "$URL/refs" ! -type f ! -type d -exec rm -f {} +
fi

# Exact names: ls-remote's patterns also fit the ends of others.
list=$(git ls-remote --symref -- "$URL" HEAD ${REF:+"refs/heads/$REF" "refs/tags/$REF"}) ||
	exit "$no_repository"
while IFS=$tab read -r value name; do
	case $name in
	HEAD)
		case $value in
		'ref: refs/heads/'*) head_branch=${value#ref: refs/heads/} ;;
		'ref: '*) ;;
		*) head=$value ;;
		esac
		;;
	"refs/heads/$REF") branch=$value ;;
	"refs/tags/$REF") tag=$value ;;
	esac
done <<END
$list
END

case $KIND in
head)
	[ -n "$head" ] || fail "$empty" "the repository has no commit yet"
	sample=$head
	;;
name)
	sample=$branch$tag
	[ -n "$sample" ] || fail "$no_ref" "there is no branch and no tag '$REF'"
	;;
commit)
	sample=$REF
	;;
esac

format=sha1
[ "${#sample}" -lt 64 ] || format=sha256
mkdir -p "$(dirname "$GITDIR")" "$WORK"
if [ "$GITDIR" = "$WORK/.git" ]; then
	git init -q --template= --object-format="$format" "$WORK"
else
	git init -q --template= --object-format="$format" --separate-git-dir "$GITDIR" "$WORK"
fi
cd -P "$WORK"
[ "$(pwd -P)" = "$WORK" ] || fail "$refused" "a link stands in the way of $WORK"

# The working tree holds what the commit holds, byte for byte: nothing converts it on the way.
mkdir -p "$GITDIR/info"
echo '* !text !crlf !eol !ident !working-tree-encoding' >"$GITDIR/info/attributes"
git config --add remote.origin.fetch '+refs/heads/*:refs/remotes/origin/*'

# What a promisor remote lacks is fetched later by the name of the remote: so that is its address
# until all is there.
git config remote.origin.url "$URL"

fetch() {
	git fetch --progress --no-write-fetch-head --update-shallow ${DEPTH:+"--depth=$DEPTH"} \
		${FILTER:+"--filter=$FILTER"} "$@"
}
fetch_all() {
	fetch --tags origin '+refs/heads/*:refs/remotes/origin/*'
}
# One ref, or with the whole history all of them, as git clone does.
get() {
	if [ -n "$DEPTH" ]; then
		fetch --no-tags origin "$1" || exit "$refused"
	else
		fetch_all || exit "$refused"
	fi
}

[ "$KIND" = head ] || target=$REF
if [ "$KIND" = head ] && [ -n "$head_branch" ]; then
	target=$head_branch branch=$head
fi
if [ "$KIND" = commit ]; then
	commit=$REF
	# Not every server gives out a commit by its id; then it may be below a branch.
	fetch --no-tags origin "$REF" || DEPTH='' fetch_all || exit "$refused"
	[ -n "$DEPTH" ] || fetch_all || exit "$refused"
elif [ -n "$branch" ]; then
	commit=refs/remotes/origin/$target
	get "+refs/heads/$target:$commit"
elif [ -n "$tag" ]; then
	commit=refs/tags/$target
	get "+refs/tags/$target:$commit"
else
	commit=$head
	get "$head"
	git cat-file -e "$head" || fetch --no-tags origin "$head" || exit "$refused"
fi

id=$(git rev-parse --quiet --verify "$commit^{commit}") ||
	fail "$no_ref" "there is no commit '$REF'"
if [ -n "$branch" ] && git check-ref-format --branch "$target" >/dev/null 2>&1; then
	git checkout -q -f -B "$target" --track "$commit" -- || exit "$refused"
else
	target=
	git checkout -q -f --detach "$id" -- || exit "$refused"
fi
git config remote.origin.url "$ORIGIN"

# LFS: what is checked out are its pointers.
pointers=0
if git grep -q 'filter=lfs' -- ':(glob)**/.gitattributes' 2>/dev/null; then
	pointers=$(find . -name .git -prune -o -type f -size -2k -exec \
		grep -l '^version https://git-lfs.github.com/spec/v1' {} + | wc -l)
fi
git config -z --blob "$id:.gitmodules" --get-regexp '^submodule\.' >"$GITDIR/coffer-modules" \
	2>/dev/null || :
git ls-files -s -z | grep -z '^160000 ' >"$GITDIR/coffer-links" || :
if [ -n "$MODULE" ]; then
	git config -f "$PARENT/config" "submodule.$MODULE.url" "$ORIGIN"
	git config -f "$PARENT/config" "submodule.$MODULE.active" true
fi
printf '%s\n' "$id" "$target" "$pointers" >"$GITDIR/coffer-clone"
