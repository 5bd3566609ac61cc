package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// gcPace says when the garbage collector is to run. In a storm little is alive and much is garbage: to look again and
// again at what is alive is an eighth of all work. So more garbage may pile up then; a bridge at rest stays small.
type gcPace struct {
	percent int // as for debug.SetGCPercent
	calm    int // looks in a row that saw no collection
}

const (
	gcUsual   = 100      // percent: it runs when there is as much garbage as is alive
	gcMost    = 400      // percent
	gcGarbage = 48 << 20 // bytes of garbage that are always allowed in a storm, if gcMost allows them
	gcLook    = 250 * time.Millisecond
	gcBusy    = 2  // collections between two looks are a storm
	gcCalm    = 20 // looks without one are its end
)

// next takes up how many collections there were since the last look, and how many bytes were alive after the last one.
func (p *gcPace) next(collections, alive uint64) {
	if p.calm++; collections > 0 {
		p.calm = 0
	}
	switch {
	case collections >= gcBusy || p.percent > gcUsual && p.calm < gcCalm:
		p.percent = int(min(max(gcGarbage*100/max(alive, 1), gcUsual), gcMost))
	default:
		p.percent = gcUsual
	}
}

// paceGC sets the pace of the garbage collector until ctx ends.
func paceGC(ctx context.Context) {
	seen := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/gc/heap/live:bytes"},
		{Name: "/gc/scan/stack:bytes"}}
	metrics.Read(seen)
	last, set, pace := seen[0].Value.Uint64(), gcUsual, gcPace{percent: gcUsual}
	defer debug.SetGCPercent(debug.SetGCPercent(gcUsual))
	tick := time.NewTicker(gcLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		metrics.Read(seen)
		pace.next(seen[0].Value.Uint64()-last, seen[1].Value.Uint64()+seen[2].Value.Uint64())
		last = seen[0].Value.Uint64()
		if pace.percent*4 > set*5 || pace.percent*5 < set*4 || pace.percent == gcUsual && set != gcUsual {
			set = pace.percent
			debug.SetGCPercent(set) // it stops all for a moment: not for a little
		}
	}
}
