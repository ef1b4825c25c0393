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
	vleaseScript     = layout.Load(sources, "vlease")
	vfillScript      = layout.Load(sources, "vfill")
	vrenewScript     = layout.Load(sources, "vrenew")
	vsetScript       = layout.Load(sources, "vset")
	stampScript      = layout.Load(sources, "stamp")
	touchScript      = layout.Load(sources, "touch")
	watchScript      = layout.Load(sources, "watch")
	watchedScript    = layout.Load(sources, "watched")
)
