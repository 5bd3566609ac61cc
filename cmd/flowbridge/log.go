package main

import (
	"io"
	"log/slog"
	"os"
)

// newLogger logs to w: JSON for machines, text where w is a terminal.
func newLogger(w io.Writer) *slog.Logger {
	if isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, nil))
	}
	return slog.New(slog.NewJSONHandler(w, nil))
}

// isTerminal says whether a person reads w on a terminal.
func isTerminal(w io.Writer) bool {
	o, ok := w.(*outlet)
	if !ok {
		return false
	}
	info, err := o.file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && info.Mode()&os.ModeDevice != 0 && o.file.Name() != os.DevNull
}
