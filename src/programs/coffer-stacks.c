#include "witness/stacks_helper.h"

int main(int argc, char *argv[])
{
	return stacks_main(argc, argv);
}
