// Package cli is the command line: one file for each command, which reads its
// flags, makes one call and prints what came of it.
//
// Data goes to stdout and everything else to stderr. A setting is taken from the
// first of: its flag; EXPOSUREGRAPH_ and the flag's name in capitals, with
// underscores; the YAML file of --config, whose keys are the names of flags; the
// default. For the database DATABASE_URL is read as well.
//
// Exit codes:
//
//	0  done
//	1  failure, among them input that is wrong
//	2  the command line is wrong
//	3  done in part: some records were rejected, each is listed
//	4  not found
//	5  denied, or no valid token
//	6  conflict
//	7  unavailable: no server, no database
package cli
