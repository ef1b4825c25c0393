package cache

import (
	"embed"

	"github.com/afterwrite/afterwrite/internal/layout"
)

//go:embed lua/*.lua
var sources embed.FS

var (
	writeScript      = layout.Load(sources, "write")
	lookScript       = layout.Load(sources, "look")
	unleaseScript    = layout.Load(sources, "unlease")
	fillScript       = layout.Load(sources, "fill")
	invalidateScript = layout.Load(sources, "invalidate")
	reserveScript    = layout.Load(sources, "reserve")
	retireScript     = layout.Load(sources, "retire")
	peekScript       = layout.Load(sources, "peek")
	barScript        = layout.Load(sources, "bar")
	unbarScript      = layout.Load(sources, "unbar")
)
