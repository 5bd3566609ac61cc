package whatsapp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"slices"
	"strings"
	"sync"

	"flowbridge/router"
)

// signatureHeader carries HMAC-SHA256 over the raw body, keyed with the app secret. The older X-Hub-Signature
// (SHA-1) is not looked at.
const signatureHeader = "X-Hub-Signature-256"

const signaturePrefix = "sha256="

// signature is an HMAC-SHA256.
type signature [sha256.Size]byte

// Sign returns the header with which Meta would sign body.
func Sign(secret router.Secret, body []byte) string {
	mac := newSigner(secret).sign(body)
	return signaturePrefix + hex.EncodeToString(mac[:])
}

// parseSignature reads the header; it must be there once, with a whole SHA-256 in hex. Meta writes lower case.
func parseSignature(values []string) (mac signature, ok bool) {
	if len(values) != 1 {
		return mac, false
	}
	digits, ok := strings.CutPrefix(strings.TrimSpace(values[0]), signaturePrefix)
	if !ok || len(digits) != hex.EncodedLen(len(mac)) {
		return mac, false
	}
	_, err := hex.Decode(mac[:], []byte(digits))
	return mac, err == nil
}

// signer signs with one secret. It keeps keyed hashes: for a short post, keying one costs as much as the hash.
type signer struct{ hashes sync.Pool }

func newSigner(secret router.Secret) *signer {
	key := []byte(secret.Reveal())
	return &signer{sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}
}

func (s *signer) sign(body []byte) (mac signature) {
	h := s.hashes.Get().(hash.Hash)
	defer s.hashes.Put(h)
	h.Reset()
	h.Write(body)
	h.Sum(mac[:0])
	return mac
}

// keyed are signers, one for each of some secrets.
type keyed struct {
	secrets []router.Secret
	signers []*signer
}

// signers returns those of the secrets in force. They are made anew only when the secrets have changed.
func (h *Handler) signers() []*signer {
	secrets := h.cfg.AppSecretsNow()
	if k := h.keyed.Load(); k != nil && slices.Equal(k.secrets, secrets) {
		return k.signers
	}
	k := &keyed{secrets: slices.Clone(secrets)}
	for _, s := range secrets {
		if s != "" { // an empty key signs for everybody
			k.signers = append(k.signers, newSigner(s))
		}
	}
	h.keyed.Store(k)
	return k.signers
}

// signedByAny tries every secret, in a time that does not tell which one was near.
func signedByAny(signers []*signer, body []byte, mac signature) (ok bool) {
	for _, s := range signers {
		want := s.sign(body)
		ok = hmac.Equal(want[:], mac[:]) || ok
	}
	return ok
}
