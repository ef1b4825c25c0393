package schema

import "time"

// Bounds of the configuration, and of errors.
const (
	MaxPartitions     = 1024 // partitions of one entity
	MaxFlushBatch     = 10_000
	MaxIDBytes        = 1024 // largest id.max
	MaxNameBytes      = 63   // of a table, column or index: PostgreSQL truncates longer names
	MaxKeyColumns     = 8    // of a composite key
	MaxL1Age          = time.Hour
	MaxRetryAttempts  = 1000
	MaxRetryCap       = 7 * 24 * time.Hour
	MinRetryBase      = time.Millisecond
	MaxRetryTimeout   = 10 * time.Minute
	MaxFieldErrors    = 100  // invalid fields that one error names
	MaxRefusalMessage = 1024 // bytes of a database's message
)
