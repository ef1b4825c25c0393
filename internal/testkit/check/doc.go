// Package check ends an integration test: it holds what the test was promised against
// what became of it.
//
// A [Ledger] remembers every write that was acknowledged, and every one whose outcome
// is not known. [All] then asks Redis and the database. It is apart from testkit because
// it imports cache and fsck, whose own tests use testkit.
package check
