// Package dashboard serves the pages on which operators see whether accepted writes
// reach the database: lag, pending, held and dead records, counters, workers, queues,
// and the state of Redis and of the database.
//
// The pages are rendered on the server and work without JavaScript: they refresh
// themselves through the browser. Nothing here changes anything. A page is answered
// whatever is down, and says what is. All viewers together cost Redis one reading of
// the figures a second, see [Options].
//
// Links are relative, so that the handler can be mounted under any path prefix:
//
//	http.Handle("/admin/", http.StripPrefix("/admin", handler))
//
// The styles are files of this package, served with a content security policy that
// admits nothing else; their origin, version and licence are in static/VENDORED.md.
package dashboard
