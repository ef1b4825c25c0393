// Package fleet is the state that processes on the same Redis share about each other: which processes are alive, which
// of them leads, and whether their Redis went back to an older state.
//
// A lease admits one leader at a time, as far as the clocks agree; two leaders at once must be harmless. Each process
// stores a growing number, its mark: a process that finds an older mark than its last one is on a Redis that lost
// writes.
package fleet
