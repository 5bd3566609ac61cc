package console

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"flowbridge/router"
)

// faultLog logs what goes wrong inside, each message at most once in ten seconds: probes, scrapes and open pages ask
// again and again, and while the storage is away each of them meets the same fault.
type faultLog struct {
	logger   *slog.Logger
	now      func() time.Time
	limiters sync.Map // of *router.LogLimiter, by message
}

func (f *faultLog) warn(message string, args ...any) { f.log(slog.LevelWarn, message, args) }

func (f *faultLog) error(message string, args ...any) { f.log(slog.LevelError, message, args) }

func (f *faultLog) log(level slog.Level, message string, args []any) {
	limiter, _ := f.limiters.LoadOrStore(message, &router.LogLimiter{})
	if limiter.(*router.LogLimiter).Allow(f.now()) {
		f.logger.Log(context.Background(), level, message, args...)
	}
}
