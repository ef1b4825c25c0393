// Package layout is what the packages that keep state in Redis share: the names of the keys,
// the functions that go before their scripts, and readers of the scripts' replies.
//
// All keys of a partition begin with the same base, "PREFIX:{ENTITY/PARTITION}:", and so are
// in one slot of a Redis Cluster: one script may take them together. What is of no partition
// has the base "PREFIX:{_}:". The keys are drawn in docs/ARCHITECTURE.md.
package layout
