package layout

import (
	"context"
	"strconv"
	"strings"

	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

// ScanStep is the number of keys that one step of a scan visits.
const ScanStep = 500

// ScanRecords calls fn with the cached ids of an entity that match a glob, by partition, a bounded step at a time, on
// every node. An id can come more than once, as with SCAN.
func ScanRecords(ctx context.Context, client *rdb.Client, p Prefix, e *schema.Entity, glob string,
	fn func(partition int, ids []string) error) error {
	match := GlobQuote(string(p)+":{"+e.Name+"/") + "*}:r:" + glob
	return client.ScanKeys(ctx, match, ScanStep, func(keys []string) error {
		for partition, ids := range byPartition(p, e, keys) {
			if err := fn(partition, ids); err != nil {
				return err
			}
		}
		return nil
	})
}

// byPartition reads the keys of records.
func byPartition(p Prefix, e *schema.Entity, keys []string) map[int][]string {
	found := map[int][]string{}
	for _, key := range keys {
		tag, id, ok := strings.Cut(strings.TrimPrefix(key, string(p)+":{"+e.Name+"/"), "}:r:")
		partition, err := strconv.Atoi(tag)
		if ok && err == nil {
			found[partition] = append(found[partition], id)
		}
	}
	return found
}
