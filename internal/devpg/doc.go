// Package devpg runs a private PostgreSQL for a program that was given no
// database: `exposuregraph serve` without --database-url, and the tests.
//
// The server is an ordinary PostgreSQL (15 or newer) found on the machine by
// [Find]; nothing is downloaded here. [Start] makes a data folder with initdb
// when there is none, runs postgres as a foreground child and returns when the
// owner role, the runtime role and the database exist. The server listens on a
// Unix socket in a folder that only its own user (and root) can enter, and on
// nothing else, which is why it can trust whoever reaches it.
//
// # The data folder
//
//	DataDir/pg            the PGDATA of PostgreSQL
//	DataDir/run           the socket, when the path is short enough for one
//	DataDir/socket        a file that says where the socket is
//	DataDir/lock          held (flock) by the process that runs the server
//	DataDir/postgres.log  what initdb and postgres had to say
//
// A Unix socket's path has room for about a hundred bytes. When DataDir/run is
// too long the socket lives in a short folder below the temporary directory,
// named after the data folder.
//
// initdb fills a folder beside pg that is renamed when it is complete, so a
// machine that dies in the middle leaves something to sweep up and never half a
// database.
//
// # One server for a folder
//
// The lock belongs to the process that started PostgreSQL, and the kernel takes
// it back however that process ends. A second Start answers a Conflict; a
// second program that only needs the database uses [Open], which attaches to
// the live server and starts one only when there is none.
//
// # Nothing is left behind
//
// The child sits in a process group of its own, so Ctrl-C in a terminal reaches
// only the parent, which shuts PostgreSQL down in order. When the parent dies
// without doing so (kill -9), Linux sends the child SIGINT, PostgreSQL's fast
// shutdown. Wherever that does not work, the next Start finds the orphan by its
// postmaster.pid, makes sure that it is what it seems to be, and shuts it down
// first. When PostgreSQL alone was killed, its backends hold the shared memory
// for a moment longer, and Start tries again until they are gone.
//
// A server that dies while it is in use is not restarted: [Server.Done] closes
// and [Server.Err] says why.
//
// # Root
//
// PostgreSQL refuses to run as root. A process that is root runs it as the user
// that owns the data folder; a folder that belongs to root holds a PGDATA of
// the user postgres or, where there is none, nobody. That user must be able to
// reach the folder, so it cannot lie below /root; [TempDir] makes one that will
// do for a test.
package devpg
