package doctor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"flowbridge/router/store"
)

const (
	// lowDisk warns, fullDisk fails: SQLite writes nothing any more well before the last byte.
	lowDisk, fullDisk = 1 << 30, 100 << 20
	// certificateWarning is how long before its end a certificate should have been renewed: common tools renew 30 days
	// before it.
	certificateWarning = 14 * 24 * time.Hour
)

// checkDatabase looks at the database as a running bridge may use it at the same time.
func (d *Doctor) checkDatabase(ctx context.Context) []diagnosis {
	const name = "database"
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	found, err := store.Inspect(ctx, d.cfg.DB)
	if err == nil && found.Exists && d.cfg.Through {
		if damage := store.Whole(ctx, d.cfg.DB); errors.Is(damage, store.ErrDamaged) { // else there was no time for it
			err = fmt.Errorf("%s: %w", store.DisplayName(d.cfg.DB), damage)
		}
	}
	var missing *store.MissingGrant
	switch {
	case errors.As(err, &missing):
		return []diagnosis{fail(name, err.Error(), missing.Do())}
	case errors.Is(err, context.DeadlineExceeded):
		return []diagnosis{fail(name, fmt.Sprintf("%s did not answer within %s", store.DisplayName(d.cfg.DB), d.cfg.Timeout),
			"see what else uses it, such as a backup that locks it, and whether its disk is slow")}
	case errors.Is(err, store.ErrDamaged):
		return []diagnosis{fail(name, err.Error(), "stop flowbridge before you put the copy in its place")}
	case err != nil:
		return []diagnosis{fail(name, err.Error(),
			"name the one that serve uses with --db, and let the user that runs flowbridge write to it")}
	case found.Schema > found.Newest && found.Newest < found.Oldest:
		return []diagnosis{fail(name, fmt.Sprintf("it was written by a newer flowbridge: schema %d, this one knows %d",
			found.Schema, found.Newest), "start the newer one")}
	}
	findings := []diagnosis{fine(name, "%s can be written, schema %d", store.DisplayName(d.cfg.DB), found.Schema)}
	switch {
	case !found.Exists:
		findings = []diagnosis{fine(name, "%s is not there yet: the first start makes it", store.DisplayName(d.cfg.DB))}
	case found.Schema > found.Newest:
		findings = []diagnosis{warn(name, fmt.Sprintf("%s is one release newer than this flowbridge, which still works on "+
			"it: schema %d, this one knows %d", store.DisplayName(d.cfg.DB), found.Schema, found.Newest),
			"start the newer one")}
	case found.Schema < found.Newest:
		findings = []diagnosis{fine(name, "%s can be written; the next start brings schema %d to %d",
			store.DisplayName(d.cfg.DB), found.Schema, found.Newest)}
	}
	if found.Schema == found.Newest {
		findings = append(findings, d.sights(found.Seen)...)
	}
	if store.IsPostgres(d.cfg.DB) {
		return findings
	}
	return append(findings, diskSpace(filepath.Dir(d.cfg.DB), freeDisk))
}

// diskSpace judges what is free beside the database.
func diskSpace(dir string, free func(dir string) (bytes uint64, err error)) diagnosis {
	const name, do = "disk", "make room, or move the database: a full disk means that Meta's posts are answered 503"
	bytes, err := free(dir)
	seen := fmt.Sprintf("%d MiB free in %s", bytes>>20, dir)
	switch {
	case err != nil:
		return warn(name, fmt.Sprintf("the space in %s is not known: %v", dir, err), "look yourself that there is 1 GiB")
	case bytes < fullDisk:
		return fail(name, seen, do)
	case bytes < lowDisk:
		return warn(name, seen, do)
	}
	return fine(name, "%s", seen)
}

// checkPublic shakes hands with our public address as Meta does, and looks at its certificate.
func (d *Doctor) checkPublic(ctx context.Context) []diagnosis {
	const name, do = "public URL", "let whatever ends TLS pass /webhooks/whatsapp on to --listen, and start the bridge"
	if d.cfg.WebhookURL == "" {
		return []diagnosis{warn(name, "not checked: it is not known where Meta reaches us", "give --webhook-url")}
	}
	u, err := url.Parse(d.cfg.WebhookURL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" ||
		u.Fragment != "" {
		return []diagnosis{fail(name, "it is no http or https address",
			"give --webhook-url as https://host, without a password, a query or a fragment")}
	}
	var findings []diagnosis
	if u.Scheme == "http" {
		findings = append(findings, fail("certificate", d.cfg.WebhookURL+" is plain http: Meta posts to https only",
			"put flowbridge behind something that ends TLS"))
	}
	if d.cfg.Secrets["META_VERIFY_TOKEN"] == "" {
		return append(findings, warn(name, "not checked: META_VERIFY_TOKEN is not set", "set it"))
	}
	challenge := rand.Text()
	query := url.Values{"hub.mode": {"subscribe"}, "hub.challenge": {challenge},
		"hub.verify_token": {d.cfg.Secrets["META_VERIFY_TOKEN"].Reveal()}}
	address := d.cfg.WebhookURL + "/webhooks/whatsapp"
	r, err := d.Ask(ctx, http.MethodGet, address+"?"+query.Encode(), nil, nil)
	switch {
	case err != nil && strings.Contains(err.Error(), "certificate"):
		return append(findings, fail("certificate", address+": "+err.Error(),
			"install a valid certificate with its whole chain: Meta refuses any other"))
	case err != nil:
		return append(findings,
			fail(name, address+": "+err.Error(), do+"; if only this machine cannot reach it, Meta still may"))
	case r.Status == http.StatusForbidden:
		findings = append(findings, fail(name, address+" refuses META_VERIFY_TOKEN",
			"give the doctor the token that the bridge was started with"))
	case r.Status == http.StatusUnauthorized: // as with --tls-client-ca
		findings = append(findings, warn(name, address+" answers, and asks for Meta's client certificate",
			"press Test beside the field flows in Meta's dashboard: only Meta can shake hands here"))
	case r.Status == http.StatusNotFound && d.cfg.Guessed && u.Path != "":
		findings = append(findings, warn(name,
			"not checked: there is nothing at "+address+", below where people reach the console", elsewhere))
	case d.cfg.Guessed && (r.Status != http.StatusOK || string(r.Body) != challenge):
		findings = append(findings,
			fail(name, fmt.Sprintf("%s answers HTTP %d, and not as flowbridge does", address, r.Status),
				do+"; if Meta reaches the bridge elsewhere, "+elsewhere))
	case r.Status != http.StatusOK || string(r.Body) != challenge:
		findings = append(findings,
			fail(name, fmt.Sprintf("%s answers HTTP %d, and not as flowbridge does", address, r.Status), do))
	default:
		findings = append(findings, fine(name, "%s shakes hands", address))
	}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		findings = append(findings, d.certificate(u.Host, r.TLS.PeerCertificates[0].NotAfter))
	}
	return findings
}

// elsewhere is what to do where only the address of the console is known.
const elsewhere = "give --webhook-url (FLOWBRIDGE_WEBHOOK_URL): what Meta's dashboard has before /webhooks/whatsapp"

// certificate judges how long a certificate still holds.
func (d *Doctor) certificate(host string, end time.Time) diagnosis {
	left := end.Sub(d.cfg.Now())
	seen := fmt.Sprintf("that of %s holds %d days more, until %s", host, int(left.Hours()/24),
		end.UTC().Format(time.DateOnly))
	if left < certificateWarning {
		return warn("certificate", seen, "see why it has not been renewed: once it ends, Meta's posts stop")
	}
	return fine("certificate", "%s", seen)
}
