package store

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"flowbridge/router"
)

const (
	// mostRules bounds the text of one version, in bytes: of longer ones only the names of the files are kept.
	mostRules = 4 << 20
	tooMuch   = "# too long to be kept\n"
	// mostVersions bounds a list.
	mostVersions = 100
	// mostHits bounds what RuleHits returns: a thousand rules over 90 days.
	mostHits = 90_000
)

// KeepRulesVersion keeps rules that are in force from now on.
func (s *Store) KeepRulesVersion(ctx context.Context, v router.RulesVersion) error {
	files, err := packFiles(v.Files)
	if err == nil {
		err = s.inTx(ctx, func(tx *txn) error {
			_, err := tx.ExecContext(ctx,
				`INSERT INTO rules_versions (digest, first_at, loaded_at, loaded_by, files) VALUES (?, ?, ?, ?, ?)
				ON CONFLICT (digest) DO UPDATE SET loaded_at = excluded.loaded_at, loaded_by = excluded.loaded_by`,
				v.Digest, micros(v.Loaded), micros(v.Loaded), v.By, files)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("keep the rules: %w", err)
	}
	return nil
}

func packFiles(files []router.RulesFile) ([]byte, error) {
	kept, size := make([]router.RulesFile, len(files)), 0
	for i, f := range files {
		if size += len(f.Text); size > mostRules {
			f.Text = tooMuch
		}
		kept[i] = f
	}
	text, err := json.Marshal(kept)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.DefaultCompression)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(text)
	err = errors.Join(err, w.Close())
	return out.Bytes(), err
}

// RulesVersions returns at most limit versions, that which was loaded last first, without their texts.
func (s *Store) RulesVersions(ctx context.Context, limit int) ([]router.RulesVersion, error) {
	if limit <= 0 || limit > mostVersions {
		limit = mostVersions
	}
	found, err := all(ctx, s.read,
		`SELECT digest, first_at, loaded_at, loaded_by FROM rules_versions ORDER BY loaded_at DESC, digest LIMIT ?`,
		[]any{limit}, scanVersion)
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	return found, nil
}

func scanVersion(row scanner) (v router.RulesVersion, err error) {
	var first, loaded int64
	err = row.Scan(&v.Digest, &first, &loaded, &v.By)
	v.First, v.Loaded = fromMicros(first), fromMicros(loaded)
	return v, err
}

// RulesVersion returns one version with its text, or router.ErrNotFound.
func (s *Store) RulesVersion(ctx context.Context, digest string) (v router.RulesVersion, err error) {
	found, err := all(ctx, s.read,
		`SELECT digest, first_at, loaded_at, loaded_by, files FROM rules_versions WHERE digest = ?`, []any{digest},
		func(row scanner) (v router.RulesVersion, err error) {
			var first, loaded int64
			var files []byte
			if err := row.Scan(&v.Digest, &first, &loaded, &v.By, &files); err != nil {
				return v, err
			}
			v.First, v.Loaded = fromMicros(first), fromMicros(loaded)
			text, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(files)), 8*mostRules))
			if err != nil || json.Unmarshal(text, &v.Files) != nil {
				v.Files = nil // they are damaged
			}
			return v, nil
		})
	switch {
	case err != nil:
		return v, fmt.Errorf("read rules: %w", err)
	case len(found) == 0:
		return v, router.ErrNotFound
	}
	return found[0], nil
}

// sweepRules removes versions that were loaded before a time and that no incident names, but for the newest: it may be
// in force.
func (s *Store) sweepRules(ctx context.Context, before int64) (int64, error) {
	return s.removePages(ctx,
		`SELECT digest FROM rules_versions v WHERE loaded_at < ? AND loaded_at < (SELECT max(loaded_at) FROM rules_versions)
		AND NOT EXISTS (SELECT 1 FROM incidents i WHERE i.rules <> '' AND i.rules = v.digest) LIMIT ?`,
		[]any{before, sweepRows},
		`DELETE FROM rules_versions WHERE digest = ?`, func(row scanner) ([]any, error) {
			text, err := scanText(row)
			return []any{text}, err
		})
}

func writeHits(ctx context.Context, tx *txn, b router.Batch) error {
	return each(ctx, tx, b.Hits, `INSERT INTO rule_hits (day, rule, hits, pages, last_at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (day, rule) DO UPDATE SET hits = rule_hits.hits + excluded.hits, pages = rule_hits.pages + excluded.pages,
		last_at = CASE WHEN excluded.last_at > rule_hits.last_at THEN excluded.last_at ELSE rule_hits.last_at END`,
		func(h router.RuleHits) ([]any, error) {
			return []any{micros(h.Day), h.Rule, h.Hits, h.Pages, micros(h.Last)}, nil
		})
}

// RuleHits returns what rules did since the day of a time, the oldest day first.
func (s *Store) RuleHits(ctx context.Context, from time.Time) ([]router.RuleHits, error) {
	found, err := all(ctx, s.read,
		`SELECT day, rule, hits, pages, last_at FROM rule_hits WHERE day >= ? ORDER BY day, rule LIMIT ?`,
		[]any{micros(from.UTC().Truncate(24 * time.Hour)), mostHits}, func(row scanner) (h router.RuleHits, err error) {
			var day, last int64
			err = row.Scan(&day, &h.Rule, &h.Hits, &h.Pages, &last)
			h.Day, h.Last = fromMicros(day), fromMicros(last)
			return h, err
		})
	if err != nil {
		return nil, fmt.Errorf("read what rules did: %w", err)
	}
	return found, nil
}

func (s *Store) sweepHits(ctx context.Context, before int64) (int64, error) {
	return s.removePages(ctx, `SELECT day, rule FROM rule_hits WHERE day < ? ORDER BY day LIMIT ?`,
		[]any{before, sweepRows},
		`DELETE FROM rule_hits WHERE day = ? AND rule = ?`, func(row scanner) ([]any, error) {
			var day int64
			var rule string
			err := row.Scan(&day, &rule)
			return []any{day, rule}, err
		})
}

// KeepSights keeps what was seen of the other sides, unless something newer is there.
func (s *Store) KeepSights(ctx context.Context, sights []router.Sight) error {
	err := s.inTx(ctx, func(tx *txn) error {
		return each(ctx, tx, sights, `INSERT INTO seen (what, at, detail) VALUES (?, ?, ?)
			ON CONFLICT (what) DO UPDATE SET at = excluded.at, detail = excluded.detail WHERE excluded.at >= seen.at`,
			func(one router.Sight) ([]any, error) { return []any{string(one.What), micros(one.At), one.Detail}, nil })
	})
	if err != nil {
		return fmt.Errorf("keep what was seen: %w", err)
	}
	return nil
}

// Seen returns what was seen of the other sides, by its name.
func (s *Store) Seen(ctx context.Context) ([]router.Sight, error) { return seen(ctx, s.read) }

func seen(ctx context.Context, q querier) ([]router.Sight, error) {
	found, err := all(ctx, q, `SELECT what, at, detail FROM seen ORDER BY what`, nil,
		func(row scanner) (one router.Sight, err error) {
			var at int64
			err = row.Scan(&one.What, &at, &one.Detail)
			one.At = fromMicros(at)
			return one, err
		})
	if err != nil {
		return nil, fmt.Errorf("read what was seen: %w", err)
	}
	return found, nil
}
