package main

import (
	"errors"
	"slices"
	"testing"

	"flowbridge/notifiers"
	"flowbridge/router"
)

func TestTheDoctorLooksAtTheTokensOfTheAdminAddress(t *testing.T) {
	t.Parallel()
	const near, far, long = "127.0.0.1:9090", ":9090", "a-token-that-is-long-enough"
	for _, tt := range []struct {
		name, listen string
		admin, view  router.Secret
		want         []string // names and statuses
	}{
		{"none, and only this machine", near, "", "", []string{"admin token", notifiers.StatusOK}},
		{"none, and others", far, "", "", []string{"admin token", notifiers.StatusFail}},
		{"a good one", far, long, "", []string{"admin token", notifiers.StatusOK}},
		{"a short one", far, "short", "", []string{"admin token", notifiers.StatusFail}},
		{"two good ones", far, long, long + "-too", []string{"admin token", notifiers.StatusOK, "view token",
			notifiers.StatusOK}},
		{"the same twice", far, long, long, []string{"admin token", notifiers.StatusOK, "view token", notifiers.StatusFail}},
	} {
		found := doctorCommand{Admin: tt.listen}.checkTokens(map[string]router.Secret{adminToken: tt.admin,
			viewToken: tt.view}, nil)
		var got []string
		for _, f := range found {
			got = append(got, f.Name, f.Status)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	unread := map[string]error{adminToken: errors.New("no such file")}
	if found := (doctorCommand{Admin: far}).checkTokens(map[string]router.Secret{viewToken: long},
		unread); len(found) > 0 {
		t.Errorf("what could not be read is judged: %v", found)
	}
}
