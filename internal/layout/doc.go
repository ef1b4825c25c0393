// Package layout is shared by the packages that keep state in Redis: the names of the keys, the Lua functions that are
// prepended to their scripts, and readers of the scripts' replies.
//
// All keys of a partition begin with the same base, "PREFIX:{ENTITY/PARTITION}:". They are therefore in one slot of a
// Redis Cluster, and one script can use them together. Keys that belong to no partition have the base "PREFIX:{_}:".
// docs/ARCHITECTURE.md lists the keys.
package layout
