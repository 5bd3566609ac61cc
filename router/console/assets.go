package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/julienschmidt/httprouter"
)

//go:embed web
var webFiles embed.FS

// web is what pages are made with.
type web struct {
	pages  map[string]func() (*template.Template, error) // each is made when it is first shown
	assets map[string]*asset                             // by the name in their path
	css    string
	js     string
	nav    []navEntry
}

// asset is a file that never changes under its name.
type asset struct {
	kind          string
	plain, zipped []byte
}

// assetFiles are served under names with their hash in them.
var assetFiles = map[string]string{
	"console.css": "text/css; charset=utf-8", "console.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml",
}

// newWeb reads the templates and names the assets.
func (c *Console) newWeb() (*web, error) {
	w := &web{pages: map[string]func() (*template.Template, error){}, assets: map[string]*asset{}}
	hashed := map[string]string{}
	for name, kind := range assetFiles {
		data, err := webFiles.ReadFile("web/" + name)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(data)
		ext := path.Ext(name)
		hashed[name] = strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:6]) + ext
		w.assets[hashed[name]] = &asset{kind: kind, plain: data, zipped: zip(data)}
	}
	w.css, w.js = c.path("/assets/"+hashed["console.css"]), c.path("/assets/"+hashed["console.js"])
	funcs := c.templateFuncs()
	funcs["icon"] = func() string { return c.path("/assets/" + hashed["icon.svg"]) }
	shared, err := template.New("shared").Funcs(funcs).ParseFS(webFiles, "web/layout.html", "web/parts.html")
	if err != nil {
		return nil, err
	}
	files, err := fs.Glob(webFiles, "web/*.html")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		name := strings.TrimSuffix(path.Base(file), ".html")
		if name == "layout" || name == "parts" {
			continue
		}
		w.pages[name] = sync.OnceValues(func() (*template.Template, error) {
			t, err := shared.Clone()
			if err != nil {
				return nil, err
			}
			return t.ParseFS(webFiles, file)
		})
	}
	return w, nil
}

// template returns the template of a page.
func (w *web) template(page string) (*template.Template, error) {
	if t := w.pages[page]; t != nil {
		return t()
	}
	return nil, fmt.Errorf("there is no template %q", page)
}

// showAsset: GET /assets/{name}
func (c *Console) showAsset(w http.ResponseWriter, r *http.Request, p httprouter.Params) {
	a := c.web.assets[p.ByName("name")]
	if a == nil {
		c.fail(w, r, refuse(http.StatusNotFound, "there is nothing at %s", r.URL.Path))
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Header().Set("Content-Type", a.kind)
	w.Header().Set("Vary", "Accept-Encoding")
	body := a.plain
	if takesGzip(r) {
		w.Header().Set("Content-Encoding", "gzip")
		body = a.zipped
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body)
}
