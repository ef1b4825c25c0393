package values

import (
	"embed"

	"github.com/afterwrite/afterwrite/internal/layout"
)

//go:embed lua/*.lua
var sources embed.FS

var (
	leaseScript = layout.Load(sources, "vlease")
	fillScript  = layout.Load(sources, "vfill")
	renewScript = layout.Load(sources, "vrenew")
	setScript   = layout.Load(sources, "vset")
	touchScript = layout.Load(sources, "vtouch")
)
