# What every git of a task's starts from. Only git's own defaults and what stands here hold: no
# configuration, template, attribute or helper of the system's or of a person's, and none of these
# can be widened by a repository, since what could start a program is shut here by name.
set -eu
umask 022

readonly no_repository=10 no_ref=11 empty=12 refused=13

fail() {
	code=$1
	shift
	printf 'coffer: %s\n' "$*" >&2
	exit "$code"
}

# A file, and not GIT_CONFIG_COUNT: that would be forgotten by the git that reads a local repository.
GIT_CONFIG_GLOBAL=${TMPDIR:-/tmp}/coffer-gitconfig
export GIT_CONFIG_GLOBAL
cat >"$GIT_CONFIG_GLOBAL" <<'END'
[safe]
	directory = *
[core]
	hooksPath = /dev/null
	fsmonitor = false
	attributesFile = /dev/null
	excludesFile = /dev/null
	protectHFS = true
	protectNTFS = true
	fsync = none
	quotePath = true
[init]
	defaultBranch = main
[advice]
	detachedHead = false
	addEmbeddedRepo = false
[gc]
	auto = 0
[maintenance]
	auto = false
[submodule]
	recurse = false
[credential]
	helper =
[http]
	followRedirects = initial
	lowSpeedLimit = 1
	lowSpeedTime = 120
[uploadpack]
	allowFilter = true
	allowAnySHA1InWant = true
[fetch]
	fsckObjects = true
	unpackLimit = 1
	recurseSubmodules = false
# Old slips of honest histories, which no path and no program depends on.
[fetch "fsck"]
	badDate = warn
	badDateOverflow = warn
	badEmail = warn
	badName = warn
	badTimezone = warn
	missingEmail = warn
	missingNameBeforeEmail = warn
	missingSpaceBeforeDate = warn
	missingSpaceBeforeEmail = warn
	missingTaggerEntry = warn
	multipleAuthors = warn
	unknownType = error
	zeroPaddedDate = warn
	zeroPaddedFilemode = warn
END
