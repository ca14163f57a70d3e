#include "session/session.h"
int cmd_mcp(int argc, char *argv[]) { (void)argc; (void)argv; return 125; }
