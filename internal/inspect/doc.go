// Package inspect reads what Redis says of itself, for checks at start, status pages and the
// operator's commands: its health and whether it may evict accepted writes, the permissions of
// the user, the slow log, the memory by entity and the nodes of a cluster. Many hosted servers
// refuse a part of it; what they refuse is left out and said so.
package inspect
