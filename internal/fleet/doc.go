// Package fleet is what the processes that share a Redis know of each other: which of them
// live, which of them leads, and whether their Redis went back to an older state of itself.
//
// A lease admits one leader at a time, as far as the clocks agree; two leaders at once must be
// harmless. Each process leaves a mark that grows: a process that finds an older one than it
// left has met a Redis that lost writes.
package fleet
