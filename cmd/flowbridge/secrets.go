package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

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
		data, err := readBounded(path, maxSecretFile)
		if err != nil {
			return "", fmt.Errorf("%s_FILE: %w", name, err)
		}
		value = string(data)
	}
	return router.Secret(strings.TrimSpace(value)), nil
}

// secrets reads a credential of which there may be several, with commas between them.
func (p *program) secrets(name string) ([]router.Secret, error) {
	all, err := p.secret(name)
	if err != nil || all == "" {
		return nil, err
	}
	var out []router.Secret
	for one := range strings.SplitSeq(all.Reveal(), ",") {
		out = append(out, router.Secret(strings.TrimSpace(one)))
	}
	return out, nil
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

// readBounded reads a file that a person named, and refuses one that cannot be what they meant. Its error is a *fileError.
func readBounded(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, newFileError(path, err)
	case info.IsDir():
		return nil, &fileError{path, errors.New("is a folder, not a file")}
	case info.Size() > limit:
		return nil, &fileError{path, fmt.Errorf("is larger than %d KiB", limit>>10)}
	}
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrPermission):
		return nil, newFileError(path, fmt.Errorf("%w: let the user that runs flowbridge read it", os.ErrPermission))
	case err != nil:
		return nil, newFileError(path, err)
	}
	return data, nil
}
