package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"flowbridge/router"
)

// maxSecretFile bounds what is read of a NAME_FILE.
const maxSecretFile = 64 << 10

// secret reads a credential from the variable name, or from the file that name_FILE gives; "" if neither
// is set. The value is trimmed: files and shells add line ends.
func (p *program) secret(name string) (router.Secret, error) {
	value, set := p.Getenv(name)
	path, fileSet := p.Getenv(name + "_FILE")
	switch {
	case set && value != "" && fileSet && path != "":
		return "", fmt.Errorf("both %s and %s_FILE are set: keep one of them", name, name)
	case fileSet && path != "":
		data, err := readRegular(path, maxSecretFile)
		if err != nil {
			return "", fmt.Errorf("%s_FILE: %w", name, err)
		}
		if value = strings.TrimSpace(string(data)); value == "" {
			return "", fmt.Errorf("%s_FILE: %s %w", name, path, errNoSecret)
		}
	}
	return router.Secret(strings.TrimSpace(value)), nil
}

// secrets reads a credential of which there may be several, with commas between them.
func (p *program) secrets(name string) ([]router.Secret, error) {
	all, err := p.secret(name)
	if err != nil || all == "" {
		return nil, err
	}
	return split(all.Reveal()), nil
}

// split takes apart what has commas between its parts.
func split(all string) (parts []router.Secret) {
	for one := range strings.SplitSeq(all, ",") {
		parts = append(parts, router.Secret(strings.TrimSpace(one)))
	}
	return parts
}

// setting reads a variable that is no secret.
func (p *program) setting(name string) string {
	value, _ := p.Getenv(name)
	return strings.TrimSpace(value)
}

// fileError says what is wrong with a file that a person named.
type fileError struct {
	path string
	err  error
}

func newFileError(path string, err error) error {
	if fault, ok := errors.AsType[*fs.PathError](err); ok { // it names the path, and what was called
		err = fault.Err
	}
	return &fileError{path, err}
}

func (e *fileError) Error() string { return e.path + ": " + e.err.Error() }

func (e *fileError) Unwrap() error { return e.err }

// readRegular reads a file that a person named, and refuses one that cannot be what they meant: a folder, one that is
// too large, or what would hold us up. A pipe waits for a writer, and a device may never end. Its error is a
// *fileError.
func readRegular(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, newFileError(path, err)
	}
	if err := regular(path, info); err != nil { // not even opened: that wakes who is at the other end
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, notOpened(path, err)
	}
	defer file.Close()
	if info, err = file.Stat(); err != nil {
		return nil, newFileError(path, err)
	}
	if err := regular(path, info); err != nil { // it has been replaced in between
		return nil, err
	}
	return readToEnd(file, path, limit)
}

func regular(path string, info fs.FileInfo) error {
	switch {
	case info.IsDir():
		return &fileError{path, errors.New("is a folder, not a file")}
	case !info.Mode().IsRegular():
		return &fileError{path, errors.New("is a pipe or a device, not a regular file")}
	}
	return nil
}

func notOpened(path string, err error) error {
	if errors.Is(err, os.ErrPermission) {
		return newFileError(path, fmt.Errorf("%w: let the user that runs flowbridge read it", os.ErrPermission))
	}
	return newFileError(path, err)
}

// readInput is readRegular where - stands for standard input, which may be a pipe.
func (p *program) readInput(path string, limit int64) ([]byte, error) {
	if path == "-" {
		return readToEnd(p.Stdin, "standard input", limit)
	}
	return readRegular(path, limit)
}

// readToEnd reads to the end, which must come within limit bytes.
func readToEnd(from io.Reader, name string, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(from, limit+1))
	switch {
	case err != nil:
		return nil, newFileError(name, err)
	case int64(len(data)) > limit:
		return nil, &fileError{name, fmt.Errorf("is larger than %d KiB", limit>>10)}
	}
	return data, nil
}
