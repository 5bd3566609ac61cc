package router

// About names what a delivery is about: an incident's subject, or a notice's.
type About struct {
	WABA    string
	Flow    string // id, or Subject.Key
	Event   string // key of the signal
	Subject Subject
	FlowInfo
}
