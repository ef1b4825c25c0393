// Package testkit gives tests the real thing: redis-server processes and PostgreSQL
// clusters of their own, SQLite files, and faults wrapped around them.
//
// A server runs in a directory of its own on a loopback port of its own, so tests of
// several packages run side by side. It ends with its test, and with the test binary
// however that ends: the kernel signals it when its parent dies, and a small shell
// that reads a pipe from the binary removes the directories once the pipe closes.
//
// A server that is not installed fails the test with the line that installs it. It
// never skips, since a test that did not run proves nothing, with one exception: MySQL,
// which no release of Debian has (scripts/mysql.sh).
//
// Only tests import this package, and it imports nothing of the product but the root
// package, so that every package may use it in its internal tests. What needs more
// is in testkit/check and testkit/flush.
package testkit
