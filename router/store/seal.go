package store

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"flowbridge/router"
)

// sealedForm begins a routing key that is stored encrypted; what begins otherwise is stored as it is.
const sealedForm = "sealed:1:"

// seal encrypts routing keys with a key that is derived from a secret. The same text always becomes the same, so that
// the few routing keys among many deliveries are found and sealed anew with one statement each.
type seal struct {
	aead  cipher.AEAD
	nonce []byte // key of the hash that makes the nonce of a text
	id    string // tells seals apart, and nothing else
}

func newSeal(secret router.Secret) (*seal, error) {
	derived, err := hkdf.Key(sha256.New, []byte(secret.Reveal()), nil, "flowbridge: routing keys at rest", 80)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived[:32])
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	return &seal{aead: aead, nonce: derived[32:64], id: hex.EncodeToString(derived[64:72])}, err
}

func (s *seal) close(text string) string {
	mac := hmac.New(sha256.New, s.nonce)
	mac.Write([]byte(text))
	nonce := mac.Sum(nil)[:s.aead.NonceSize()]
	return sealedForm + base64.RawStdEncoding.EncodeToString(s.aead.Seal(nonce, nonce, []byte(text), nil))
}

func (s *seal) open(raw []byte) (text string, ok bool) {
	n := s.aead.NonceSize()
	if len(raw) < n {
		return "", false
	}
	plain, err := s.aead.Open(nil, raw[:n], raw[n:], nil)
	return string(plain), err == nil
}

// loadSeals derives what Config.Seals say, and seals anew what an older seal, or none, is on.
func (s *Store) loadSeals(ctx context.Context) error {
	for _, secret := range s.cfg.Seals {
		one, err := newSeal(secret)
		if err != nil {
			return fmt.Errorf("derive the key of routing keys: %w", err)
		}
		s.seals = append(s.seals, one)
	}
	if len(s.seals) == 0 {
		return nil
	}
	const name = "sealed_with"
	if with, err := s.remembered(ctx, s.read, name); err != nil || with == s.seals[0].id {
		return err
	}
	lost := 0
	err := s.inTx(ctx, func(tx *txn) error {
		lost = 0
		for _, column := range []string{"routing_key", "channel"} {
			which := column + ` <> ''`
			if column == "channel" { // most are no secret
				which = `channel LIKE '` + sealedForm + `%'`
			}
			stored, err := all(ctx, tx, `SELECT DISTINCT `+column+` FROM deliveries WHERE `+which, nil, scanText)
			if err != nil {
				return err
			}
			for _, old := range stored {
				text, ok := s.unsealed(old)
				if !ok {
					lost++
					continue
				}
				if _, err := tx.ExecContext(ctx, `UPDATE deliveries SET `+column+` = ? WHERE `+column+` = ?`,
					s.sealed(router.Secret(text)), old); err != nil {
					return err
				}
			}
		}
		if lost > 0 { // the next start tries again
			return nil
		}
		_, err := tx.ExecContext(ctx,
			`INSERT INTO remembered (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name,
			s.seals[0].id)
		return err
	})
	if lost > 0 {
		s.cfg.Logger.Warn(
			"routing keys of deliveries are encrypted with a META_APP_SECRET that is not given any more: those of the rules "+
				"stand in for them. "+
				"To use the pinned ones, give the old secret behind the new one, with a comma", "keys", lost)
	}
	pulse(s.erased)
	return err
}

// sealed returns a routing key as it is stored.
func (s *Store) sealed(key router.Secret) string {
	if len(s.seals) == 0 || key == "" {
		return key.Reveal()
	}
	return s.seals[0].close(key.Reveal())
}

// unsealed returns a routing key from what is stored; false if none of the seals opens it.
func (s *Store) unsealed(stored string) (text string, ok bool) {
	encoded, is := strings.CutPrefix(stored, sealedForm)
	if !is {
		return stored, true
	}
	raw, err := base64.RawStdEncoding.DecodeString(encoded)
	if err != nil {
		return "", false
	}
	for _, one := range s.seals {
		if text, ok := one.open(raw); ok {
			return text, true
		}
	}
	return "", false
}

// sealedAddress returns the address of a target as it is stored: one that may hold a credential is sealed like those.
func (s *Store) sealedAddress(t *router.Target) string {
	if t.Kind.Private() {
		return s.sealed(router.Secret(t.Address))
	}
	return t.Address
}

// address returns the address that is pinned to a delivery, or where it cannot be opened that which its notifier has in
// the rules.
func (s *Store) address(notifier, stored string) string {
	if text, ok := s.unsealed(stored); ok {
		return text
	}
	if s.cfg.Target != nil {
		if t, ok := s.cfg.Target(notifier); ok {
			return t.Address
		}
	}
	return ""
}

// routingKey returns the routing key that is pinned to a delivery, or where it cannot be opened that which its notifier
// has in the rules.
func (s *Store) routingKey(notifier, stored string) router.Secret {
	if text, ok := s.unsealed(stored); ok {
		return router.Secret(text)
	}
	if s.cfg.Target != nil {
		if t, ok := s.cfg.Target(notifier); ok {
			return t.Credential
		}
	}
	return ""
}
