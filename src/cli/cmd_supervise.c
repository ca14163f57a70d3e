/* Not for people: libcoffer starts its supervisors this way, with the request as descriptor 3 and
 * its socket as descriptor 4. */
#include "cli/command.h"

#include "library/supervise.h"

#include <fcntl.h>

int cmd_supervise(int argc, char *argv[])
{
	(void)argv;
	if (argc != 1 || fcntl(3, F_GETFD) < 0 || fcntl(4, F_GETFD) < 0) {
		cli_complain_text("`coffer supervise` is how libcoffer starts a supervisor");
		return EXIT_SETUP_FAILED;
	}
	return library_supervise(3, 4);
}
