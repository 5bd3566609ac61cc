package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// TestALargePostNeedsNoFolderForTemporaryFiles runs a bridge whose folder for temporary files takes none: to root /proc
// is a folder that he may write to, in which no file can be made. (For anybody else SQLite finds another.)
func TestALargePostNeedsNoFolderForTemporaryFiles(t *testing.T) {
	t.Parallel()
	s := newServices(t, "#ops")
	s.env = append(s.env, "SQLITE_TMPDIR=/proc", "TMPDIR=/proc")
	p := start(t, s, writeRules(t, crashRules), filepath.Join(t.TempDir(), "bridge.db"))
	var changes []string
	for n := range 500 {
		changes = append(changes, fmt.Sprintf(`{"field":"flows","value":{"event":"FLOW_VERSION_EXPIRY_WARNING",`+
			`"warning":"%s","flow_id":"%d"}}`, strings.Repeat("long ", 400), n))
	}
	body := fmt.Sprintf(`{"object":"whatsapp_business_account","entry":[{"id":"501","time":%d,"changes":[%s]}]}`, lately,
		strings.Join(changes, ","))
	p.post(t, body, http.StatusOK)
	eventually(t, "all of it is folded", func() bool {
		return strings.Contains(getText(t, p.Admin+"/metrics"), "flowbridge_events_folded_total 500\n")
	})
	must(t, p.stop(t))
}
