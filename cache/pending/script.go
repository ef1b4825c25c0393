package pending

import (
	"embed"

	"github.com/afterwrite/afterwrite/internal/layout"
)

//go:embed lua/*.lua
var sources embed.FS

var (
	dueScript        = layout.Load(sources, "due")
	theseScript      = layout.Load(sources, "these")
	ackScript        = layout.Load(sources, "ack")
	holdScript       = layout.Load(sources, "hold")
	dropScript       = layout.Load(sources, "drop")
	dieScript        = layout.Load(sources, "die")
	beginScript      = layout.Load(sources, "begin")
	endScript        = layout.Load(sources, "end")
	sweepScript      = layout.Load(sources, "sweep")
	retryScript      = layout.Load(sources, "retry")
	rescheduleScript = layout.Load(sources, "reschedule")
	pauseScript      = layout.Load(sources, "pause")
	nowScript        = layout.Load(sources, "now")
	statsScript      = layout.Load(sources, "stats")
	letterScript     = layout.Load(sources, "letter")
	fateScript       = layout.Load(sources, "fate")
	forgetScript     = layout.Load(sources, "forget")
	tellScript       = layout.Load(sources, "tell")
	turnScript       = layout.Load(sources, "turn")
	olderScript      = layout.Load(sources, "older")
	repairedScript   = layout.Load(sources, "repaired")
	yieldScript      = layout.Load(sources, "yield")
)
