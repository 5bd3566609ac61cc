package sandbox

import (
	"fmt"
	"net/http"
)

// NamedFault is a Fault with a name for tests and logs.
type NamedFault struct {
	Name string
	Fault
}

// ProxyFaults lists how what stands between us and a service (a proxy, a firewall, a login page) answers in its place.
// The service hears of none of these calls. Each fault is for every method and lasts until ClearFaults: set Method and
// Times as you need. The order is fixed, so that a random choice can be repeated.
func ProxyFaults() (list []NamedFault) {
	for _, status := range []int{
		http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusProxyAuthRequired,
		http.StatusRequestEntityTooLarge, http.StatusTeapot, http.StatusTooEarly, http.StatusUnavailableForLegalReasons,
		http.StatusBadRequest,
	} {
		list = append(list, proxyPage(status, ""))
	}
	return append(list,
		proxyPage(http.StatusFound, "http://127.0.0.1:9/login"), // nobody is there: a client that follows it finds out
		proxyPage(http.StatusPermanentRedirect, "http://127.0.0.1:9/moved"),
		proxyPage(http.StatusOK, ""),
		NamedFault{"403 of a proxy, in JSON", Fault{Status: http.StatusForbidden, Body: `{"error":"blocked by policy"}`}},
	)
}

func proxyPage(status int, location string) NamedFault {
	text := fmt.Sprintf("%d %s", status, http.StatusText(status))
	return NamedFault{text + " of a proxy", Fault{
		Status: status, Location: location,
		Body: "<!doctype html><html><head><title>" + text + "</title></head><body><h1>" + text +
			"</h1>proxy.example.com</body></html>",
	}}
}
