// Package bench measures what a write costs by several ways, on this machine, in one run:
// plain Redis commands, a database statement per request, the write-behind that people
// write by hand, a task per write, and Afterwrite.
//
// A machine is never alone: its clock, its neighbours and its disk differ from one minute
// to the next. So the ways take turns, a figure is told as the ratio of two ways in the
// same turn, and of all turns the median and the extremes are shown.
//
// The other ways are written as a good engineer would write them: prepared statements,
// no transaction around a single statement, pipelines where two commands go together,
// as many workers as help. They keep the same durability: an append-only file, and a
// database that is synced at each commit.
//
// Workers and HTTP servers run as processes of their own, as in production; the callers
// run in this one. Everything is kept under a prefix and in tables of its own, and
// removed at the end.
package bench
