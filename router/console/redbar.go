package console

import (
	"fmt"
	"net/http"
	"net/url"

	"flowbridge/router"
)

// trouble is what the red bar tells.
type trouble struct{ Text, Path, Do string }

// lookAround finds out what the red bar tells.
func (c *Console) lookAround(r *http.Request, f *frame) error {
	stats, err := c.store.Stats(r.Context())
	if err != nil {
		return err
	}
	if n := stats.Deliveries[router.DeliveryParked]; n > 0 {
		text := fmt.Sprintf("%d deliveries are parked: somebody was not told.", n)
		if n == 1 {
			text = "A delivery is parked: somebody was not told."
		}
		f.Trouble = append(f.Trouble, trouble{text, "/deliveries?state=parked", "See why"})
	}
	lanes, err := c.store.Lanes(r.Context())
	if err != nil {
		return err
	}
	now := c.cfg.Now()
	for _, l := range lanes {
		if l.PausedUntil.After(now) || l.Waits.After(now) {
			f.Trouble = append(f.Trouble, trouble{l.Notifier + " is paused: its service fails or wants no calls now.",
				"/notifiers/" + url.PathEscape(l.Notifier), "See it"})
		}
	}
	if c.cfg.Rules() != "" {
		f.Trouble = append(f.Trouble,
			trouble{"The rules on disk are not in force: they have mistakes.", "/rules", "See them"})
	}
	if text := c.progress.trouble(c.cfg.StalledAfter); text != "" {
		f.Trouble = append(f.Trouble, trouble{Text: sentence(text)})
	}
	if err := c.cfg.Ready(); err != nil {
		f.Trouble = append(f.Trouble, trouble{Text: sentence(err.Error())})
	}
	return nil
}
