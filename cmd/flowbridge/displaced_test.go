package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestADatabaseThatIsRemovedWhileItIsInUseIsSaved takes files away from a bridge at work. What came in before and after
// is told by the next one, and so is its end: nothing that was answered 200 went with the file.
func TestADatabaseThatIsRemovedWhileItIsInUseIsSaved(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		remove []string // ends of names
	}{
		{"all of it", []string{"", "-wal", "-shm", "-inbox", "-inbox-wal", "-inbox-shm", ".lock"}},
		{"the file alone", []string{""}},
		{"the log", []string{"-wal"}},
		{"the memory that readers share", []string{"-shm"}},
		{"the inbox", []string{"-inbox"}},
		{"the lock", []string{".lock"}},
		{"the folder", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newServices(t, "#ops")
			dir := filepath.Join(t.TempDir(), "data")
			must(t, os.Mkdir(dir, 0o700))
			rules, db := writeRules(t, crashRules), filepath.Join(dir, "flowbridge.db")
			p := start(t, s, rules, db)
			p.post(t, pairPost(lately, "77", "ACTIVATED", 50), http.StatusOK)
			eventually(t, "the first is told", func() bool { return len(s.PagerDuty.Incidents()) == 1 })
			for _, end := range c.remove {
				must(t, os.Remove(db+end))
			}
			if c.remove == nil {
				must(t, os.RemoveAll(dir))
			}
			p.post(t, pairPost(lately, "78", "ACTIVATED", 50), http.StatusOK)
			if err := p.end(t); err == nil || !strings.Contains(p.stderr.String(), "while flowbridge was using it") {
				t.Fatalf("it ended with %v:\n%s", err, p.stderr)
			}

			p = start(t, s, rules, db)
			eventually(t, "the second is told", func() bool { return len(s.PagerDuty.Incidents()) == 2 })
			for _, flow := range []string{"77", "78"} {
				p.post(t, pairPost(lately+60, flow, "DEACTIVATED", 50), http.StatusOK)
			}
			eventually(t, "both are over", func() bool {
				pages := s.PagerDuty.Incidents()
				return len(pages) == 2 && pages[0].Status == "resolved" && pages[1].Status == "resolved"
			})
			must(t, p.stop(t))
		})
	}
}

// TestADatabaseThatIsReplacedWhileItIsInUseIsKeptBesideTheOther puts a copy in the place of a file that is in use.
func TestADatabaseThatIsReplacedWhileItIsInUseIsKeptBesideTheOther(t *testing.T) {
	t.Parallel()
	s := newServices(t, "#ops")
	dir := t.TempDir()
	rules, db, older := writeRules(t, crashRules), filepath.Join(dir, "flowbridge.db"), filepath.Join(dir, "older.db")
	p := start(t, s, rules, db)
	path, err := binary()
	must(t, err)
	if out, err := exec.Command(path, "backup", older, "--db", db).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p.post(t, pairPost(lately, "77", "ACTIVATED", 50), http.StatusOK)
	eventually(t, "it is told", func() bool { return len(s.PagerDuty.Incidents()) == 1 })
	must(t, os.Rename(older, db))
	if err := p.end(t); err == nil || !strings.Contains(p.stderr.String(), "was replaced while flowbridge was using it") {
		t.Fatalf("it ended with %v:\n%s", err, p.stderr)
	}
	held, err := filepath.Glob(db + ".held-*")
	must(t, err)
	if len(held) != 1 {
		t.Fatalf("kept are %q:\n%s", held, p.stderr)
	}
	for file, want := range map[string]int{db: 0, held[0]: 1} {
		p = start(t, s, rules, file)
		var got struct{ Incidents []struct{} }
		p.get(t, "/api/v1/incidents", &got)
		if len(got.Incidents) != want {
			t.Errorf("%s knows of %d incidents, want %d", filepath.Base(file), len(got.Incidents), want)
		}
		must(t, p.stop(t))
	}
}

// TestADatabaseThatACopyIsWrittenOverWhileItIsInUseGoesOnWithTheCopy restores a backup as nobody should, with the
// bridge at work. It ends, the copy stays whole, and what was posted since is told by the next one.
func TestADatabaseThatACopyIsWrittenOverWhileItIsInUseGoesOnWithTheCopy(t *testing.T) {
	t.Parallel()
	s := newServices(t, "#ops")
	dir := t.TempDir()
	rules, db, copied := writeRules(t, crashRules), filepath.Join(dir, "flowbridge.db"), filepath.Join(dir, "copy.db")
	p := start(t, s, rules, db)
	p.post(t, pairPost(lately, "77", "ACTIVATED", 50), http.StatusOK)
	eventually(t, "the first is told", func() bool { return len(s.PagerDuty.Incidents()) == 1 })
	path, err := binary()
	must(t, err)
	if out, err := exec.Command(path, "backup", copied, "--db", db).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(copied)
	must(t, err)
	must(t, os.WriteFile(db, text, 0o600))
	p.post(t, pairPost(lately, "78", "ACTIVATED", 50), http.StatusOK)
	if err := p.end(t); err == nil || !strings.Contains(p.stderr.String(), "was overwritten while flowbridge was using") {
		t.Fatalf("it ended with %v:\n%s", err, p.stderr)
	}

	p = start(t, s, rules, db)
	eventually(t, "the second is told", func() bool { return len(s.PagerDuty.Incidents()) == 2 })
	must(t, p.stop(t))
}
