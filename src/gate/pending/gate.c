#include "gate/command.h"
#include <string.h>
int cmd_gate(int argc, char *argv[])
{
	return argc > 1 && strcmp(argv[1], "parts") == 0 ? gate_parts(argc - 1, argv + 1) : 125;
}
