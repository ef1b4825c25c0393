// Package bench measures the cost of a write by several ways, on this machine, in one run: plain Redis commands, a
// database statement per request, a hand-written write-behind, a task per write, and Afterwrite.
//
// A machine is never alone: its clock, its neighbours and its disk change from one minute to the next. So the ways take
// turns, a result is given as the ratio of two ways in the same turn, and the report shows the median and the extremes
// of all turns.
//
// The other ways are written as a good engineer would write them: prepared statements, no transaction around a single
// statement, pipelines where two commands go together, as many workers as help. They have the same durability: an
// append-only file, and a database that is synced at each commit.
//
// Workers and HTTP servers run as separate processes, as in production; the callers run in this process. Everything is
// stored under a separate prefix and in separate tables, and removed at the end.
package bench
