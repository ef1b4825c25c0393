// Package fsck proves that Redis and the database agree.
//
// For each entity it checks two things. The sum: every accepted write is persisted,
// superseded, pending, held, dead or discarded, and none was lost. The records: each
// one that Redis calls persisted is in the database byte for byte, a deletion has no
// row, what the database has not seen yet cannot expire, and each id that is listed
// as pending, held or dead has its record.
//
// It runs beside live traffic without false alarms. A record that differs is looked
// at again: its state in Redis, then its row, then its state once more. Only when
// both states are the same version, persisted, does the row have to match; a record
// that keeps changing is counted as busy and judged by its next check.
//
// It reads in pages, so its memory does not grow with the number of records.
package fsck
