package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"flowbridge/router"
	"flowbridge/router/rules"
	"flowbridge/router/whatsapp"
)

// rulesConfig is what rules may know of the world.
func (p *program) rulesConfig() rules.Config {
	return rules.Config{Env: p.Getenv, ReadFile: p.readKeyFile, Samples: sampleEvents()}
}

// readKeyFile reads ${file:PATH}. Mistakes name the path themselves.
func (p *program) readKeyFile(path string) ([]byte, error) {
	if madeUp(path) {
		return nil, errMadeUp
	}
	if name := p.ownFile(path); name != "" {
		return nil, fmt.Errorf("it is that of %s, for the bridge itself", name)
	}
	data, err := readRegular(path, maxSecretFile)
	if fault, ok := errors.AsType[*fileError](err); ok {
		err = fault.err
	}
	return data, err
}

var errMadeUp = errors.New("the system makes it up: it is no file that somebody wrote")

// madeUp says whether the system makes up what a path leads to. It calls such files regular, and /proc/self/environ has
// every secret in it.
func madeUp(path string) bool {
	whole, err := filepath.Abs(path)
	if err == nil {
		whole, err = filepath.EvalSymlinks(whole)
	}
	return err == nil && slices.ContainsFunc([]string{"/proc/", "/sys/", "/dev/"}, func(folder string) bool {
		return strings.HasPrefix(whole+"/", folder)
	})
}

// ownFile returns the variable that names the same file for a secret of the bridge's own; "" for none.
func (p *program) ownFile(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "" // reading it says why
	}
	for _, name := range rules.OwnSecrets() {
		if own := p.setting(name + "_FILE"); own != "" {
			if ours, err := os.Stat(own); err == nil && os.SameFile(ours, info) {
				return name + "_FILE"
			}
		}
	}
	return ""
}

// sampleEvents are events of every kind, as Meta sends them.
func sampleEvents() (events []router.Event) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, name := range whatsapp.SampleNames() {
		for _, sample := range []whatsapp.Sample{
			{}, {AlertState: router.Deactivated}, {NewStatus: router.Blocked},
			{OldStatus: router.Blocked, NewStatus: router.Published},
		} {
			if sample != (whatsapp.Sample{}) && whatsapp.Changes(name) != nil {
				continue // alert state and status are not theirs
			}
			sample.Event, sample.Time = name, at
			body, err := sample.Body()
			if err != nil {
				panic(fmt.Sprintf("a sample of %s: %v", name, err)) // it is made of texts and numbers
			}
			decoded, _ := whatsapp.Decode(body, at, whatsapp.WantsAll)
			events = append(events, decoded...)
		}
	}
	return events
}
