package rules

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"flowbridge/router"
)

// blank stands for a credential, and notKept for a file in which one cannot be found again where it is written.
const (
	blank   = "••••••"
	notKept = "# not kept: a credential is written in it in a way that cannot be blanked; use ${NAME} or ${file:PATH}\n"
)

// Shown returns files as anybody may see them, line for line: ${} as it is written, and dots in the place of
// credentials that are written out, also in comments. It never fails: of a file whose credentials cannot be blanked
// nothing is shown.
func Shown(files []File) []router.RulesFile {
	shown := make([]router.RulesFile, len(files))
	for i, f := range files {
		shown[i] = router.RulesFile{Name: f.Name, Text: shownText(string(f.Data))}
	}
	return shown
}

// Digest tells versions of rules apart, by what is shown of them: nothing can be learnt from it about a credential.
func Digest(shown []router.RulesFile) string {
	h := sha256.New()
	for _, f := range shown {
		fmt.Fprintf(h, "%d %s\n%d %s\n", len(f.Name), f.Name, len(f.Text), f.Text)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func shownText(text string) string {
	found, ok := writtenOut(text)
	slices.SortFunc(found, func(a, b string) int { return len(b) - len(a) }) // one may be part of another
	var blanks []string
	for _, value := range found {
		blanks = append(blanks, value, blank)
	}
	text = strings.NewReplacer(blanks...).Replace(text)
	text = shapes.ReplaceAllString(commented.ReplaceAllStringFunc(text, func(line string) string {
		m := commented.FindStringSubmatch(line)
		if reference.MatchString(m[2]) || m[2] == blank || strings.ContainsAny(m[2][:1], "*&|>") {
			return line
		}
		return m[1] + blank
	}), blank)
	text = longWords.ReplaceAllStringFunc(text, func(word string) string {
		if strings.ContainsAny(word, "0123456789") {
			return blank
		}
		return word
	})
	left, fine := writtenOut(text)
	if !ok || !fine || len(left) > 0 {
		return notKept
	}
	return text
}

var (
	reference = regexp.MustCompile(`^\$\{[^{}]*\}$`)
	// commented finds credentials by their keys, also in comments.
	commented = regexp.MustCompile(`(\b(?:` + strings.Join(secretKeys(), "|") +
		`)["']?[ \t]*:[ \t]*["']?)(\$\{[^{}\n]*\}[^\s"',}]*|[^\s"',}#][^\s"',}]*)`)
	// shapes and longWords find credentials by how they look: tokens of Slack, secrets and addresses of webhooks;
	// integration keys of PagerDuty.
	shapes = regexp.MustCompile(
		`\bxox[a-z]-[A-Za-z0-9-]{8,}|\bxapp-[A-Za-z0-9-]{8,}|\bwhsec_[A-Za-z0-9+/=]{8,}|https://hooks\.[^\s"'<>]+`)
	longWords = regexp.MustCompile(`\b[A-Za-z0-9]{32}\b`)
)

// secretKeys are the keys of notifiers whose values are credentials, or may hold one.
func secretKeys() (keys []string) {
	for _, kind := range router.Kinds() {
		for _, key := range kind.Keys() {
			secret := key.Is == router.KeyCredential || key.Is == router.KeyAddress && kind.Private()
			if secret && !slices.Contains(keys, key.Name) {
				keys = append(keys, key.Name)
			}
		}
	}
	return keys
}

// writtenOut returns the values of secretKeys, wherever they stand, that are no reference; ok is false where the text
// is no YAML.
func writtenOut(text string) (found []string, ok bool) {
	dec := yaml.NewDecoder(bytes.NewReader([]byte(text)))
	var doc yaml.Node
	if dec.Decode(&doc) != nil {
		return nil, false
	}
	keys := secretKeys()
	var walk func(*yaml.Node)
	walk = func(n *yaml.Node) {
		for i, child := range n.Content {
			if n.Kind == yaml.MappingNode && i%2 == 1 && slices.Contains(keys, n.Content[i-1].Value) {
				value := child
				if value.Kind == yaml.AliasNode {
					value = value.Alias
				}
				v := value.Value
				if value.Kind == yaml.ScalarNode && v != "" && v != blank && !reference.MatchString(v) &&
					!slices.Contains(found, v) {
					found = append(found, v)
				}
			}
			walk(child)
		}
	}
	walk(&doc)
	return found, true
}
