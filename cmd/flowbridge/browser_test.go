package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	databases "flowbridge/router/store/storetest"
)

// axeFile names the environment variable with the path of axe.min.js of axe-core 4, which `npm pack axe-core@4`
// fetches. It is used by tests only: nothing of it is in this repository.
const axeFile = "FLOWBRIDGE_TEST_AXE"

// browserPatience bounds every wait for a browser.
const browserPatience = 2 * time.Minute

// chromium is a browser of a test's own.
type chromium struct{ ctx context.Context }

// startChromium starts Debian's chromium. Where there is none the test is skipped, or fails if databases.Require says
// so.
func startChromium(t *testing.T) *chromium {
	t.Helper()
	databases.Long(t)
	var path string
	for _, name := range []string{"chromium-headless-shell", "chromium"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		databases.Lacking(t, "chromium", "there is no chromium on this machine: apt-get install chromium-headless-shell")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path),
		chromedp.NoSandbox, // it sees nothing but pages of ours, and refuses to run as root with it
		chromedp.Flag("hide-scrollbars", true),
		chromedp.CombinedOutput(io.Discard))
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, closeAll := chromedp.NewContext(ctx)
	t.Cleanup(func() { closeAll(); stop() })
	c := &chromium{ctx}
	// The browser lives as long as the context of the first step, which for that has no time-out.
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	return c
}

// watchPolicy keeps what the Content-Security-Policy forbade, before any script of the page runs.
const watchPolicy = `window.forbidden = [];
addEventListener('securitypolicyviolation', e => window.forbidden.push(e.effectiveDirective + ' ' + e.blockedURI + ' ' + e.sample));`

// tab is a tab with cookies and a cache of its own.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu      sync.Mutex
	traffic traffic
}

// traffic is what came over the wire.
type traffic struct {
	Requests []string
	Bytes    int64 // as a browser reads it
	Wire     int64 // compressed, with the heads of answers
	// how often a page asked whether it has changed, which is not in the others: a slow machine asks more often
	Polls int
	ids   map[network.RequestID]bool // of Requests: what was asked for before is still coming
}

// tab opens a tab for a test.
func (c *chromium) tab(t *testing.T) *tab {
	t.Helper()
	ctx, end := chromedp.NewContext(c.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(end)
	b := &tab{t: t, ctx: ctx}
	must(t, chromedp.Do(ctx, chromedp.Navigate("about:blank"))) // it, too, lives as long as this context
	must(t, chromedp.Listen(ctx, b.note))
	_, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument,
		page.AddScriptToEvaluateOnNewDocumentParams{Source: watchPolicy})
	must(t, err)
	b.look("light", 1280)
	return b
}

func (b *tab) note(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch ev := ev.(type) {
	case *network.EventRequestWillBeSent:
		if ev.Type == network.ResourceTypeFetch && ev.Request.URL == ev.DocumentURL {
			b.traffic.Polls++
			return
		}
		if b.traffic.ids == nil {
			b.traffic.ids = map[network.RequestID]bool{}
		}
		b.traffic.ids[ev.RequestID] = true
		if ev.RedirectResponse != nil {
			b.traffic.Wire += int64(ev.RedirectResponse.EncodedDataLength)
		}
		if !strings.HasPrefix(ev.Request.URL, "data:") { // what the browser draws its own fields with
			b.traffic.Requests = append(b.traffic.Requests, ev.Request.Method+" "+ev.Request.URL)
		}
	case *network.EventDataReceived:
		if b.traffic.ids[ev.RequestID] {
			b.traffic.Bytes += ev.DataLength
		}
	case *network.EventLoadingFinished:
		if b.traffic.ids[ev.RequestID] {
			b.traffic.Wire += int64(ev.EncodedDataLength)
		}
	}
}

// since returns what came over the wire since it was asked last.
func (b *tab) since() traffic {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.traffic
	b.traffic = traffic{}
	return all
}

// polls is how often its pages asked whether they have changed, since it was asked last what came.
func (b *tab) polls() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.traffic.Polls
}

// forget empties the cache.
func (b *tab) forget() {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, network.ClearBrowserCache, cdp.Empty{})
	must(b.t, err)
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, browserPatience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("the browser: %v", err)
	}
}

// look sets light or dark, and the width of the window in CSS pixels. Nothing moves, so that colours are as they will
// be.
func (b *tab) look(scheme string, width int64) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia,
		emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}})
	must(b.t, err)
	height := int64(800)
	if width < 600 {
		height = 780
	}
	b.do(chromedp.EmulateViewport(width, height))
}

// phone is a tab that is touched: 360 px wide, and dark, since it is night.
func (b *tab) phone() {
	b.t.Helper()
	b.look("dark", 360)
	b.do(chromedp.EmulateViewport(360, 780, chromedp.EmulateTouch, chromedp.EmulateMobile, chromedp.EmulatePortrait))
}

