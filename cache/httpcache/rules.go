package httpcache

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// storable lists the statuses that are cached; this cache understands their meaning.
var storable = []int{200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501}

// retargeting lists fields by which a caller can give many frameworks another host, scheme, path or method. They are
// part of every key, so a page produced with them is never served to a request without them.
var retargeting = []string{
	"Cf-Visitor", "Cloudfront-Forwarded-Proto", "Front-End-Https", "X-Arr-Ssl", "X-Envoy-Original-Path",
	"X-Forwarded-Host", "X-Forwarded-Https", "X-Forwarded-Path", "X-Forwarded-Port", "X-Forwarded-Prefix",
	"X-Forwarded-Proto", "X-Forwarded-Protocol", "X-Forwarded-Scheme", "X-Forwarded-Server", "X-Forwarded-Ssl",
	"X-Forwarded-Uri", "X-Host", "X-Http-Method", "X-Http-Method-Override", "X-Method-Override", "X-Original-Host",
	"X-Original-Uri", "X-Original-Url", "X-Rewrite-Url", "X-Scheme", "X-Url-Scheme",
}

// host returns the normalised host of a request's target URI.
func host(r *http.Request) string {
	name := strings.ToLower(r.Host)
	if r.TLS != nil {
		return strings.TrimSuffix(name, ":443")
	}
	return strings.TrimSuffix(name, ":80")
}

// path returns the normalised path of a target URI (RFC 3986, section 6.2.2): characters that need no escape have none,
// and escapes are in upper case. An escaped slash stays escaped, because it is not a separator.
func path(u *url.URL) string {
	escaped := u.EscapedPath()
	if escaped == "" {
		return "/"
	}
	if !strings.Contains(escaped, "%") {
		return escaped
	}
	var b strings.Builder
	for i := 0; i < len(escaped); i++ {
		c := escaped[i]
		if c != '%' || i+2 >= len(escaped) {
			b.WriteByte(c)
			continue
		}
		plain, err := hex.DecodeString(escaped[i+1 : i+3])
		if err == nil && unreserved(plain[0]) {
			b.WriteByte(plain[0])
		} else {
			b.WriteString(strings.ToUpper(escaped[i : i+3]))
		}
		i += 2
	}
	return b.String()
}

