package stories

import (
	"strings"

	"flowbridge/router"
	"flowbridge/router/rules"
	"flowbridge/router/rules/yamldoc"
)

// subject reads what an event is about where that is no flow, and Meta's word for what happened to it. A step may leave
// its event out: the word tells it, together with what it is about.
func (s *reader) subject(ev *Event, at map[string]yamldoc.Entry) {
	about := router.SubjectKind("")
	if k, ok := at["subject"]; ok {
		about = s.Subject(k)
	}
	for _, one := range []struct {
		key  string
		kind router.SubjectKind
		into *string
	}{{"phone", router.SubjectPhone, &ev.Phone}, {"template", router.SubjectTemplate, &ev.Template}} {
		k, ok := at[one.key]
		if !ok {
			continue
		}
		if *one.into = s.text(k); about != "" && about != one.kind {
			s.Wrong(k.At, k.Path, "names another subject than "+rules.WithArticle(about), "a step is about one thing")
			continue
		}
		about = one.kind
		if one.key == "phone" && router.PlainPhone(ev.Phone) == ev.Phone && strings.Trim(ev.Phone, "0123456789") != "" {
			s.Wrong(k.Value, k.Path, yamldoc.Quote(ev.Phone)+" is no phone number",
				`write "+1 555-078-3881" or "15550783881"`)
		}
	}
	known := ev.Name != "" && len(router.SignalsOf(ev.Name)) > 0
	if of := router.SubjectOf(ev.Name); known && about != "" && of != about {
		s.Wrong(at["event"].At, at["event"].Path,
			ev.Name+" is about "+rules.WithArticle(of)+", and not "+rules.WithArticle(about), "")
		return
	}
	if k, ok := at["change"]; ok {
		ev.Change, ev.Name = s.Change(k, ev.Name, about)
	}
	s.misplaced(ev, at)
}

// misplaced reports keys that say nothing of an event, because it is about another subject than a flow.
func (s *reader) misplaced(ev *Event, at map[string]yamldoc.Entry) {
	of := router.SubjectOf(ev.Name)
	if of == router.SubjectFlow || len(router.SignalsOf(ev.Name)) == 0 || router.IsPersonal(ev.Name) {
		return
	}
	for _, key := range []string{"flow", "threshold", "value", "old_status", "new_status", "error_type"} {
		if k, ok := at[key]; ok {
			s.Wrong(k.At, k.Path, "says nothing of "+ev.Name,
				"it is about "+rules.WithArticle(of)+": say what happened with change:")
		}
	}
}

// is says whether an incident is about what an act names.
func (a *Act) is(inc *router.Incident) bool {
	flow := a.Flow == "" || a.Flow == inc.Flow
	event := a.Event == "" || a.Event == inc.Event || a.Event == inc.EventName()
	phone := a.Phone == "" || inc.Subject.Kind == router.SubjectPhone &&
		router.PlainPhone(a.Phone) == router.PlainPhone(inc.Subject.ID)
	name, inLanguage := strings.CutPrefix(inc.Subject.Name, a.Template)
	template := a.Template == "" || inc.Subject.Kind == router.SubjectTemplate && inLanguage &&
		(name == "" || strings.HasPrefix(name, " ("))
	return flow && event && phone && template
}
