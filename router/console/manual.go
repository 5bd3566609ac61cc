package console

import (
	"html/template"
	"io/fs"
	"net/http"
	"slices"
	"strings"

	"github.com/julienschmidt/httprouter"
)

// manualPage is what a page of the manual shows.
type manualPage struct {
	Pages []manualEntry
	Text  template.HTML // "": the list alone
}

// manualEntry is a page in the list.
type manualEntry struct {
	Name, Title string
	Current     bool
}

func (c *Console) manualRoutes() []pageRoute {
	return []pageRoute{
		{Method: http.MethodGet, Path: "/docs", View: c.showManual},
		{Method: http.MethodGet, Path: "/docs/:page", View: c.showManual},
	}
}

// showManual: GET /docs and /docs/{page}
func (c *Console) showManual(_ *http.Request, p httprouter.Params) (page, error) {
	name := strings.TrimSuffix(p.ByName("page"), ".md")
	shown, title := manualPage{}, "Manual"
	for _, known := range c.cfg.ManualPages {
		text, err := c.manualText(known)
		if err != nil {
			return page{}, err
		}
		first, _, _ := strings.Cut(text, "\n")
		entry := manualEntry{Name: known, Title: strings.TrimPrefix(first, "# "), Current: known == name}
		if entry.Current {
			title, shown.Text = entry.Title, markdown(text, c.manualLink)
		}
		shown.Pages = append(shown.Pages, entry)
	}
	if name != "" && shown.Text == "" {
		return page{}, refuse(http.StatusNotFound, "the manual has no page %q", name)
	}
	return page{Title: title, Template: "docs", Data: shown}, nil
}

func (c *Console) manualText(name string) (string, error) {
	data, err := fs.ReadFile(c.cfg.Manual, name+".md")
	return string(data), err
}

// manualLink leads to other pages of the manual, and to the web.
func (c *Console) manualLink(target string) string {
	file, fragment, _ := strings.Cut(target, "#")
	if fragment != "" {
		fragment = "#" + anchor(fragment)
	}
	if name, ok := strings.CutSuffix(file, ".md"); ok && slices.Contains(c.cfg.ManualPages, name) {
		return c.path("/docs/" + name + fragment)
	}
	if file == "" {
		return fragment
	}
	return webURL(target)
}
