package console

import (
	"cmp"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"flowbridge/router"
)

// chart is what Meta measured while an incident went on. Meta reports crossings and not a curve, so a value holds until
// the next report: steps, and never slopes.
type chart struct {
	Title   string
	Picture template.HTML // an SVG
	Rows    []reading
	Bands   []band
}

// reading is a row of the table under the picture.
type reading struct {
	At    time.Time
	Value string
	value float64
}

// band is a time in which somebody had the incident, or it was silenced.
type band struct {
	From, To time.Time
	Ended    bool   // else it goes on at the end of the chart
	Class    string // acked or hushed
	Name     string
}

const (
	chartWide, chartHigh = 720, 220
	chartLeft, chartFoot = 76, 30
	chartTop, chartRight = 14, 12
	// chartLine is what a line of text takes at least, on a phone.
	chartLine = 22
	// maxPoints bounds a chart: more are narrower than a pixel.
	maxPoints = 240
	// before is how much of the time before is shown.
	chartBefore = 30 * time.Minute
)

// chartOf draws the readings of an incident's signal: of the one that its title names, or, where that has no numbers,
// of the one that it began with; nil where there are none.
func (c *Console) chartOf(r *http.Request, inc *router.IncidentDetail) (*chart, error) {
	signal := router.SignalOf(signalNow(&inc.Incident, inc.Alerts))
	if !signal.Measured() {
		signal = router.SignalOf(inc.Event)
	}
	if !signal.Measured() {
		return nil, nil
	}
	end := c.cfg.Now()
	if !inc.ResolvedAt.IsZero() {
		end = inc.ResolvedAt
	}
	found, err := c.store.ReadingsBetween(r.Context(), router.FlowID{WABA: inc.WABA, Flow: inc.Flow}, signal.Name,
		inc.OpenedAt.Add(-chartBefore), end.Add(time.Second))
	if err != nil {
		return nil, err
	}
	var points []reading
	for _, one := range found {
		if one.Value == nil || number(one.Value) == nil || one.At.After(end) {
			continue
		}
		if n := len(points); n > 0 && points[n-1].At.Equal(one.At) {
			points[n-1].value = *one.Value
			continue
		}
		points = append(points, reading{At: one.At, value: *one.Value})
	}
	if len(points) == 0 {
		return nil, nil
	}
	for i := range points {
		points[i].Value = router.FormatValue(signal.Name, points[i].value)
	}
	points = points[max(0, len(points)-maxPoints):]
	ch := &chart{Title: router.SignalName(signal.Name), Rows: points, Bands: bandsOf(inc, end)}
	ch.Picture = ch.draw(inc, &signal, end)
	slices.Reverse(ch.Rows)
	return ch, nil
}

// bandsOf reads from the timeline when somebody had it, and when it was silenced.
func bandsOf(inc *router.IncidentDetail, end time.Time) (bands []band) {
	open := map[string]*band{}
	finish := func(class string, at time.Time) {
		if b := open[class]; b != nil {
			b.To, b.Ended = at, at.Before(end) || !inc.ResolvedAt.IsZero()
			bands = append(bands, *b)
			delete(open, class)
		}
	}
	for i := range inc.Timeline {
		e := &inc.Timeline[i]
		switch e.Kind {
		case router.EntryAcknowledged:
			finish("acked", e.At)
			open["acked"] = &band{From: e.At, Class: "acked", Name: "acknowledged"}
		case router.EntryUnacknowledged, router.EntryReopened:
			finish("acked", e.At)
		case router.EntrySilenced:
			finish("hushed", e.At)
			if strings.HasPrefix(e.Text, "Silenced") {
				open["hushed"] = &band{From: e.At, Class: "hushed", Name: "silenced"}
			}
		}
	}
	finish("acked", end)
	finish("hushed", end)
	return bands
}

// draw writes the picture. All its texts are numbers of ours.
func (ch *chart) draw(inc *router.IncidentDetail, signal *router.Signal, end time.Time) template.HTML {
	first := ch.Rows[0].At
	if inc.OpenedAt.Before(first) {
		first = inc.OpenedAt
	}
	whole := max(end.Sub(first), time.Minute)
	top := ch.highest(signal)
	x := func(at time.Time) float64 {
		at = later(first, at)
		if at.After(end) {
			at = end
		}
		return chartLeft + float64(chartWide-chartLeft-chartRight)*float64(at.Sub(first))/float64(whole)
	}
	y := func(v float64) float64 {
		return chartTop + float64(chartHigh-chartTop-chartFoot)*(1-min(max(v/top, 0), 1))
	}
	var out strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&out, format, args...) }
	p(`<svg class="chart" viewBox="0 0 %d %d" role="img" aria-label="%s over time: the table below has the numbers">`,
		chartWide, chartHigh, template.HTMLEscapeString(ch.Title))
	for _, b := range ch.Bands {
		p(`<rect class="%s" x="%.1f" y="%d" width="%.1f" height="%d"/>`, b.Class, x(b.From), chartTop,
			max(x(b.To)-x(b.From), 1), chartHigh-chartTop-chartFoot)
	}
	thresholds, label := router.Thresholds(signal.Name), 0.0
	slices.SortFunc(thresholds, func(a, b float64) int { return cmp.Compare(b, a) })
	for _, t := range thresholds {
		if t > top {
			continue
		}
		label = max(y(t)+4, label+chartLine)
		p(`<line class="mark" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`,
			chartLeft, chartWide-chartRight, y(t), y(t), chartLeft-6, label, template.HTMLEscapeString(signal.Unit.Format(t)))
	}
	p(`<path class="step" d="M%.1f %.1f`, x(ch.Rows[0].At), y(ch.Rows[0].value))
	for _, row := range ch.Rows[1:] {
		p("H%.1fV%.1f", x(row.At), y(row.value))
	}
	p(`H%.1f"/>`, x(end))
	for i, row := range ch.Rows {
		if i == 0 || i == len(ch.Rows)-1 || len(ch.Rows) <= 40 {
			p(`<circle cx="%.1f" cy="%.1f" r="3"/>`, x(row.At), y(row.value))
		}
	}
	p(`<text x="%d" y="%d">%s</text><text x="%d" y="%d" text-anchor="end">%s UTC</text></svg>`, chartLeft, chartHigh-6,
		first.UTC().Format("15:04"),
		chartWide-chartRight, chartHigh-6, end.UTC().Format("15:04"))
	return template.HTML(out.String())
}

// highest is the top of the scale: above every value, and above the first threshold that no value reached.
func (ch *chart) highest(signal *router.Signal) float64 {
	most := 0.0
	for _, row := range ch.Rows {
		most = max(most, row.value)
	}
	for _, t := range router.Thresholds(signal.Name) {
		if t >= most {
			most = t
			break
		}
	}
	if signal.Unit == router.Percent && most > 80 {
		return 100
	}
	return max(most*1.12, 1e-9)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
