package probe

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"syscall"

	"flowbridge/router"
)

// maxAddress bounds the address of an endpoint, in bytes.
const maxAddress = 2048

// readAddress reads where an endpoint is. wrong says why it is not called: whatever stands in an address is written by
// others, and only https without credentials is called.
func readAddress(address router.Secret) (u *url.URL, wrong string) {
	if len(address) > maxAddress {
		return nil, "its address is too long: not called"
	}
	u, err := url.Parse(address.Reveal())
	switch {
	case err != nil || u.Hostname() == "":
		return nil, "its address cannot be read: not called"
	case u.Scheme != "https":
		return nil, "its address is no https address: not called"
	case u.User != nil:
		return nil, "its address holds a user: not called"
	}
	u.Fragment, u.RawFragment = "", ""
	return u, ""
}

// errPrivate refuses an IP address of a network of one's own, and errNever one that is never dialled.
var errPrivate, errNever = errors.New("the address is private"), errors.New("the address is not of the internet")

// control refuses, for a net.Dialer, what must not be dialled. It sees the IP address that is dialled indeed, so that a
// name that leads elsewhere by then makes no difference.
func control(private bool) func(network, address string, _ syscall.RawConn) error {
	return func(network, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		switch {
		case err != nil || network != "tcp4" && network != "tcp6" || !mayDial(at.Addr(), true):
			return errNever
		case !mayDial(at.Addr(), private):
			return errPrivate
		}
		return nil
	}
}

// mayDial says whether an IP address may be dialled: any of the internet, and where private is true also those of a
// network of one's own. Link-local ones are never dialled, since clouds hand out credentials there.
func mayDial(ip netip.Addr, private bool) bool {
	if ip.Zone() != "" {
		return false
	}
	ip = ip.Unmap()
	if in(inside, ip) {
		return private
	}
	if embedded, ok := embeddedIPv4(ip); ok {
		return mayDial(embedded, private)
	}
	if ip.Is6() {
		return in(internet6, ip) && !in(never, ip)
	}
	return ip.IsValid() && !in(never, ip)
}

// embeddedIPv4 returns the IPv4 address to which a translator or a tunnel leads an IPv6 address: NAT64 (RFC 6052) and
// 6to4 (RFC 3056).
func embeddedIPv4(ip netip.Addr) (netip.Addr, bool) {
	b := ip.As16()
	switch {
	case !ip.Is6():
	case nat64.Contains(ip):
		return netip.AddrFrom4([4]byte(b[12:])), true
	case sixToFour.Contains(ip):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return netip.Addr{}, false
}

// Source: IANA, IPv4 and IPv6 Special-Purpose Address Registries.
var (
	// inside are those of a network of one's own: private, shared (CGNAT), loopback, unique local.
	inside = prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "::1/128",
		"fc00::/7")
	// never are link-local, unspecified, multicast, reserved ones, and those for documentation and benchmarks.
	never = prefixes("0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
		"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
		"2001::/23", "2001:db8::/32", "3fff::/20")
	// internet6 is all of IPv6 that is given out to networks of the internet.
	internet6 = prefixes("2000::/3")

	nat64, sixToFour = netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("2002::/16")
)

func prefixes(all ...string) (list []netip.Prefix) {
	for _, one := range all {
		list = append(list, netip.MustParsePrefix(one))
	}
	return list
}

func in(list []netip.Prefix, ip netip.Addr) bool {
	for _, p := range list {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// newDialer returns what makes connections.
func newDialer(private bool) *net.Dialer { return &net.Dialer{Control: control(private)} }
