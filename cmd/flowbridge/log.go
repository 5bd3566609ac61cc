package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
)

// logFlags say how much is logged, and in which form.
type logFlags struct {
	LogLevel  logLevel  `default:"info" env:"FLOWBRIDGE_LOG_LEVEL" complete:"debug,info,warn,error" placeholder:"LEVEL" help:"The least that is logged: debug, info, warn or error. Default: info."`
	LogFormat logFormat `env:"FLOWBRIDGE_LOG_FORMAT" complete:"json,text" placeholder:"FORMAT" help:"Form of the log: json or text. Default: text on a terminal, else json."`
}

// logLevel is the least that is logged.
type logLevel struct{ slog.Level }

// UnmarshalText reads what a person wrote. Nothing is info: a variable may be set and empty.
func (l *logLevel) UnmarshalText(text []byte) error {
	if word := strings.ToLower(strings.TrimSpace(string(text))); word == "" {
		l.Level = slog.LevelInfo
	} else if !slices.Contains([]string{"debug", "info", "warn", "error"}, word) ||
		l.Level.UnmarshalText([]byte(word)) != nil {
		return fmt.Errorf("%q is no level: write debug, info, warn or error", text)
	}
	return nil
}

// logFormat is the form of the log: "json", "text", or "" for text on a terminal and else json.
type logFormat string

// UnmarshalText reads what a person wrote.
func (f *logFormat) UnmarshalText(text []byte) error {
	*f = logFormat(strings.ToLower(strings.TrimSpace(string(text))))
	if !slices.Contains([]logFormat{"", "json", "text"}, *f) {
		return fmt.Errorf("%q is no form of a log: write json or text", text)
	}
	return nil
}

// logger logs to w as the flags say.
func (f logFlags) logger(w io.Writer) *slog.Logger { return slog.New(f.handler(w)) }

func (f logFlags) handler(w io.Writer) slog.Handler {
	options := &slog.HandlerOptions{Level: f.LogLevel.Level}
	if f.LogFormat == "text" || f.LogFormat == "" && isTerminal(w) {
		return slog.NewTextHandler(w, options)
	}
	return slog.NewJSONHandler(w, options)
}

// newLogger logs to w: JSON for machines, text where w is a terminal.
func newLogger(w io.Writer) *slog.Logger { return logFlags{}.logger(w) }

// isTerminal says whether a person reads w on a terminal.
func isTerminal(w io.Writer) bool {
	o, ok := w.(*outlet)
	if !ok {
		return false
	}
	info, err := o.file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && info.Mode()&os.ModeDevice != 0 &&
		o.file.Name() != os.DevNull
}
