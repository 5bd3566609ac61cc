package main

import "testing"

// TestSetupLooksWhereTheDoctorDoes holds that the page Setup asks the address of webhooks that serve was given.
func TestSetupLooksWhereTheDoctorDoes(t *testing.T) {
	c := serveCommand{PublicURL: "https://console.example/bridge", WebhookURL: "https://hooks.example"}
	if look := c.look(); look.WebhookURL != c.WebhookURL || look.PublicURL != c.PublicURL {
		t.Errorf("it looks at %+v", look)
	}
}
