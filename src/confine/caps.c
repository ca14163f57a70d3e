#include "confine/caps.h"

#include "base/sys.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <sys/prctl.h>

int caps_drop_all(struct error *error)
{
	/* A bounding set can only be shrunk with CAP_SETPCAP; without it (landlock tier as an
	 * ordinary user) no_new_privs below makes it meaningless. The last capability differs by
	 * kernel. */
	for (unsigned long cap = 0; cap < 64; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			break;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
		return error_set_errno(error, errno, "capabilities", "the ambient set");
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {0};
	if (syscall(SYS_capset, &header, none) < 0)
		return error_set_errno(error, errno, "capabilities", "dropping them");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_set_errno(error, errno, "capabilities", "no_new_privs");
	/* A keyring that the caller's session shares would be a way to its keys. */
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS &&
		errno != EPERM && errno != EDQUOT)
		return error_set_errno(error, errno, "capabilities", "the session keyring");
	return 0;
}
