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
	dueScript        = layout.Load(sources, "due")
	ackScript        = layout.Load(sources, "ack")
	holdScript       = layout.Load(sources, "hold")
	dropScript       = layout.Load(sources, "drop")
	beginScript      = layout.Load(sources, "begin")
	endScript        = layout.Load(sources, "end")
	sweepScript      = layout.Load(sources, "sweep")
	statsScript      = layout.Load(sources, "stats")
	invalidateScript = layout.Load(sources, "invalidate")
	listenScript     = layout.Load(sources, "listen")
	reserveScript    = layout.Load(sources, "reserve")
	retireScript     = layout.Load(sources, "retire")
	peekScript       = layout.Load(sources, "peek")
	dieScript        = layout.Load(sources, "die")
	retryScript      = layout.Load(sources, "retry")
	rescheduleScript = layout.Load(sources, "reschedule")
	pauseScript      = layout.Load(sources, "pause")
	nowScript        = layout.Load(sources, "now")
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
