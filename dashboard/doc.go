// Package dashboard serves the pages on which operators see whether accepted writes
// reach the database, find out what is stuck and why, and repair it: lag, pending, held and
// dead records, one record or letter against its row, retry and discard in bulk, retry
// policies, queues, the cache, and the audit of all that was done.
//
// The pages are rendered on the server and work without JavaScript, by links and forms.
// With it they refresh themselves when the server says that there is something new: one
// sampler a process reads the figures, keeps them for the charts, and wakes the open
// pages, whatever their number. A page is answered whatever is down, and says what is.
//
// # Where what is
//
//	dashboard.go  what is configured, and the routes
//	page.go       how a page is shown; assets.go its styles and scripts; metrics.go how long it took
//	login.go      the log-in; people.go the users and their roles
//	state.go      the state that all pages share, and the verdict on it; live.go tells open pages of a new one
//	overview.go   the first page, with losses.go; entity.go, queues.go, cache.go, audit.go, tokens.go a page each
//	refused.go    dead letters, letter.go one of them; held.go held records, heldact.go what is done with them
//	act.go        retry and discard, confirmed; jobs.go the same of many
//	record.go     one record beside its row
//	policies.go   retry policies
//	export.go     every list as CSV or JSON
//
// What the pages rest on stands in rooms of its own, below internal: login (passwords, tries, sessions), filter (of
// refused records, in a query), groups (counts of them by error), held (the walk over held records), chart, pulse,
// export and format. None of them knows a page.
//
// # Who may do what
//
// Without users the pages answer on this machine's own addresses alone, and each caller is
// there is an admin. With users, or a reverse proxy that names them, each has a role,
// which the server enforces on every request: a viewer looks, an operator edits, retries and discards records,
// an admin tunes policies, queues and the cache as a whole, and keeps the API's tokens. A
// GET changes nothing, and a POST from another site's page is refused. Actions say how
// many records they are about and are refused where that number has changed meanwhile; in
// an environment that is named production they are typed to confirm them.
//
// # What the pages show
//
// Values are shown as their canonical JSON texts, so every digit of a number is there.
// Values of fields that are marked to be redacted are shown nowhere, exports included.
// What a record contains is text: nothing is inline in the pages, and their policy admits
// this package's own files alone.
//
// Links are relative, so that the handler can be mounted under any path prefix:
//
//	http.Handle("/admin/", http.StripPrefix("/admin", handler))
//
// The vendored styles and scripts are served from this package; their origin, version and
// licence are in static/VENDORED.md.
package dashboard
