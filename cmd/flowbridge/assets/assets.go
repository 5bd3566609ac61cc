// Package assets holds the files that the binary carries for whoever runs it: alert rules, a dashboard, units,
// manifests, examples for proxies and CI. It knows no more of them than their names; its tests hold that each is what
// its reader takes.
package assets

import (
	"embed"
	"io/fs"
	"path"
	"slices"
)

//go:embed *.yaml *.json *.conf *.service *.socket Caddyfile all:helm
var files embed.FS

// Asset is one of them: a file, or a folder of files that belong together.
type Asset struct {
	Name  string
	About string // one line
	Files []string
}

// list is in the order in which they are shown.
var list = []Asset{
	{Name: "flowbridge.service", About: "systemd unit: notify, watchdog, credentials, no rights"},
	{Name: "flowbridge.socket", About: "systemd socket, optional: posts wait while the bridge is started anew"},
	{Name: "compose-sqlite.yaml", About: "Docker Compose: one bridge on SQLite"},
	{Name: "compose-postgres.yaml", About: "Docker Compose: two bridges on PostgreSQL, behind nginx"},
	{Name: "compose-nginx.conf", About: "the proxy of compose-postgres.yaml"},
	{Name: "kubernetes-sqlite.yaml", About: "Kubernetes: a StatefulSet of one, on SQLite"},
	{Name: "kubernetes-postgres.yaml", About: "Kubernetes: a Deployment of two or more, on PostgreSQL"},
	{Name: "helm", About: "Helm chart for both; a folder, so with --into"},
	{Name: "nginx.conf", About: "nginx: TLS, webhooks, the console behind a password"},
	{Name: "Caddyfile", About: "Caddy: the same"},
	{Name: "prometheus-rules.yaml", About: "Prometheus: what to alert on, with links to the manual"},
	{Name: "prometheus-rules.test.yaml", About: "their tests, for promtool"},
	{Name: "grafana-dashboard.json", About: "Grafana: a dashboard to import"},
	{Name: "github-workflow.yaml", About: "GitHub Actions: rules are checked and tested before they are merged"},
}

// List returns them all.
func List() []Asset {
	all := slices.Clone(list)
	for i := range all {
		all[i].Files = under(all[i].Name)
	}
	return all
}

// Names returns what they are called, with the files of folders.
func Names() (names []string) {
	for _, a := range List() {
		names = append(names, a.Name)
		if len(a.Files) != 1 || a.Files[0] != a.Name {
			names = append(names, a.Files...)
		}
	}
	return names
}

// Read returns what a file says; ok is false where there is none of that name.
func Read(name string) (text []byte, ok bool) {
	if !slices.Contains(Names(), name) {
		return nil, false
	}
	text, err := files.ReadFile(name)
	return text, err == nil
}

// under returns the files that belong to a name: itself, or what the folder has.
func under(name string) (found []string) {
	err := fs.WalkDir(files, path.Clean(name), func(at string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			found = append(found, at)
		}
		return err
	})
	if err != nil {
		panic(err) // it is part of the binary
	}
	return found
}
