# Makes a commit of changes (on standard input, as `git update-index -z --index-info` reads them) and
# what leaves the task: patch and bundle.
#
#	OUT, COMMIT   as in pack_tree.sh
#	BRANCH, MESSAGE

out=$HOME/$OUT
GIT_DIR=$out/git GIT_WORK_TREE=/workspace GIT_INDEX_FILE=$out/index
export GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE
cd "$out"

git read-tree "$COMMIT"
git update-index -z --add --replace --index-info
tree=$(git write-tree)
if [ "$tree" = "$(git rev-parse "$COMMIT^{tree}")" ]; then
	: >"$out/same"
	exit 0
fi
commit=$(printf '%s' "$MESSAGE" | git commit-tree "$tree" -p "$COMMIT")
git update-ref "refs/heads/$BRANCH" "$commit"
echo "$commit" >"$out/commit"
git format-patch -1 --stdout --binary --full-index --no-signature --no-ext-diff --no-textconv \
	--src-prefix=a/ --dst-prefix=b/ "$commit" >"$out/patch"
git diff-tree -r -M --shortstat "$COMMIT" "$commit" >"$out/shortstat"
git bundle create -q "$out/bundle" "$COMMIT..refs/heads/$BRANCH"

# It is tried here, as those who get it will: by git apply, and as git am takes a mail apart.
gives() {
	rm -f "$out/check"
	GIT_INDEX_FILE=$out/check git read-tree "$COMMIT"
	GIT_INDEX_FILE=$out/check git apply --cached --whitespace=nowarn "$1" 2>/dev/null &&
		[ "$(GIT_INDEX_FILE=$out/check git write-tree)" = "$tree" ]
}
mails() {
	rm -rf "$out/mail"
	mkdir "$out/mail"
	git mailsplit "$@" -o"$out/mail" "$out/patch" >/dev/null &&
		[ -f "$out/mail/0001" ] && [ ! -e "$out/mail/0002" ] &&
		git mailinfo "$out/mail/message" "$out/mail/diff" <"$out/mail/0001" >/dev/null &&
		gives "$out/mail/diff"
}
how=bundle
if gives "$out/patch"; then
	how=apply
	if mails; then
		how=am
	elif mails --keep-cr; then
		how=keep-cr
	fi
fi
echo "$how" >"$out/how"
