package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"flowbridge/router"
	"flowbridge/router/whatsapp"
)

// reach says where Meta posts from now on.
func (c *crashes) reach(urls ...string) {
	c.mu.Lock()
	c.urls = urls
	c.mu.Unlock()
	c.work.Broadcast()
}

// load lets Meta post, and services fail, until stop is called. The events are its own meanwhile.
func (c *crashes) load() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for begun, happened := time.Now(), 0; ctx.Err() == nil; {
			for ; happened < int(c.rate*time.Since(begun).Seconds()); happened++ { // a ticker may miss some
				c.happen()
			}
			if c.rand.IntN(c.calm) == 0 {
				c.disturb()
			}
			<-tick.C
		}
	}()
	stop = func() {
		cancel()
		<-ended
	}
	c.t.Cleanup(stop)
	return stop
}

// happen is an event of Meta's: a threshold is crossed, or its numbers are new.
func (c *crashes) happen() {
	flow := crashFlow(c.rand.IntN(crashFlows))
	event, threshold := router.EndpointErrorRate, []float64{5, 10, 50}[c.rand.IntN(3)]
	if c.rand.IntN(4) == 0 {
		event, threshold = router.EndpointAvailability, 90
	}
	key := flow + "/" + event
	if c.active[key] == nil {
		c.active[key] = map[float64]bool{}
	}
	state := router.Activated
	switch over := c.active[key]; {
	case over[threshold] && c.rand.IntN(2) == 0: // new numbers
	case over[threshold]: // below it, and so below the worse ones
		state = router.Deactivated
		for higher := range maps.Clone(over) {
			if higher >= threshold {
				delete(over, higher)
			}
		}
	default:
		over[threshold] = true
	}
	c.sent(flow, event, threshold, state)
}

func (c *crashes) sent(flow, event string, threshold float64, state string) {
	if c.clock[flow] == 0 {
		c.clock[flow] = time.Now().Add(-24 * time.Hour).Unix() // each event a second later, and none in the future
	}
	c.clock[flow]++
	entry := fmt.Sprintf(
		`{"id":"501","time":%d,"changes":[{"field":"flows","value":{"event":%q,"flow_id":%q,"threshold":%g,"alert_state":%q,"%s":%d}}]}`,
		c.clock[flow], event, flow, threshold, state, map[bool]string{true: "availability",
			false: "error_rate"}[event == router.EndpointAvailability], c.rand.IntN(100))
	c.history = append(c.history, entry)
	c.mu.Lock()
	c.outbox = append(c.outbox, entry)
	if c.rand.IntN(10) == 0 { // Meta repeats what was answered, too
		c.outbox = append(c.outbox, entry)
	}
	c.mu.Unlock()
	c.work.Broadcast()
}

// poster is one of Meta's connections, to one of the processes. What is not answered 200 is posted again, by whichever
// connection is free, to the process that lives by then.
func (c *crashes) poster(ctx context.Context, n int, random *rand.Rand) {
	client := &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for {
		c.mu.Lock()
		for (len(c.outbox) == 0 || len(c.urls) == 0) && ctx.Err() == nil {
			c.work.Wait()
		}
		if ctx.Err() != nil {
			c.mu.Unlock()
			return
		}
		i := random.IntN(min(len(c.outbox), 32)) // no order is promised
		entry, url := c.outbox[i], c.urls[n%len(c.urls)]
		c.outbox = slices.Delete(c.outbox, i, i+1)
		c.posts++
		c.sending++
		c.patience.posts(entry)
		c.mu.Unlock()
		status, said := postEntries(client, url, entry)
		c.mu.Lock()
		c.sending--
		c.patience.hears(entry, status, said)
		ok := status == http.StatusOK
		if ok {
			c.answered[url]++
		} else {
			c.unanswered++
			c.outbox = append(c.outbox, entry)
		}
		c.mu.Unlock()
		if !ok {
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}
}

// mostRefused is how many answers are kept.
const mostRefused = 20

// patience measures how long Meta has to repeat itself, or to wait.
type patience struct {
	since   map[string]time.Time // by entry: when it was posted first
	longest time.Duration        // from there until one was answered 200
	refused []string             // the first answers other than 200; posts that were cut off have none
}

func (p *patience) posts(entry string) {
	if _, again := p.since[entry]; !again {
		p.since[entry] = time.Now()
	}
}

func (p *patience) hears(entry string, status int, said string) {
	switch since, ok := p.since[entry]; {
	case status != 0 && status != http.StatusOK:
		if len(p.refused) < mostRefused {
			p.refused = append(p.refused, fmt.Sprintf("%d %s", status, said))
		}
	case status != 0 && ok: // a copy of it may have been answered before
		p.longest = max(p.longest, time.Since(since))
		delete(p.since, entry)
	}
}

// postEntries posts and returns the status of the answer, 0 for none, and the beginning of what it says.
func postEntries(client *http.Client, url string, entries ...string) (status int, said string) {
	body := []byte(postOf(entries...))
	req, err := http.NewRequest(http.MethodPost, url+"/webhooks/whatsapp", bytes.NewReader(body))
	if err != nil {
		return 0, ""
	}
	req.Header.Set("X-Hub-Signature-256", whatsapp.Sign(testSecret, body))
	resp, err := client.Do(req)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, string(text)
}
