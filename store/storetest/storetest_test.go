package storetest_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/store/storetest"
)

var database = flag.String("database", "", "URL of a database to try instead of those that the tests start")

// TestConformance checks every promise on every dialect, or on -database alone.
func TestConformance(t *testing.T) {
	if *database != "" {
		db := testkit.SQL(t, *database)
		storetest.Run(t, storetest.Database{URL: *database, Exec: func(statement string) error {
			_, err := db.Exec(statement)
			return err
		}})
		return
	}
	testkit.AllDatabases(t, func(t *testing.T, url string) {
		storetest.Run(t, storetest.Database{URL: url, Exec: func(statement string) error {
			_, err := testkit.SQL(t, url).Exec(statement)
			return err
		}})
	})
}

// The page of databases has a row for each promise.
func TestPromisesAreTold(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/DATABASES.md")
	require.NoError(t, err)
	require.Contains(t, string(page), fmt.Sprintf("%d promises", len(storetest.Promises())))
	for _, p := range storetest.Promises() {
		row := "| `" + p.Name + "` | " + p.Text + " |"
		for _, dialect := range []string{"sqlite", "postgres", "mysql", "mysql"} {
			if why := p.Except[dialect]; why != "" {
				row += " no: " + why + " |"
			} else {
				row += " kept |"
			}
		}
		require.Contains(t, string(page), row+"\n")
	}
}

// Each promise has a name of its own and a text.
func TestPromisesHaveNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, p := range storetest.Promises() {
		require.False(t, seen[p.Name], p.Name)
		seen[p.Name] = true
		require.NotEmpty(t, p.Text)
		require.NotContains(t, p.Name, " ")
		require.Equal(t, strings.ToLower(p.Name), p.Name)
	}
}
