package rules

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"flowbridge/router"
)

// probe is what the files say of probes of a flow's endpoint, or of the endpoints of an account's flows.
type probe struct {
	said, on bool
	endpoint string // "": Meta says where it is
}

// endpointPattern is an address of https without a user, a password or a fragment.
const endpointPattern = `https://[^@/?#\s\\]+([/?][^#\s]*)?`

var endpointForm = regexp.MustCompile(whole(endpointPattern))

// endpoint reads where the endpoint of a flow is.
func (l *loader) endpoint(s scalar) string {
	u, err := url.Parse(s.Text)
	if err != nil || !endpointForm.MatchString(s.Text) || u.Hostname() == "" || u.User != nil {
		what := s.Written()
		if strings.Contains(s.Text, "@") { // perhaps a password
			what = "it"
		}
		l.Wrong(s.Node, s.Path, what+" is no address of an endpoint",
			"an endpoint is a URL that begins with https://, without user, password and fragment")
	}
	return s.Text
}

// keepProbe keeps what an entry of flows or accounts says of probes, and warns of an address that nobody asks for.
func (l *loader) keepProbe(kind string, of entry, p probe, at *scalar) {
	probes := &l.rules.probes
	if kind == "account" {
		probes = &l.rules.accountProbes
	}
	if *probes == nil {
		*probes = map[string]probe{}
	}
	if (*probes)[of.Key] = p; at == nil || p.said {
		return
	}
	on := func(p probe) bool { return p.on }
	if !slices.ContainsFunc(slices.Collect(maps.Values(l.rules.accountProbes)), on) {
		l.Warn(at.Node, at.Path, "nobody looks at it without probe: true", "add it, or remove the address")
	}
}

// Probes says whether the rules want any endpoint probed.
func (r *Rules) Probes() bool {
	for _, all := range []map[string]probe{r.probes, r.accountProbes} {
		for _, p := range all {
			if p.on {
				return true
			}
		}
	}
	return false
}

// Probe says whether the endpoint of a flow is to be probed, and where it is; "" where the files do not say. What they
// say of the flow goes before what they say of its account.
func (r *Rules) Probe(id router.FlowID) (endpoint string, ok bool) {
	p := r.probes[id.Flow]
	if !p.said {
		p.on = r.accountProbes[id.WABA].on
	}
	return p.endpoint, p.on && !router.IsDrill(id.Flow)
}
