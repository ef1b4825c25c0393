package dashboard

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"mime"
	"net/http"
	"path"
)

//go:embed static/*.css static/*.svg static/*.js
var staticFiles embed.FS

// asset is a file of static/, whole in memory.
type asset struct {
	body []byte
	kind string
	etag string
}

func loadAssets() (map[string]asset, error) {
	files, err := staticFiles.ReadDir("static")
	if err != nil {
		return nil, fmt.Errorf("dashboard: static files: %w", err)
	}
	assets := map[string]asset{}
	for _, f := range files {
		body, err := staticFiles.ReadFile("static/" + f.Name())
		if err != nil {
			return nil, fmt.Errorf("dashboard: static files: %w", err)
		}
		sum := sha256.Sum256(body)
		assets[f.Name()] = asset{body, mime.TypeByExtension(path.Ext(f.Name())), `"` + hex.EncodeToString(sum[:8]) +
			`"`}
	}
	return assets, nil
}

// static serves a file. Browsers keep it and ask whether it has changed, which a new
// release answers by its new tag.
func (d *dashboard) static(w http.ResponseWriter, r *http.Request) {
	a, ok := d.assets[r.PathValue("file")]
	if !ok {
		d.notFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", a.etag)
	if r.Header.Get("If-None-Match") == a.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(a.body)
}
