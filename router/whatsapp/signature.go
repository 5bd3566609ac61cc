package whatsapp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"flowbridge/router"
)

// signatureHeader carries HMAC-SHA256 over the raw body, keyed with the app secret. The older X-Hub-Signature
// (SHA-1) is not looked at.
const signatureHeader = "X-Hub-Signature-256"

const signaturePrefix = "sha256="

// Sign returns the header with which Meta would sign body.
func Sign(secret router.Secret, body []byte) string {
	return signaturePrefix + hex.EncodeToString(sum(secret, body))
}

func sum(secret router.Secret, body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(secret.Reveal()))
	mac.Write(body)
	return mac.Sum(nil)
}

// parseSignature reads the header; it must be there once, with a whole SHA-256 in hex.
func parseSignature(values []string) (mac []byte, ok bool) {
	if len(values) != 1 {
		return nil, false
	}
	digits, ok := strings.CutPrefix(strings.TrimSpace(values[0]), signaturePrefix)
	if !ok {
		return nil, false
	}
	mac, err := hex.DecodeString(digits)
	return mac, err == nil && len(mac) == sha256.Size
}

// signedByAny tries every secret, in a time that does not tell which one was near.
func signedByAny(secrets []router.Secret, body, mac []byte) (ok bool) {
	for _, s := range secrets {
		ok = hmac.Equal(sum(s, body), mac) || ok
	}
	return ok
}
