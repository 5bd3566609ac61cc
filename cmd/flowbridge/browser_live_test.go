package main

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	databases "flowbridge/router/store/storetest"
)

// TestALivePageKeepsWhatAPersonTickedAndSaysWhenItIsStale holds what a page that stands open does with news: ticks
// stay, counts are right, and an answer from before the bridge that is no page is said, as silence of the bridge is.
func TestALivePageKeepsWhatAPersonTickedAndSaysWhenItIsStale(t *testing.T) {
	t.Parallel()
	bridge := start(t, newServices(t, "#ops"), writeRules(t, browserRules), databases.File(t))
	var status atomic.Int64
	behind := httputil.NewSingleHostReverseProxy(must1(url.Parse(bridge.Admin)))
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := status.Load(); n > 0 {
			http.Error(w, "upstream is not there", int(n))
			return
		}
		behind.ServeHTTP(w, r)
	}))
	defer proxy.Close()
	open := func(flow string) {
		t.Helper()
		bridge.post(t, pairPost(lately, flow, "ACTIVATED", 10), http.StatusOK)
	}
	const counted, announced = `document.querySelector('.counts').textContent`, `document.querySelector('#live').textContent`
	const ticked = `[...document.querySelectorAll('main :checked[name=n]')].map(t => t.value).join()`
	const stale = announced + `.includes('may be out of date')`

	b := startChromium(t).tab(t)
	open(checkoutFlow)
	b.open(proxy.URL + "/")
	b.until(counted + `.includes('1 Open')`)
	b.do(chromedp.KeyEvent("/"))
	b.until(`document.activeElement.type === 'search' && document.querySelector('#filter').open`)
	b.do(chromedp.Evaluate[chromedp.Void](`document.activeElement.value = 'che'`))
	b.do(chromedp.Evaluate[chromedp.Void](`document.activeElement.blur()`))
	b.do(chromedp.Click(chromedp.CSS("main [name=n]")))
	open("77")
	b.until(announced + `.startsWith('1 new')`)
	b.until(counted + `.includes('2 Open')`)
	b.do(chromedp.Click(chromedp.CSS("#live button")))
	b.until(`document.querySelectorAll('main [data-key]').length === 2`)
	if got := evaluate[string](b, ticked); got != "1" {
		t.Errorf("ticked after Show: %q", got)
	}
	if got := evaluate[bool](b, `document.querySelector('#filter').open`); !got {
		t.Error("what was unfolded is folded after Show")
	}
	if got := evaluate[string](b, `document.querySelector('[type=search]').value`); got != "che" {
		t.Errorf("what was typed is %q after Show", got)
	}

	open("78")
	b.until(announced + `.startsWith('1 new')`)
	for _, n := range []int64{http.StatusBadGateway, http.StatusServiceUnavailable} {
		status.Store(n)
		b.until(stale)
		status.Store(0)
		b.until(announced + `.startsWith('1 new')`) // what was announced before is announced again
	}
	b.do(chromedp.Click(chromedp.CSS("#live button")))
	b.until(`document.querySelectorAll('main [data-key]').length === 3`)
	status.Store(http.StatusBadGateway)
	b.until(stale)
	status.Store(0)
	b.until(announced + `.includes('answers again')`)
}

// TestTheNavigationSaysWhereOneIsInForcedColors holds that where a browser puts its own colors in place of ours, a line
// stands under one entry: a transparent one is drawn, too.
func TestTheNavigationSaysWhereOneIsInForcedColors(t *testing.T) {
	t.Parallel()
	bridge := start(t, newServices(t, "#ops"), writeRules(t, browserRules), databases.File(t))
	b := startChromium(t).tab(t)
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "forced-colors", Value: "active"}}})
	must(t, err)
	b.open(bridge.Admin + "/flows")
	b.until(`matchMedia('(forced-colors: active)').matches`)
	const lined = `[...document.querySelectorAll('.top nav a')].filter(a => getComputedStyle(a).borderBottomWidth !== '0px')
		.map(a => a.textContent).join()`
	if got := evaluate[string](b, lined); got != "Flows" {
		t.Errorf("a line stands under %q", got)
	}
}

// TestTimesStandOnOneLineOnAPhone holds that the tables of an incident scroll rather than squeeze their times.
func TestTimesStandOnOneLineOnAPhone(t *testing.T) {
	t.Parallel()
	bridge := start(t, newServices(t, "#ops"), writeRules(t, browserRules), databases.File(t))
	bridge.post(t, pairPost(lately, checkoutFlow, "ACTIVATED", 10), http.StatusOK)
	b := startChromium(t).tab(t)
	b.phone()
	eventually(t, "INC-1 is there", func() bool { return b.open(bridge.Admin+"/incidents/1") == http.StatusOK })
	b.until(`document.querySelectorAll('.scroll time').length > 0`)
	if got := evaluate[bool](b, `[...document.querySelectorAll('.scroll time')].every(t => t.getClientRects().length === 1)`); !got {
		t.Error("a time is broken into lines")
	}
	if wide := b.overflow(); len(wide) > 0 {
		t.Errorf("the page is wider than the phone: %q", wide)
	}
}
