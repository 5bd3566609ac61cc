package router

import "strings"

// ErrorHelp explains one of Meta's error types.
type ErrorHelp struct {
	Type    string // the normal spelling
	Meaning string
	Help    string // what to do
}

// errorTypes is Meta's table of endpoint and client errors (Flows, "Error codes" and "Health monitoring").
var errorTypes = map[string]ErrorHelp{
	"timeout-error": {"timeout_error", "the endpoint took over 10 s to answer", "answer faster"},
	"missing-capability": {
		"missing_capability",
		"the app lacks the endpoint capability",
		"ask Meta for the capability",
	},
	"cannot-be-served": {
		"cannot_be_served",
		"the flow cannot be sent or opened",
		"check the flow's status, the account, and the versions in the Flow JSON",
	},
	"no-http-response-error": {
		"no_http_response_error",
		"the connection closed without an HTTP response",
		"make the endpoint answer always, errors too",
	},
	"unexpected-http-status-code": {
		"unexpected_http_status_code",
		"the endpoint answered with a status nobody expects, such as 500",
		"return the statuses that Flows define",
	},
	"public-key-missing": {
		"public-key-missing",
		"the client found no business public key",
		"upload the public key for that phone number",
	},
	"public-key-signiture-verification": {
		"public-key-signiture-verification",
		"the signature of the public key did not verify",
		"upload key and signature again",
	},
	"response-decryption-error": {
		"response-decryption-error",
		"the client could not decrypt the answer",
		"check that the endpoint uses the key that was uploaded",
	},
	"invalid-screen-transition": {
		"invalid-screen-transition",
		"the next screen breaks the routing model",
		"mend the endpoint; a published flow must be cloned to change it",
	},
	"payload-schema-error": {
		"payload-schema-error",
		"the data for a screen does not fit the Flow JSON",
		"mend the data that the endpoint returns",
	},
	"business-decryption-error": {
		"business-decryption-error",
		"the endpoint answered 421 even after a key refresh",
		"upload the public key again",
	},
}

// errorAliases are other spellings seen on the wire, in their normal form.
var errorAliases = map[string]string{
	"timeout":          "timeout-error",
	"capability-error": "missing-capability",
	// Meta misspells the word; an upright spelling may come one day.
	"public-key-signature-verification": "public-key-signiture-verification",
}

// NormalErrorType returns the form in which spellings of one error type are equal: lower case, dashes,
// aliases followed. TIMEOUT, timeout_error and timeout-error are one.
func NormalErrorType(t string) string {
	t = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(t)), "_", "-")
	if alias, ok := errorAliases[t]; ok {
		return alias
	}
	return t
}

// DescribeError returns what is known of an error type in any spelling; ok is false for unknown ones.
func DescribeError(t string) (help ErrorHelp, ok bool) {
	help, ok = errorTypes[NormalErrorType(t)]
	return help, ok
}

// KnownErrorTypes returns Meta's spelling of every known error type, in no particular order.
func KnownErrorTypes() []string {
	out := make([]string, 0, len(errorTypes))
	for _, help := range errorTypes {
		out = append(out, help.Type)
	}
	return out
}
