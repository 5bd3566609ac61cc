package console

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/julienschmidt/httprouter"

	"flowbridge/router"
)

// Acts on the incidents that were ticked in the list.

// maxTogether is how many may be acknowledged at a time.
const maxTogether = 50

// chosen returns the incidents that were ticked.
func (c *Console) chosen(r *http.Request, values []string) (list []router.IncidentDetail, err error) {
	if len(values) > maxTogether {
		return nil, refuse(http.StatusBadRequest, "at most %d at a time", maxTogether)
	}
	for _, value := range values {
		inc, err := c.incident(r, httprouter.Params{{Key: "number", Value: value}})
		if err != nil {
			return nil, err
		}
		list = append(list, inc)
	}
	return list, nil
}

// listBack is the list that an act on ticked incidents began at, with its filter.
func listBack(form url.Values) string {
	back, _ := url.ParseQuery(strings.TrimPrefix(form.Get("back"), "?"))
	return "/" + queryOf(back)
}

// confirmSeveral: GET /acknowledge?n=42&n=43
func (c *Console) confirmSeveral(r *http.Request, _ httprouter.Params) (page, error) {
	list, err := c.chosen(r, r.URL.Query()["n"])
	if err != nil {
		return page{}, err
	}
	form := confirmation{Title: "Acknowledge several incidents", Button: "Acknowledge",
		Back: listBack(r.URL.Query())}
	if query := strings.TrimPrefix(form.Back, "/"); query != "" {
		form.Inputs = append(form.Inputs, input{Type: "hidden", Name: "back", Value: query})
	}
	may := 0
	told := map[string]bool{}
	for i := range list {
		inc := &list[i]
		if needed, _ := needed(inc, router.Acknowledge); !needed {
			form.What = append(form.What, inc.Name()+" ("+inc.What()+") is "+string(inc.State)+" already and stays so.")
			continue
		}
		may++
		form.What = append(form.What, inc.Name()+" ("+inc.What()+") is acknowledged by "+c.actorName(r)+".")
		form.Inputs = append(form.Inputs, input{Type: "hidden", Name: "n", Value: strconv.FormatInt(inc.Number, 10)})
		for _, line := range toldOf(inc) {
			if !told[line] {
				told[line] = true
				form.Told = append(form.Told, line)
			}
		}
	}
	switch {
	case len(list) == 0:
		form.Cannot = "Tick some incidents first."
	case may == 0:
		form.Cannot = "None of them can be acknowledged."
	default:
		form.Button = fmt.Sprintf("Acknowledge %d", may)
	}
	return confirm(form), nil
}

// acknowledgeSeveral: POST /acknowledge
func (c *Console) acknowledgeSeveral(r *http.Request, _ httprouter.Params) (page, error) {
	list, err := c.chosen(r, r.PostForm["n"])
	if err != nil {
		return page{}, err
	}
	var open []*router.IncidentDetail
	var names []string
	for i := range list {
		if needed, _ := needed(&list[i], router.Acknowledge); needed {
			open, names = append(open, &list[i]), append(names, list[i].Name())
		}
	}
	if len(names) == 0 {
		return page{SeeOther: listBack(r.PostForm), Said: flash{Text: "Nothing had to be acknowledged.", Bad: true}}, nil
	}
	came, err := c.doAct(r, router.Acknowledge, open...)
	if err != nil {
		return page{}, err
	}
	said := done("Acknowledged: %s.", strings.Join(names, ", "))
	if came.Note != "" {
		said.Text += " " + sentence(came.Note)
	}
	return page{SeeOther: listBack(r.PostForm), Said: said}, nil
}
