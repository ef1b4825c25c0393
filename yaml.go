package afterwrite

import (
	"io"

	"github.com/afterwrite/afterwrite/internal/config"
)

// WriteConfig writes the YAML of the command `afterwrite` for the same models. The URLs are left
// to AFTERWRITE_REDIS_URL and AFTERWRITE_DATABASE_URL.
func (db *DB) WriteConfig(to io.Writer) error {
	return config.Write(to, db.parts.Config.Redis.Prefix, db.entities)
}
