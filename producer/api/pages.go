package api

import "net/http"

// pages keeps responses; see cache/httpcache. What it keeps of a page must have the tag of
// the page's entity, so that a change of any record ends it.
type pages interface {
	Handler(next http.Handler) http.Handler
}

// pageFreshness bounds how long a page is kept that nothing has changed, as far as the
// cache has heard: another program may write to the database. It holds for callers with a
// token, too: who may list an entity sees the same page.
var pageFreshness = []string{"s-maxage=5"}

// newPages serves pages of rows, from kept ones where that is asked for.
func (a *API) newPages(keep pages) http.Handler {
	read := http.HandlerFunc(a.servePage)
	if keep == nil {
		return read
	}
	return keep.Handler(read)
}

// servePage answers a page. It may run apart from the request that asked for it.
func (a *API) servePage(w http.ResponseWriter, r *http.Request) {
	c := newCall(w, r)
	defer c.release()
	defer a.free(c)
	c.header["Cache-Control"] = headerNoCache
	err := a.route(c)
	if err == nil {
		err = a.page(r.Context(), c)
	}
	if err != nil {
		c.header["Cache-Control"] = headerNoStore
		a.refuse(c, err)
	}
}
