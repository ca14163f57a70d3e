/* Files and disks: what cannot be had back, what opens them to everybody, archives that run
 * programs. */
#include "gate/classify_internal.h"

#include "base/path.h"

static bool names_device(const struct command *command)
{
	for (size_t i = 1; i < command->part->argv.count; i++) {
		const char *word = command->part->argv.items[i];
		word = strncmp(word, "of=", 3) == 0 ? word + 3 : word;
		if (is_device(command, word))
			return true;
	}
	return false;
}

static bool dd_writes(const struct command *command)
{
	for (size_t i = 1; i < command->part->argv.count; i++) {
		const char *word = command->part->argv.items[i];
		if (!command->part->word_known[i])
			return true;
		if (strncmp(word, "of=", 3) == 0 && !is_scratch(word + 3))
			return true;
	}
	return false;
}

/* An octal or symbolic mode: whether others may write with it; whether it sets an id bit. */
static bool mode_opens(const char *mode)
{
	size_t digits = strspn(mode, "01234567");
	if (digits > 0 && mode[digits] == '\0')
		return (mode[digits - 1] - '0') & 2;
	for (const char *s = mode; *s; s += strcspn(s, ",") + (s[strcspn(s, ",")] == ',')) {
		size_t who = strspn(s, "ugoa");
		bool others = who == 0 ? false : memchr(s, 'o', who) || memchr(s, 'a', who);
		const char *what = s + who;
		size_t what_bytes = strcspn(what, ",");
		if (others && (*what == '+' || *what == '=') && memchr(what, 'w', what_bytes))
			return true;
	}
	return false;
}

static bool mode_sets_id(const char *mode)
{
	size_t digits = strspn(mode, "01234567");
	if (digits > 0 && mode[digits] == '\0')
		return digits > 3 && ((mode[digits - 4] - '0') & 6);
	const char *sign = strpbrk(mode, "+=");
	return sign && strchr(sign, 's');
}

static bool chmod_opens(const struct command *command)
{
	const char *mode = operand(command, 0, NULL);
	return mode && mode_opens(mode);
}

static bool chmod_sets_id(const struct command *command)
{
	const char *mode = operand(command, 0, NULL);
	return mode && mode_sets_id(mode);
}

static bool install_sets_id(const struct command *command)
{
	const char *mode = option_value(command, "m,mode");
	return mode && mode_sets_id(mode);
}

/* sed -i on more than a handful, or on what only shows when it runs. */
static bool sed_changes_many(const struct command *command)
{
	size_t operands = 0;
	bool unknown = false, first = true;
	bool script = has_options(command, "e,f,expression,file");
	struct option_walk walk = option_walk_begin(command);
	for (struct option option; option_walk_next(&walk, &option);) {
		if (option.is_option)
			continue;
		if (first && !script) {
			first = false;
			continue;
		}
		operands++;
		unknown = unknown || !option.known || strcmp(option.name, "{}") == 0;
	}
	return unknown || operands > 8 || operands == 0;
}

/* The old way of writing tar's options: the first word, without a dash. */
static bool tar_old_style_absolute(const struct command *command)
{
	const struct strv *argv = &command->part->argv;
	const char *first = argv->count > 1 ? argv->items[1] : "";
	return first[0] != '-' &&
	       strspn(first, "AcdrtuxjJzZvfkmpPOhlsSwWabBCFgGiIKLMnNoRTUV") == strlen(first) &&
	       strchr(first, 'P');
}

static bool tar_runs(const struct command *command)
{
	struct option_walk walk = option_walk_begin(command);
	for (struct option option; option_walk_next(&walk, &option);) {
		char suffix;
		if (option.is_option && option.is_long &&
			spec_find("checkpoint-action", option.name, option.name_bytes, true,
				&suffix) &&
			option.value && strstr(option.value, "exec"))
			return true;
	}
	return has_options(command,
		"to-command,use-compress-program,I,info-script,new-volume-script,F,rsh-command,"
		"rmt-command");
}

static bool moves_into_nothing(const struct command *command)
{
	size_t count = operands_count(command);
	const char *last = count > 1 ? operand(command, count - 1, NULL) : NULL;
	return last && strcmp(last, "/dev/null") == 0;
}

static bool find_writes(const struct command *command)
{
	return has_options(command, "-fprint,-fprint0,-fprintf,-fls");
}

#define LOSES CLASS_DANGEROUS, CATEGORY_DELETE
#define RUNS CLASS_DANGEROUS, CATEGORY_COMMAND
#define MKFS                                                                                       \
	"mkfs,mkfs.ext2,mkfs.ext3,mkfs.ext4,mkfs.xfs,mkfs.btrfs,mkfs.vfat,mkfs.fat,mkfs.ntfs,"     \
	"mkfs.f2fs,mke2fs,mkswap,newfs,mkfs.minix,mkfs.cramfs,mkfs.exfat,mkntfs,mkdosfs"
