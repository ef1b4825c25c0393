// Package process wires the parts of one Afterwrite process together, checks Redis and the
// database before it serves, watches both while it runs, and serves HTTP until it ends.
//
// Join makes the cache and the store. NewAPI, NewWorker and NewDashboard add the rest of
// their process to it; ServeAPI, ServeWorker and ServeDashboard run one until its context
// ends. A process stays up while Redis or the database is away: a gate holds its requests
// and its flushes back until the start checks have passed.
package process
