package rules

import (
	"slices"
	"strings"

	"flowbridge/router/rules/yamldoc"
)

// zonesByRegion are the names of the time zone database that a misspelt one is compared with. Others exist: what the
// database itself knows is never refused.
var zonesByRegion = map[string]string{
	"Africa": "Abidjan Accra Addis_Ababa Algiers Bissau Cairo Casablanca Ceuta Dakar El_Aaiun Johannesburg Juba Kampala " +
		"Khartoum Kinshasa Lagos Maputo Monrovia Nairobi Ndjamena Sao_Tome Tripoli Tunis Windhoek",
	"America": "Adak Anchorage Araguaina Argentina/Buenos_Aires Argentina/Catamarca Argentina/Cordoba Argentina/Jujuy " +
		"Argentina/La_Rioja Argentina/Mendoza Argentina/Rio_Gallegos Argentina/Salta Argentina/San_Juan " +
		"Argentina/San_Luis Argentina/Tucuman Argentina/Ushuaia Asuncion Bahia Bahia_Banderas Barbados Belem Belize " +
		"Boa_Vista Bogota Boise Cambridge_Bay Campo_Grande Cancun Caracas Cayenne Chicago Chihuahua Ciudad_Juarez " +
		"Costa_Rica Coyhaique Cuiaba Danmarkshavn Dawson Dawson_Creek Denver Detroit Edmonton Eirunepe El_Salvador " +
		"Fort_Nelson Fortaleza Glace_Bay Goose_Bay Grand_Turk Guatemala Guayaquil Guyana Halifax Havana Hermosillo " +
		"Indiana/Indianapolis Indiana/Knox Indiana/Marengo Indiana/Petersburg Indiana/Tell_City Indiana/Vevay " +
		"Indiana/Vincennes Indiana/Winamac Inuvik Iqaluit Jamaica Juneau Kentucky/Louisville Kentucky/Monticello La_Paz " +
		"Lima Los_Angeles Maceio Managua Manaus Martinique Matamoros Mazatlan Menominee Merida Metlakatla Mexico_City " +
		"Miquelon Moncton Monterrey Montevideo New_York Nome Noronha North_Dakota/Beulah North_Dakota/Center " +
		"North_Dakota/New_Salem Nuuk Ojinaga Panama Paramaribo Phoenix Port-au-Prince Porto_Velho Puerto_Rico " +
		"Punta_Arenas Rankin_Inlet Recife Regina Resolute Rio_Branco Santarem Santiago Santo_Domingo Sao_Paulo " +
		"Scoresbysund Sitka St_Johns Swift_Current Tegucigalpa Thule Tijuana Toronto Vancouver Whitehorse Winnipeg " +
		"Yakutat",
	"Antarctica": "Casey Davis Macquarie Mawson Palmer Rothera Troll Vostok",
	"Asia": "Almaty Amman Anadyr Aqtau Aqtobe Ashgabat Atyrau Baghdad Bahrain Baku Bangkok Barnaul Beirut Bishkek Chita " +
		"Colombo Damascus Dhaka Dili Dubai Dushanbe Famagusta Gaza Hebron Ho_Chi_Minh Hong_Kong Hovd Irkutsk Jakarta " +
		"Jayapura Jerusalem Kabul Kamchatka Karachi Kathmandu Khandyga Kolkata Krasnoyarsk Kuching Kuwait Macau Magadan " +
		"Makassar Manila Muscat Nicosia Novokuznetsk Novosibirsk Omsk Oral Phnom_Penh Pontianak Pyongyang Qatar " +
		"Qostanay Qyzylorda Riyadh Sakhalin Samarkand Seoul Shanghai Singapore Srednekolymsk Taipei Tashkent Tbilisi " +
		"Tehran Thimphu Tokyo Tomsk Ulaanbaatar Urumqi Ust-Nera Vladivostok Yakutsk Yangon Yekaterinburg Yerevan",
	"Atlantic":  "Azores Bermuda Canary Cape_Verde Faroe Madeira Reykjavik South_Georgia Stanley",
	"Australia": "Adelaide Brisbane Broken_Hill Canberra Darwin Eucla Hobart Lindeman Lord_Howe Melbourne Perth Sydney",
	"Europe": "Amsterdam Andorra Astrakhan Athens Belgrade Berlin Bratislava Brussels Bucharest Budapest Chisinau " +
		"Copenhagen Dublin Gibraltar Helsinki Istanbul Kaliningrad Kirov Kyiv Lisbon Ljubljana London Luxembourg Madrid " +
		"Malta Minsk Moscow Oslo Paris Prague Riga Rome Samara Saratov Simferopol Sofia Stockholm Tallinn Tirane Ulyanovsk " +
		"Vienna Vilnius Volgograd Warsaw Zagreb Zurich",
	"Indian": "Chagos Maldives Mauritius",
	"Pacific": "Apia Auckland Bougainville Chatham Easter Efate Fakaofo Fiji Galapagos Gambier Guadalcanal Guam " +
		"Honolulu Kanton Kiritimati Kosrae Kwajalein Marquesas Nauru Niue Norfolk Noumea Pago_Pago Palau Pitcairn " +
		"Port_Moresby Rarotonga Tahiti Tarawa Tongatapu",
}

// zoneNames returns the names of time zones, sorted.
func zoneNames() []string {
	names := []string{"UTC"}
	for region, cities := range zonesByRegion {
		for city := range strings.FieldsSeq(cities) {
			names = append(names, region+"/"+city)
		}
	}
	slices.Sort(names)
	return names
}

// nearestZone returns the time zone that somebody most likely meant, or "": a city alone is enough.
func nearestZone(word string) string {
	names := zoneNames()
	cities := make([]string, len(names))
	for i, name := range names {
		cities[i] = name[strings.LastIndexByte(name, '/')+1:]
	}
	city := strings.ReplaceAll(strings.TrimSpace(word[strings.LastIndexByte(word, '/')+1:]), " ", "_")
	for i := range cities {
		if strings.EqualFold(cities[i], city) {
			return names[i]
		}
	}
	if near := yamldoc.Nearest(word, names); near != "" {
		return near
	}
	if near, ok := yamldoc.NearMiss(city, cities); ok {
		return names[slices.Index(cities, near)]
	}
	return ""
}
