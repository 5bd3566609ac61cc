package probe

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"sync"
	"testing"
)

// businessKey is the key of a business, made once.
var businessKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// opened is what an endpoint reads of a ping; nil where it cannot decrypt it.
type opened struct {
	text        string
	key, vector []byte
}

// open decrypts a ping as Meta's example of an endpoint does: github.com/WhatsApp/WhatsApp-Flows-Tools, encryption.js.
func open(t *testing.T, private *rsa.PrivateKey, body []byte) *opened {
	t.Helper()
	var sent struct {
		Data   []byte `json:"encrypted_flow_data"`
		Key    []byte `json:"encrypted_aes_key"`
		Vector []byte `json:"initial_vector"`
	}
	if err := json.Unmarshal(body, &sent); err != nil {
		t.Errorf("the ping is %s: %v", body, err)
		return nil
	}
	key, err := rsa.DecryptOAEP(sha256.New(), nil, private, sent.Key, nil)
	if err != nil {
		return nil
	}
	aead, err := newAEAD(key)
	if err != nil {
		t.Error(err)
		return nil
	}
	text, err := aead.Open(nil, sent.Vector, sent.Data, nil)
	if err != nil {
		t.Errorf("its text cannot be decrypted: %v", err)
		return nil
	}
	return &opened{string(text), key, sent.Vector}
}

// answer encrypts what an endpoint says. flip is false for one that forgets to flip the vector.
func (o *opened) answer(text string, flip bool) string {
	vector := bytes.Clone(o.vector)
	for i := range vector {
		if flip {
			vector[i] ^= 0xff
		}
	}
	aead, err := newAEAD(o.key)
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(aead.Seal(nil, vector, []byte(text), nil))
}

func TestAPingIsThatOfMetasHealthCheck(t *testing.T) {
	t.Parallel()
	p, err := newPing(&businessKey().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	o := open(t, businessKey(), p.body)
	if o == nil || o.text != `{"version":"3.0","action":"ping"}` || len(o.key) != 16 || len(o.vector) != 16 {
		t.Fatalf("the endpoint reads %+v", o)
	}
	const good = `{"version":"3.0","data":{"status":"active"}}`
	for what, c := range map[string]struct{ body, wrong string }{
		"as it should be":     {o.answer(good, true), ""},
		"with a line end":     {o.answer(good, true) + "\r\n", ""},
		"the vector as it is": {o.answer(good, false), "its answer to the ping cannot be decrypted"},
		"in the clear":        {good, "its answer to the ping is no base64"},
		"nothing":             {"", "its answer to the ping is no base64"},
		"only white space":    {" \n", "its answer to the ping is no base64"},
		"in quotes":           {`"` + o.answer(good, true) + `"`, "its answer to the ping is no base64"},
		"cut short":           {o.answer(good, true)[:20], "its answer to the ping cannot be decrypted"},
		"as short as a tag":   {"AAAA", "its answer to the ping cannot be decrypted"},
		"another status": {o.answer(`{"data":{"status":"asleep"}}`, true),
			"it does not answer the ping with status active"},
		"a screen":        {o.answer(`{"screen":"FIRST","data":{}}`, true), "it does not answer the ping with status active"},
		"no JSON":         {o.answer(`active`, true), "it does not answer the ping with status active"},
		"of another form": {o.answer(`{"data":["status","active"]}`, true), "it does not answer the ping with status active"},
	} {
		if got := p.read([]byte(c.body)); got != c.wrong {
			t.Errorf("%s: %q, want %q", what, got, c.wrong)
		}
	}
	other, err := newPing(&businessKey().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if other.read([]byte(o.answer(good, true))) == "" || bytes.Equal(p.body, other.body) {
		t.Error("two pings share a key: an answer can be sent again later")
	}
}

func FuzzAnswersToPingsAreReadWithoutFaults(f *testing.F) {
	p, err := newPing(&businessKey().PublicKey)
	if err != nil {
		f.Fatal(err)
	}
	flipped := bytes.Clone(p.vector)
	for i := range flipped {
		flipped[i] ^= 0xff
	}
	for _, text := range []string{`{"data":{"status":"active"}}`, `{}`, `[`, ``} {
		f.Add([]byte(text), true)
		f.Add([]byte(text), false)
	}
	f.Add([]byte("AAAAAAAAAAAAAAAAAAAAAAAA"), false)
	f.Fuzz(func(t *testing.T, data []byte, sealed bool) {
		body := data
		if sealed {
			body = []byte(base64.StdEncoding.EncodeToString(p.aead.Seal(nil, flipped, data, nil)))
		}
		if wrong := p.read(body); wrong == "" && (!sealed || !bytes.Contains(data, []byte("active")) &&
			!bytes.Contains(data, []byte(`\u`))) {
			t.Errorf("%q is taken for a good answer", data)
		}
	})
}

func TestOnlyThePublicKeyOfABusinessIsTaken(t *testing.T) {
	t.Parallel()
	write := func(kind string, bytes []byte, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}))
	}
	pkix := func(public any) string {
		b, err := x509.MarshalPKIXPublicKey(public)
		return write("PUBLIC KEY", b, err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(businessKey())
	curve, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	small := &rsa.PublicKey{N: businessKey().Primes[0], E: 65537} // 1024 bits
	for what, c := range map[string]struct{ data, problem string }{
		"as openssl writes it": {pkix(&businessKey().PublicKey), ""},
		"of RSA alone": {write("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&businessKey().PublicKey), nil),
			""},
		"the private one": {write("PRIVATE KEY", private, err), "it holds a private key"},
		"an older form of it": {write("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(businessKey()), nil),
			"it holds a private key"},
		"of another kind": {pkix(&curve.PublicKey), "no RSA public key"},
		"short":           {pkix(small), "has 1024 bits"},
		"a certificate":   {write("CERTIFICATE", []byte("x"), nil), "something else"},
		"garbage":         {write("PUBLIC KEY", []byte("x"), nil), "no RSA public key"},
		"no PEM":          {"MIIBIjANBgkq", "no PEM in it"},
		"nothing":         {"", "no PEM in it"},
	} {
		key, err := ParseKey([]byte(c.data))
		switch {
		case c.problem == "" && (err != nil || !key.Equal(&businessKey().PublicKey)):
			t.Errorf("%s: %v", what, err)
		case c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)):
			t.Errorf("%s: %v, want %q", what, err, c.problem)
		}
	}
}