#define DISKS                                                                                      \
	"fdisk,sfdisk,cfdisk,gdisk,sgdisk,parted,wipefs,blkdiscard,hdparm,nvme,badblocks,"         \
	"cryptsetup,mdadm,dmsetup,diskutil,partprobe,sg_format,shred,tune2fs,resize2fs,e2fsck"

static const struct danger rows[] = {
	{MKFS "," DISKS ",dd", NULL, NULL, names_device, CLASS_FORBIDDEN, CATEGORY_DELETE,
		"write-device", "it writes over a disk"},
	{MKFS, NULL, NULL, NULL, LOSES, "make-filesystem", "it makes a new, empty file system"},
	{DISKS, NULL, NULL, NULL, LOSES, "disk-tool", "it changes disks or wipes files"},
	{"lvremove,vgremove,pvremove,lvreduce", NULL, NULL, NULL, LOSES, "disk-tool",
		"it deletes volumes"},
	{"zpool,zfs", "destroy,rollback,labelclear", NULL, NULL, LOSES, "disk-tool",
		"it deletes file systems"},
	{"btrfs", "subvolume delete", NULL, NULL, LOSES, "disk-tool", "it deletes file systems"},
	{"dd", NULL, NULL, dd_writes, LOSES, "dd-write", "it writes over a file, byte by byte"},
	{"truncate", NULL, NULL, NULL, LOSES, "truncate", "it cuts files off"},
	{"mv", NULL, NULL, moves_into_nothing, LOSES, "delete-move", "it moves files into nothing"},
	{"sed", NULL, "i,in-place", sed_changes_many, LOSES, "sed-in-place",
		"it changes many files, or files that only show when it runs"},
	{"find", NULL, NULL, find_writes, CLASS_ORDINARY, CATEGORY_COMMAND, "find-write",
		"it writes what it finds into a file"},
	{"chmod", NULL, NULL, chmod_opens, RUNS, "chmod-open", "it lets everybody write"},
	{"chmod", NULL, NULL, chmod_sets_id, RUNS, "set-id", "it makes a program run as its owner"},
	{"install", NULL, NULL, install_sets_id, RUNS, "set-id",
		"it makes a program run as its owner"},
	{"chown,chgrp", NULL, "R,recursive", NULL, LOSES, "chown-recursive",
		"it changes the owner of everything below"},
	{"chown,chgrp", NULL, NULL, NULL, CLASS_ORDINARY, CATEGORY_COMMAND, "chown",
		"it changes an owner"},
	{"setfacl,setfattr,chattr,setcap", NULL, NULL, NULL, RUNS, "set-rights",
		"it changes who may do what with a file"},
	{"tar,bsdtar", NULL, NULL, tar_runs, RUNS, "tar-program",
		"it starts a program that its words name"},
	{"tar,bsdtar", NULL, "P,absolute-names,absolute-paths,unlink-first,recursive-unlink", NULL,
		CLASS_DANGEROUS, CATEGORY_WRITE_OUTSIDE, "tar-absolute",
		"it may write wherever the archive says"},
	{"tar,bsdtar", NULL, NULL, tar_old_style_absolute, CLASS_DANGEROUS, CATEGORY_WRITE_OUTSIDE,
		"tar-absolute", "it may write wherever the archive says"},
	{"tar", NULL, "remove-files", NULL, LOSES, "delete-recursive",
		"it deletes what it has put into the archive"},
	{"zip", NULL, "unzip-command", NULL, RUNS, "runs-named-program",
		"it starts a program that its words name"},
	{"zip", NULL, "-TT", NULL, RUNS, "runs-named-program",
		"it starts a program that its words name"},
	{"cpio", NULL, "absolute-filenames,rsh-command", NULL, CLASS_DANGEROUS,
		CATEGORY_WRITE_OUTSIDE, "tar-absolute", "it may write wherever the archive says"},
	{"rsync", NULL,
		"delete,delete-before,delete-during,delete-delay,delete-after,delete-excluded,del,"
		"remove-source-files",
		NULL, LOSES, "rsync-delete", "it deletes what the other side does not have"},
	{"rg", NULL, "pre,hostname-bin", NULL, RUNS, "rg-program",
		"it starts a program for every file"},
	{"rg", NULL, "z,search-zip", NULL, CLASS_ORDINARY, CATEGORY_COMMAND, "rg-zip",
		"it starts programs that unpack"},
	{"sort", NULL, "compress-program", NULL, RUNS, "sort-program",
		"it starts a program that its words name"},
	{"ag", NULL, "pager", NULL, RUNS, "runs-named-program",
		"it starts a program that its words name"},
	{"split", NULL, "filter", NULL, CLASS_UNDECIDABLE, CATEGORY_COMMAND, "runs-named-program",
		"it starts a program that its words name"},
	{"man", NULL, "P,pager,H,html", NULL, CLASS_UNDECIDABLE, CATEGORY_COMMAND,
		"runs-named-program", "it starts a program that its words name"},
};

const struct program_table dangers_of_files = PROGRAM_TABLE(rows);
