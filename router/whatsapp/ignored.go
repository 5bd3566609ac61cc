package whatsapp

// ourObject is the object of posts about WhatsApp accounts. A provider's posts may name none.
const ourObject = "whatsapp_business_account"

// OtherProduct is the key of Ignored for what is of another product of Meta's: the app secret signs the posts of Pages,
// Instagram, Messenger and users too.
const OtherProduct = "other_product"

// Wants says whether a field is asked for that holds what people write or who they are; of the field messages, whether
// filled forms are. Nil asks for none.
type Wants func(field string) bool

func (w Wants) field(name string) bool { return w != nil && w(name) }

// WantsAll asks for every field.
func WantsAll(string) bool { return true }

// Ignored counts changes that become no events: by router.MessagesField, an entry of router.ChatFields, or
// OtherProduct.
type Ignored map[string]int

// Total is the sum of all.
func (i Ignored) Total() (n int) {
	for _, count := range i {
		n += count
	}
	return n
}

func (i *Ignored) add(what string, n int) {
	if *i == nil {
		*i = Ignored{}
	}
	(*i)[what] += n
}

// objectOf names what a post is about, for the log.
func objectOf(body []byte) (object string) {
	members(body, func(key, value []byte) {
		if string(key) == "object" {
			object = word(value)
		}
	})
	return object
}
