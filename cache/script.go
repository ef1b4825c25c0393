package cache

import (
	"embed"

	"github.com/afterwrite/afterwrite/internal/rdb"
)

//go:embed lua/*.lua
var sources embed.FS

func load(name string) *rdb.Script { return rdb.Load(sources, name) }

var (
	writeScript      = load("write")
	leaseScript      = load("lease")
	fillScript       = load("fill")
	dueScript        = load("due")
	ackScript        = load("ack")
	holdScript       = load("hold")
	dropScript       = load("drop")
	beginScript      = load("begin")
	endScript        = load("end")
	sweepScript      = load("sweep")
	statsScript      = load("stats")
	invalidateScript = load("invalidate")
	listenScript     = load("listen")
	reserveScript    = load("reserve")
	retireScript     = load("retire")
	beatScript       = load("beat")
	leadScript       = load("lead")
	peekScript       = load("peek")
	dieScript        = load("die")
	retryScript      = load("retry")
	rescheduleScript = load("reschedule")
	pauseScript      = load("pause")
	nowScript        = load("now")
	barScript        = load("bar")
	unbarScript      = load("unbar")
	vleaseScript     = load("vlease")
	vfillScript      = load("vfill")
	vrenewScript     = load("vrenew")
	vsetScript       = load("vset")
	stampScript      = load("stamp")
	touchScript      = load("touch")
	watchScript      = load("watch")
	watchedScript    = load("watched")
)
