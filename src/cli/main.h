#ifndef COFFER_CLI_MAIN_H
#define COFFER_CLI_MAIN_H

int cli_main(int argc, char *argv[]);

#endif
