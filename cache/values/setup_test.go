package values_test

import (
	"testing"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
)

// bundle is what the tests of this package share with those of the others on one Redis, for functions of its own.
type bundle struct{ whole.Bundle }

func setup(t *testing.T, change ...func(*schema.Entity, *cache.Config)) *bundle {
	t.Helper()
	return &bundle{*whole.Setup(t, change...)}
}
