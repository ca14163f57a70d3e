#include "session/session.h"
int cmd_session(int argc, char *argv[]) { (void)argc; (void)argv; return 125; }
