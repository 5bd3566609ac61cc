package probe

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
)

// Meta's health check of an endpoint is a POST of {"encrypted_flow_data", "encrypted_aes_key", "initial_vector"}, each
// in base64. The first is {"version": "3.0", "action": "ping"} under AES-128-GCM, with its tag of 16 bytes behind it;
// the second is that key under RSA-OAEP with SHA-256 and the business's public key; the third has 16 bytes. The answer
// is, in base64 and nothing else, {"data": {"status": "active"}} under the same key, with every bit of the initial
// vector flipped. An endpoint that cannot decrypt answers 421, and 432 where it does not believe the signature. Source:
// Meta, "Implementing Endpoint for Flows" and "Error Codes"; github.com/WhatsApp/WhatsApp-Flows-Tools, encryption.js.

const (
	keySize, vectorSize = 16, 16
	// leastKeyBits is the shortest key that is taken: Meta has businesses make one of 2048 bits.
	leastKeyBits = 2048
)

// pingText is what Meta's health check says.
const pingText = `{"version":"3.0","action":"ping"}`

// ping is one health check, and what reads its answer.
type ping struct {
	body   []byte
	aead   cipher.AEAD
	vector []byte
}

// newPing makes one as Meta does, for an endpoint that has the private key of a public one.
func newPing(public *rsa.PublicKey) (*ping, error) {
	key, vector := make([]byte, keySize), make([]byte, vectorSize)
	rand.Read(key)
	rand.Read(vector)
	sealed, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, public, key, nil)
	if err != nil {
		return nil, fmt.Errorf("encrypt the key of a ping: %w", err)
	}
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(map[string][]byte{ // bytes are written in base64
		"encrypted_flow_data": aead.Seal(nil, vector, []byte(pingText), nil),
		"encrypted_aes_key":   sealed,
		"initial_vector":      vector,
	})
	return &ping{body, aead, vector}, err
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithNonceSize(block, vectorSize)
}

// read says what is wrong with the body of an answer; "" where it is the one that Meta wants.
func (p *ping) read(body []byte) (wrong string) {
	body = bytes.TrimSpace(body)
	sealed := make([]byte, base64.StdEncoding.DecodedLen(len(body)))
	n, err := base64.StdEncoding.Decode(sealed, body)
	if err != nil || n == 0 {
		return "its answer to the ping is no base64"
	}
	flipped := make([]byte, len(p.vector))
	for i, b := range p.vector {
		flipped[i] = ^b
	}
	plain, err := p.aead.Open(nil, flipped, sealed[:n], nil)
	if err != nil {
		return "its answer to the ping cannot be decrypted"
	}
	var said struct {
		Data struct {
			Status string `json:"status"`
		} `json:"data"`
	}
	if json.Unmarshal(plain, &said) != nil || said.Data.Status != "active" {
		return "it does not answer the ping with status active"
	}
	return ""
}

// ParseKey reads the public key of a business, as it was uploaded to Meta: an RSA key in PEM. Its errors say what to
// give instead, and nothing of what was given.
func ParseKey(data []byte) (*rsa.PublicKey, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("no PEM in it: give the business's public key, as it was uploaded to Meta")
	}
	var key any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("it holds a private key, which has no business here: give the public one " +
			"(openssl rsa -in private.pem -pubout)")
	default:
		return nil, errors.New("it holds something else than a public key: give the one that was uploaded to Meta")
	}
	public, ok := key.(*rsa.PublicKey)
	switch {
	case err != nil || !ok:
		return nil, errors.New("it holds no RSA public key that can be read: give the one that was uploaded to Meta")
	case public.N.BitLen() < leastKeyBits:
		return nil, fmt.Errorf("its key has %d bits: Meta wants %d", public.N.BitLen(), leastKeyBits)
	}
	return public, nil
}
