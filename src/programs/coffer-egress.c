#include "egress/egress.h"

int main(void)
{
	return egress_main();
}
