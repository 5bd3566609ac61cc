package main

import (
	"bytes"
	"log/slog"
	"regexp"
	"testing"
)

func TestTheLogHasTheFormAndTheLevelThatWereAskedFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		level, format, want string
	}{
		{"", "", `^\{"time":"[^"]+","level":"INFO","msg":"i"\}\n\{.*"WARN".*\}\n$`}, // no terminal
		{"info", "json", `^\{.*"INFO".*\}\n\{.*"WARN".*\}\n$`},
		{"Debug", "text", `^time=\S+ level=DEBUG msg=d\n.* level=INFO msg=i\n.* level=WARN msg=w\n$`},
		{"warn", "TEXT", `^time=\S+ level=WARN msg=w\n$`},
		{"error", "json", `^$`},
	} {
		var f logFlags
		must(t, f.LogLevel.UnmarshalText([]byte(c.level)))
		must(t, f.LogFormat.UnmarshalText([]byte(c.format)))
		var out bytes.Buffer
		logger := f.logger(&out)
		logger.Debug("d")
		logger.Info("i")
		logger.Warn("w")
		if !regexp.MustCompile(c.want).Match(out.Bytes()) {
			t.Errorf("level %q, format %q: got\n%s", c.level, c.format, &out)
		}
	}
	var level demoLevel
	if level.level().Level != slog.LevelWarn {
		t.Errorf("a demo shows %s by default", level.level())
	}
	must(t, level.UnmarshalText([]byte("debug")))
	if level.level().Level != slog.LevelDebug {
		t.Errorf("a demo that is asked for debug shows %s", level.level())
	}
}
