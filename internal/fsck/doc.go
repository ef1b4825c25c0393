// Package fsck checks that Redis and the database agree.
//
// It checks two things for each entity. The counts: every accepted write is persisted, superseded, pending, held, dead
// or discarded, and none is lost. The records: a record that is persisted in Redis equals its row byte for byte, a
// deleted record has no row, a record that is not persisted cannot expire, and each id on the pending, held or dead
// list has a record.
//
// It runs beside live traffic without false alarms. A record that differs is read again: its state in Redis, then its
// row, then its state once more. Only if both states have the same version and are persisted must the row match; a
// record that keeps changing is counted as busy and left to the next check.
//
// It reads in pages, so its memory does not grow with the number of records.
package fsck
