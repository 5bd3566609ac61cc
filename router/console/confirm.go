package console

// confirmation is the page before an act: it says what will happen and who is told. Its form posts to the address of
// the page itself; what that came to is the flash of the page to which the answer leads.
type confirmation struct {
	Title string   // "Acknowledge INC-42"
	About string   // what it is done to, in a line
	What  []string // what will happen, a sentence each
	Told  []string // who is told, a line each
	// List is what it is about, under ListTitle; ListNone stands where there is none of it. Default: no list.
	ListTitle, ListNone string
	List                []listed
	Cannot              string // why it cannot be now: shown in place of the button
	Button              string // what it says: "Acknowledge"
	Grave               bool   // it wakes somebody, or cannot be undone
	Inputs              []input
	Back                string // path that Cancel leads to
}

// listed is a line of a list, with what it leads to.
type listed struct{ Path, Name, Text, Severity string }

// input is a field of a form.
type input struct {
	Name, Label, Hint string
	Type              string // of HTML: text, number, datetime-local; "select", "textarea", "check", or "hidden"
	Value             string
	Options           []option // of a select
	Required          bool
	Most              int // characters
	Checked           bool
	Wrong             string // what is wrong with what was given
}

// option is a choice of a select.
type option struct {
	Value, Text string
	Chosen      bool
}

// confirm returns the page of a confirmation.
func confirm(form confirmation) page {
	return page{Title: form.Title, Template: "confirm", Data: form}
}