// withoutScript has the pages' own scripts do nothing. What a test evaluates runs all the same.
func (b *tab) withoutScript() {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled,
		emulation.SetScriptExecutionDisabledParams{Value: true})
	must(b.t, err)
}

// open goes to an address and waits until it has loaded; it returns its status.
func (b *tab) open(url string) int64 {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, browserPatience)
	defer cancel()
	resp, err := chromedp.Run(ctx, chromedp.NavigateResponse(url))
	if err != nil {
		b.t.Fatalf("open %s: %v", url, err)
	}
	return resp.Status
}

// follow does what leads to another page, and waits until that has loaded.
func (b *tab) follow(step chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, browserPatience)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, step); err != nil {
		b.t.Fatalf("the browser: %v", err)
	}
}

// path is where the tab is.
func (b *tab) path() string { return evaluate[string](b, "location.pathname") }

// evaluate returns what an expression comes to in the page.
func evaluate[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, browserPatience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("the page: %v in %.200s", err, expression)
	}
	return v
}

// until waits until an expression is true in the page.
func (b *tab) until(expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, browserPatience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		// A page that is just being left answers with an error.
		if is, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression)); err == nil && is {
			return
		}
		select {
		case <-ctx.Done():
			b.t.Fatalf("waited in vain for %s at %s:\n%.3000s", expression, b.path(),
				evaluate[string](b, "document.body.innerText"))
		case <-tick.C:
		}
	}
}

// forbidden are the violations of the Content-Security-Policy on the page.
func (b *tab) forbidden() []string { return evaluate[[]string](b, "window.forbidden") }

// overflow names what is wider than the window, nothing where all of the page fits.
func (b *tab) overflow() []string {
	return evaluate[[]string](b, `(() => {
		const wide = document.documentElement.clientWidth;
		if (document.documentElement.scrollWidth <= wide) return [];
		return [...document.body.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > wide + 1 && !e.closest('.scroll,pre,nav'))
			.slice(0, 5).map(e => e.outerHTML.slice(0, 160)).concat('scrollWidth ' + document.documentElement.scrollWidth);
	})()`)
}

// axe is the source of axe-core. Where there is none the test is skipped, or fails if databases.Require says so.
func axe(t *testing.T) string {
	t.Helper()
	path := os.Getenv(axeFile)
	if path == "" {
		databases.Lacking(t, "chromium",
			axeFile+" does not name axe.min.js: npm pack axe-core@4, unpack it, and set the variable to its axe.min.js")
	}
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%s: %v", axeFile, err)
	}
	return string(source)
}

// addAxe puts axe-core into the page.
func (b *tab) addAxe(source string) {
	b.t.Helper()
	b.do(chromedp.Evaluate[chromedp.Void](source + "\n;0"))
}

// violations are what axe-core, which must be in the page, finds in it.
func (b *tab) violations() []string {
	b.t.Helper()
	return evaluate[[]string](b, `axe.run(document, {resultTypes: ['violations']}).then(found =>
		found.violations.flatMap(v => v.nodes.slice(0, 5).map(n => v.id + ': ' + v.help + '\n  ' + n.html.slice(0, 200) + '\n  ' +
			(n.any.concat(n.all, n.none)[0]?.message || '')))) `)
}

// picture is what the window shows.
func (b *tab) picture() []byte {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, browserPatience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	must(b.t, err)
	return png
}

// TestTheBrowserSeesWhatItLooksFor holds that none of the checks below can pass for want of looking.
func TestTheBrowserSeesWhatItLooksFor(t *testing.T) {
	t.Parallel()
	source := axe(t)
	bridge := start(t, newServices(t, "#ops"), writeRules(t, browserRules), databases.File(t))
	b := startChromium(t).tab(t)
	b.open(bridge.Admin + "/")
	b.look("light", 320)
	b.addAxe(source)
	if found := slices.Concat(b.violations(), b.forbidden(), b.overflow()); len(found) > 0 {
		t.Fatalf("a page without faults: %q", found)
	}
	b.do(chromedp.Evaluate[chromedp.Void](`{
		const p = document.createElement('p');
		p.setAttribute('style', 'color:red');
		p.innerHTML = '<input><img src="https://elsewhere.example/x.png">';
		p.className = 'wide';
		document.querySelector('main').append(p);
		p.style.width = '1000px';
	}`))
	b.until("window.forbidden.length >= 2")
	if found := b.violations(); len(found) < 2 {
		t.Errorf("a field without a label and a picture without words: %q", found)
	}
	if found := b.overflow(); len(found) < 2 {
		t.Errorf("a paragraph of 1000 px: %q", found)
	}
}
