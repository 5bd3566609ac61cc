package doctor

import (
	"context"
	"net/http"

	"flowbridge/router/graph"
)

// checkGraph has Meta's Graph API name the first account of the rules, or else who the token is of. Without a token
// nothing is asked there, which is no fault.
func (d *Doctor) checkGraph(ctx context.Context) []diagnosis {
	const name = "meta access token"
	token := d.cfg.Secrets["META_ACCESS_TOKEN"]
	if token == "" {
		return nil
	}
	address, err := graph.Address(d.cfg.Setting("META_GRAPH_URL"))
	if err != nil {
		return []diagnosis{fail(name, err.Error(), "leave META_GRAPH_URL out, or give https://graph.facebook.com")}
	}
	query, account := "/me?fields=id", ""
	if d.rules != nil {
		if ids := d.rules.NamedAccounts(); len(ids) > 0 {
			query, account = "/"+ids[0]+"?fields=name", ids[0]
		}
	}
	r, err := d.Ask(ctx, http.MethodGet, address+query, http.Header{"Authorization": {"Bearer " + token.Reveal()}}, nil)
	if err != nil {
		return []diagnosis{warn(name, "the Graph API: "+err.Error(),
			"look at META_GRAPH_URL, and at the proxy in between; ids are shown in place of names meanwhile")}
	}
	switch seen, do := graph.Judge(r.Status, r.Body, token); {
	case seen != "" && account != "":
		return []diagnosis{fail(name, "asked for account "+account+", the Graph API answers "+seen, do)}
	case seen != "":
		return []diagnosis{fail(name, "the Graph API answers "+seen, do)}
	case account != "":
		return []diagnosis{fine(name, "sees account %s", account)}
	}
	return []diagnosis{fine(name, "is taken; the rules name no account to look for")}
}