func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// key names the response to a request: by its target URI and its fields that can change the response. Parameters of one
// name keep their order, however the name is escaped, because a handler uses the first. Requests with Authorization
// have separate keys: a response that is for one of them alone says nothing about the others.
func (c *Cache) key(r *http.Request) string {
	parameters := strings.Split(r.URL.RawQuery, "&")
	slices.SortStableFunc(parameters, func(a, b string) int {
		return strings.Compare(parameterName(a),
			parameterName(b))
	})
	h := sha256.New()
	part := func(s string) { h.Write([]byte(strconv.Itoa(len(s)) + ":" + s)) }
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	part(scheme)
	part(strings.ToLower(r.URL.Scheme)) // of a request to a proxy
	part(host(r))
	part(path(r.URL))
	part(strconv.FormatBool(r.Header.Get("Authorization") != ""))
	part(strings.Join(parameters, "&"))
	for _, name := range c.vary {
		part(strings.Join(r.Header.Values(name), ","))
	}
	for _, name := range retargeting {
		if values := r.Header[name]; len(values) > 0 {
			part(name)
			part(strings.Join(values, ","))
		}
	}
	for _, pair := range strings.FieldsFunc(strings.Join(r.Header["Forwarded"], ","),
		func(r rune) bool { return r == ',' || r == ';' }) {
		name, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(pair)), "=")
		if name != "for" && name != "by" { // for and by name machines
			part(pair)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

func parameterName(parameter string) string {
	name, _, _ := strings.Cut(parameter, "=")
	if plain, err := url.QueryUnescape(name); err == nil {
		return plain
	}
	return name
}

// whole reports whether a response has the body that its handler announced: a response that broke off must not be
// cached.
func (r *recorder) whole() bool {
	announced := r.sent.Get("Content-Length")
	return announced == "" || announced == strconv.Itoa(len(r.body)) || r.code == http.StatusNoContent
}

// freshness returns how long a response may be cached by RFC 9111, section 3; 0: not at all.
func (c *Cache) freshness(r *http.Request, s response) time.Duration {
	field := "Cache-Control"
	if s.Header.Get(c.cfg.Target) != "" {
		field = c.cfg.Target // RFC 9213: instead of Cache-Control and Expires
	}
	d := directives(s.Header.Values(field))
	has := func(name string) bool { _, ok := d[name]; return ok }
	switch {
	case !slices.Contains(storable, s.Code), has("no-store"), has("private"), has("no-cache"),
		len(s.Header.Values("Set-Cookie")) > 0, !c.variesWithin(s.Header):
		return 0
	case r.Header.Get("Authorization") != "" && !has("public") && !has("s-maxage") && !has("must-revalidate"):
		return 0
	}
	for _, name := range []string{"s-maxage", "max-age"} {
		if text, ok := d[name]; ok {
			n, err := strconv.ParseUint(text, 10, 31)
			if err != nil {
				return 0 // an invalid value means stale
			}
			return min(time.Duration(n)*time.Second-s.age(), maxTTL)
		}
	}
	if expires := s.Header.Get("Expires"); expires != "" && field == "Cache-Control" {
		at, err := http.ParseTime(expires)
		date, bad := http.ParseTime(s.Header.Get("Date"))
		if bad != nil {
			date = time.Now()
		}
		if err == nil {
			return min(at.Sub(date)-s.age(), maxTTL)
		}
	}
	return 0
}

// forAnyone reports whether nothing in a response says that it is for one caller alone.
func (c *Cache) forAnyone(r *http.Request, s response) bool {
	d := directives(s.Header.Values("Cache-Control"))
	_, private := d["private"]
	_, noStore := d["no-store"]
	return !private && !noStore && len(s.Header.Values("Set-Cookie")) == 0 &&
		r.Header.Get("Authorization") == "" && c.variesWithin(s.Header)
}

// variesWithin reports whether the response varies only by fields of the key.
func (c *Cache) variesWithin(h http.Header) bool {
	for _, line := range h.Values("Vary") {
		for name := range strings.SplitSeq(line, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			if name != "" && !slices.Contains(c.vary, name) {
				return false
			}
		}
	}
	return true
}

// directives parses Cache-Control. The first value of a repeated directive counts.
func directives(lines []string) map[string]string {
	d := map[string]string{}
	for _, line := range lines {
		for item := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(item, "=")
			name = strings.ToLower(strings.TrimSpace(name))
			if _, twice := d[name]; name != "" && !twice {
				d[name] = strings.Trim(strings.TrimSpace(value), `"`)
			}
		}
	}
	return d
}

// tooOld reports whether a response is older than the request's max-age allows.
func tooOld(asked map[string]string, s response, age time.Duration) bool {
	text, ok := asked["max-age"]
	n, err := strconv.ParseUint(text, 10, 31)
	return ok && err == nil && s.age()+age > time.Duration(n)*time.Second
}

// notModified reports whether the caller has the response already (RFC 9110, section 13).
func notModified(asked http.Header, s response) bool {
	if s.Code != http.StatusOK {
		return false
	}
	if tags := strings.Join(asked.Values("If-None-Match"), ","); tags != "" {
		return strings.TrimSpace(tags) == "*" || matches(tags, strings.TrimPrefix(s.Header.Get("Etag"), "W/"))
	}
	since, err := http.ParseTime(asked.Get("If-Modified-Since"))
	changed, bad := http.ParseTime(s.Header.Get("Last-Modified"))
	return err == nil && bad == nil && !changed.After(since)
}

// matches reports whether a list of entity tags contains one, strong or weak. A tag can contain commas.
func matches(list, own string) bool {
	for own != "" {
		_, rest, found := strings.Cut(list, `"`)
		tag, after, closed := strings.Cut(rest, `"`)
		if !found || !closed {
			return false
		}
		if `"`+tag+`"` == own {
			return true
		}
		list = after
	}
	return false
}

func etag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + hex.EncodeToString(sum[:12]) + `"`
}
