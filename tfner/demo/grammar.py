"""The language of the embedded corpus: lists of names, a lexicon with Penn Treebank tags, and sentence templates.

This module is data alone, written for this project. `tfner.demo.names` reads the lists of names, `tfner.demo.documents` reads
the rest. In a template, `(a|b|)` is a choice, `<rule>` is replaced with a template from `RULES`, and `{slot}` is filled with a
name or a number. `word/TAG` overrides the lexicon (`word/SBAR` is a preposition that starts a clause), `~` ends a chunk where
the tags do not, and `[` and `]` become round brackets.
"""

from __future__ import annotations


def _words(text: str) -> list[str]:
    return text.split()


def _compose(stems: str, endings: str) -> list[str]:
    return [stem + ending for stem in stems.split() for ending in endings.split()]


GIVEN = _words("""
Adam Ahmed Aidan Alan Alice Amina Andrea Anna Anton Astrid Bashir Beatriz Boris Brenda Bruno Carla Carlos Cecile Chen Clara
Colin Dana Daniel David Deborah Diego Dmitri Edith Elena Elias Emil Emma Erik Esther Fatima Felix Fiona Frank Georg Gita
Gloria Grace Greta Hana Harold Hassan Helen Henrik Hugo Ibrahim Ines Ingrid Irene Ivan Jack Jamal Janet Javier Jean Joan
Johan Jorge Julia Kamal Karen Karim Karl Katya Keith Kenji Laila Lars Laura Leila Leo Linda Luca Lucia Magda Marc Maria
Marko Martin Mary Mehmet Mei Michael Miguel Mina Mohamed Nadia Naomi Nikos Nina Nora Olga Oscar Pablo Paolo Patrick Paul
Pavel Pedro Peter Petra Pierre Priya Rachel Rafael Ravi Rita Robert Rosa Ruth Samir Sandra Sara Sergei Simon Sofia Stefan
Steven Sunil Susan Tariq Teresa Thomas Timo Tomas Vera Victor Viktor Walter Wei William Yasmin Yoko Yusuf Zoe
""")

SURNAMES = _words("""
Abbott Almeida Amari Andersen Baker Banerjee Barros Becker Bellini Bergman Borg Brandt Caruso Castillo Chandra Conti Costa
Cortez Dahl Delgado Diallo Dimitrov Duarte Dubois Eklund Falk Farouk Ferreira Fischer Fontaine Fuentes Garner Girard Gomez
Gruber Haddad Hartmann Herrera Holm Ibarra Ivanov Jansen Kapoor Keller Khalil Kimura Koller Kovac Kowalski Kruger Lambert
Laurent Lindqvist Lopez Maier Malik Mancini Mansour Marek Mendes Moreau Morris Murphy Nakamura Nilsen Novak Obi Okafor
Oliveira Olsen Ortega Osman Park Patel Petrov Popescu Prasad Quinn Ramos Rao Ricci Rossi Saleh Santos Sato Schmidt Sharma
Silva Singh Sokolov Stern Suzuki Takeda Torres Tran Usman Varga Vasquez Visser Vogel Wagner Weber Yamada Yilmaz Zhang Zimmer
""") + _compose(
    "Ald Bran Card Dun Els Fen Garr Hark Ing Jess Kell Lang Mor Nor Ors Pell Quar Rad Stan Thorn Ul Ver Walt Yar",
    "son man er ley well ton sen ini ova ez",
)

PLACES = _words("""
Amman Ankara Athens Bamako Beirut Belgrade Bergen Berne Bilbao Bogota Bologna Bonn Bordeaux Bremen Brussels Budapest Cairo
Calcutta Cologne Dakar Damascus Delhi Dublin Durban Geneva Ghent Hamburg Havana Helsinki Istanbul Jakarta Karachi Kiev Lagos
Leeds Leipzig Lille Lima Lisbon London Lyon Madrid Malmo Manila Milan Minsk Monaco Moscow Munich Nairobi Nantes Naples Nice
Osaka Oslo Paris Porto Prague Quito Rabat Riga Rome Rotterdam Santiago Seoul Seville Sofia Stockholm Tallinn Tokyo Toronto
Tunis Turin Utrecht Vienna Vilnius Warsaw Zagreb Zurich
""") + _compose(
    "Ald Bran Card Dun Els Fen Garr Hark Ing Jess Kell Lang Mor Nor Ors Pell Quar Rad Stan Thorn Ul Ver Walt Yar",
    "en ford ham ton wick ville burg stad",
)
# names of people and of places: as with Sofia and the names in -ton above, only the context tells which
SHARED = _words("""
Arden Ashby Barton Bentley Burnley Calder Chester Clifton Colby Dalton Denver Douglas Durham Easton Florence Georgia
Hamilton Holland Houston Kent Kingston Lincoln Milton Newton Paisley Preston Selby Sheffield Shelby Stafford Sydney Victoria
Warwick Washington Wellington Winston York
""")

# the country, its adjective, its people
COUNTRIES = [
    line.split()
    for line in """
Algeria Algerian Algerians|Angola Angolan Angolans|Argentina Argentine Argentines|Australia Australian Australians
Austria Austrian Austrians|Bangladesh Bangladeshi Bangladeshis|Belgium Belgian Belgians|Bolivia Bolivian Bolivians
Brazil Brazilian Brazilians|Britain British Britons|Bulgaria Bulgarian Bulgarians|Canada Canadian Canadians
Chile Chilean Chileans|China Chinese Chinese|Colombia Colombian Colombians|Croatia Croatian Croats|Cuba Cuban Cubans
Denmark Danish Danes|Egypt Egyptian Egyptians|Estonia Estonian Estonians|Finland Finnish Finns|France French Frenchmen
Germany German Germans|Ghana Ghanaian Ghanaians|Greece Greek Greeks|Hungary Hungarian Hungarians|Iceland Icelandic Icelanders
India Indian Indians|Indonesia Indonesian Indonesians|Iran Iranian Iranians|Ireland Irish Irishmen|Israel Israeli Israelis
Italy Italian Italians|Jamaica Jamaican Jamaicans|Japan Japanese Japanese|Jordan Jordanian Jordanians|Kenya Kenyan Kenyans
Latvia Latvian Latvians|Lebanon Lebanese Lebanese|Libya Libyan Libyans|Malaysia Malaysian Malaysians|Mali Malian Malians
Mexico Mexican Mexicans|Morocco Moroccan Moroccans|Nepal Nepali Nepalis|Nigeria Nigerian Nigerians|Norway Norwegian Norwegians
Pakistan Pakistani Pakistanis|Peru Peruvian Peruvians|Poland Polish Poles|Portugal Portuguese Portuguese
Romania Romanian Romanians|Russia Russian Russians|Senegal Senegalese Senegalese|Serbia Serbian Serbs|Spain Spanish Spaniards
Sudan Sudanese Sudanese|Sweden Swedish Swedes|Syria Syrian Syrians|Thailand Thai Thais|Tunisia Tunisian Tunisians
Turkey Turkish Turks|Uganda Ugandan Ugandans|Ukraine Ukrainian Ukrainians|Uruguay Uruguayan Uruguayans
Venezuela Venezuelan Venezuelans|Vietnam Vietnamese Vietnamese|Yemen Yemeni Yemenis|Zambia Zambian Zambians
""".strip()
    .replace("\n", "|")
    .split("|")
]

BRANDS = _words("""
Acmera Aldane Altrix Amberline Aquilo Arbora Astrelle Avento Axiom Belmarc Borealis Brightwell Calyx Castor Celadon Cirrus
Cobalto Corvus Dynacore Elektra Emberly Equinor Evergleam Fabrino Ferrox Fintrade Galvano Glaxon Halcyon Helix Hydrel
Inspira Intervolt Ionix Jubilex Kestrel Kinetik Lexora Lumina Magnatel Marinex Medicor Meridian Metrofin Minerva Nautix
Neptune Nordwell Novatek Oakline Octavo Omnitel Optima Orinoco Paragon Petrolux Phoenix Polaris Prismo Quantex Radion Rexcor
Sabrex Saturn Sequana Silvana Solaris Spectra Sterling Stratus Synergo Talisman Tekvar Telenova Terrafin Titan Tridex Unice
Unitech Valoris Vantage Vectra Verity Vitalis Volkan Westgate Xenon Zenith Zephyr
""")
ACRONYMS = _words("ABK ACN BTR CFU CNT DKV EFTO FNA GRK IBO ICU KLP LNR MPT NBO NFC OPR PTU RDF SAF SBK TVR UNO WBO WFO")
SEAS = _words("""
Amarel Brenna Cassim Dorva Elbra Gallen Ister Jarrow Kolva Lomond Marran Neris Orwin Savra Tamir Ulmen Vardar Yarrow
""")

FIRMS = [
    "Corp",
    "Inc",
    "Ltd",
    "Plc",
    "AG",
    "Group",
    "Holdings",
    "Industries",
    "Motors",
    "Airlines",
    "Systems",
    "& Co",
    "Bank",
    "Energy",
    "Foods",
    "Steel",
]
CLUBS = _words("United City Rovers Town Wanderers Athletic Rangers County")
MASCOTS = _words("Hawks Bears Tigers Royals Comets Falcons Pirates Wolves Giants Lakers")
PAPERS = _words("Times Herald Post Gazette Chronicle Daily Tribune")
MINISTRIES = _words("Finance Foreign Defence Interior Health Trade Justice Agriculture")
PARTIES = [
    "Labour Party",
    "Democratic Party",
    "Liberal Party",
    "National Front",
    "People 's Union",
    "Green Party",
    "Socialists",
    "Conservatives",
]
DAYS = _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
MONTHS = _words("January February March April May June July August September October November December")

# slot: entity type and patterns; in a pattern, `@list` is a name from that list, and other words are kept as they are
NAMES = {
    "person": ("PER", ["@given @surname"] * 5 + ["@initial @surname"]),
    "given": ("PER", ["@given"]),
    "city": ("LOC", ["@place"] * 6 + ["@shared"]),
    "country": ("LOC", ["@country"]),
    "region": (
        "LOC",
        [
            "Lake @sea",
            "@sea Valley",
            "@sea Province",
            "@sea Islands",
            "South @sea",
            "North @sea",
            "Mount @sea",
            "@sea",
            "@place County",
            "Cape @surname",
            "West @place",
        ],
    ),
    "river": ("LOC", ["@sea River", "River @sea", "@sea"]),
    "stadium": ("LOC", ["@surname Park", "@place Stadium", "@surname Road", "@sea Lane", "@place Arena"]),
    "team": (
        "ORG",
        [
            "@place",
            "@place",
            "@place @club",
            "@shared",
            "@shared @club",
            "@place @mascot",
            "AC @place",
            "@sea F.C.",
            "Dynamo @place",
        ],
    ),
    "company": (
        "ORG",
        [
            "@brand",
            "@brand @firm",
            "@brand @firm",
            "@surname @firm",
            "@surname & Sons",
            "@shared & Co",
            "@adj @brand",
            "@acronym @firm",
        ],
    ),
    "airline": ("ORG", ["@brand Airlines", "Air @country", "@adj Airways", "@brand Air"]),
    "acronym": ("ORG", ["@acronym"]),
    "bank": ("ORG", ["Bank of/IN @country", "Bank of/IN @place", "@surname Bank", "Commercial Bank of/IN @country"]),
    "exchange": ("ORG", ["@place Stock Exchange", "@place exchange"]),
    "university": ("ORG", ["@place University", "University of/IN @place", "@surname College"]),
    "museum": ("ORG", ["@place Opera", "@surname Museum", "@adj National Theatre", "@place Philharmonic"]),
    "paper": ("ORG", ["@place @newspaper", "@newspaper", "Daily @newspaper", "La @brand"]),
    "ministry": ("ORG", ["@portfolio Ministry", "Ministry of/IN @portfolio", "Department of/IN @portfolio"]),
    "party": ("ORG", ["@partyname", "@partyname", "@adj @partyname"]),
    "nat": ("MISC", ["@adj"]),
    "people": ("MISC", ["@people"]),
    "religious": ("MISC", ["Christian/JJ", "Moslem/JJ", "Jewish/JJ", "Catholic/JJ", "Buddhist/JJ", "Hindu/JJ", "Orthodox/JJ"]),
    "language": ("MISC", ["@adj/NNP"]),
    "event": (
        "MISC",
        [
            "@adj Open",
            "@adj Grand Prix",
            "@adj Cup",
            "World Cup",
            "@place Masters",
            "European/JJ Cup",
            "Olympic Games",
            "@brand Classic",
            "Tour of/IN @country",
            "@place Marathon",
            "@surname Trophy",
        ],
    ),
    "league": ("MISC", ["Premier League", "@adj League", "First Division", "UEFO Cup", "@brand Cup"]),
    "work": ("MISC", ["Treaty of/IN @place", "@place Accord", "@surname Plan", "@place Protocol", "Charter of/IN @place"]),
    "war": ("MISC", ["@adj War", "@sea War", "Cold War", "World War Two/CD", "Battle of/IN @place"]),
    "award": ("MISC", ["@surname Prize", "@place Film Award", "@brand Award", "@surname Medal"]),
    "index": ("MISC", ["@brand-100", "@place General index/NN", "@acronym-30", "@surname All-Share"]),
    "product": ("MISC", ["@brand @model", "@sea @model", "@brand"]),
    "title": (
        "MISC",
        [
            "The/DT @titleadj @titlenoun",
            "@titleadj @titlenoun",
            "The/DT @titlenoun of/IN @place",
            "@titlenoun and/CC @titlenoun",
            "@given and/CC @given",
            "A/DT @titlenoun in/IN @place",
            "The/DT @surname @titlenoun",
        ],
    ),
}
TITLE_ADJECTIVES = _words("Long Silent Broken Golden Hidden Empty Burning Little Secret Frozen Crooked Distant")
TITLE_NOUNS = _words("Summer River Garden House Letter Road Winter Daughter Mirror Harbour Train Bridge Orchard Piano Island")
MODELS = _words("200 300 400 747 X1 500 GT Mk2 3000 Turbo S90")

LEXICON = {
    tag: words.split()
    for tag, words in {
        "DT": "the The a A an An this This some Some no No all All both each another Another these those",
        "PDT": "half",
        "IN": """in In of for with With at by from on On into about over under against after After before Before since during
            During between through among near Near despite Despite as As like than that because while While if If although
            Although until without outside inside off behind per across following whether towards amid""",
        "TO": "to To",
        "CC": "and or but But And",
        "PRP": "he He she She it It they They we We I them him us you You himself",
        "PRP$": "his His her their Their its our my My",
        "WP": "who what",
        "WDT": "which",
        "WRB": "when When where why how",
        "EX": "there There",
        "MD": "will would could may might should can must",
        "RB": """not also still now only just very again later Later early too far well almost nearly never always largely
            sharply slightly heavily slowly quickly once soon away together ahead already home already seriously narrowly easily
            badly formally recently abroad Meanwhile Earlier Elsewhere instead yet so twice here currently twice heavily""",
        "RBR": "more less earlier better",
        "RP": "out up down off back",
        "JJ": """new New old last Last next local Local former Former chief senior top big small large great good strong weak high
            low foreign national international free early late main major young final first First second third heavy light
            public private military political economic financial official legal nuclear net dry warm cold cool wet sunny windy
            northern southern eastern western Northern Southern central common fresh recent Recent serious possible likely
            unlikely ready due fit happy sorry available unchanged steady firm sure clear difficult important close key poor
            joint annual daily weekly monthly double unbeaten home overnight severe moderate medical injured armed state-owned
            two-day three-year long-term 19-year-old 24-year-old 31-year-old pre-tax Heavy Strong straight real full
            open more many Many several Several other own same such half""",
        "JJR": "higher lower stronger weaker better worse bigger lower smaller",
        "JJS": "best worst biggest highest largest lowest",
        "VBD": """said told won beat lost drew scored took made rose fell gained slipped closed opened reported announced agreed
            signed met visited arrived left flew came went led finished joined resigned died was were had did called asked
            rejected accepted urged accused denied killed wounded arrested sent bought sold paid raised cut launched hit struck
            crossed held played missed defeated overtook welcomed criticised praised added quoted needed warned expected wanted thought
            became gave got put saw began ended planned hoped declined grew posted dropped wrote born moved returned retired
            clinched thrashed edged crushed appointed replaced backed remained stood ran jumped knocked earned followed stayed
            collapsed swept brought kept""",
        "VBZ": "beats edges joins leaves wins rejects dies frees names opens is has says plays makes owns needs wants hopes remains leads faces plans expects believes employs lives works",
        "VBP": "are have say want need hope play live work know think believe expect love am do",
        "VB": """edge thrash be have win beat lose play take make buy sell sign meet visit leave go come keep stay give get pay raise cut
            build open close join talk hold say end stop help fly return reach rise fall travel face comment release discuss
            resume halt attend produce acquire remain confirm respond improve decide work see represent host send learn""",
        "VBN": "been expected injured killed arrested seen held suspended sacked named taken made signed scheduled set elected forced",
        "VBG": """including saying playing working going trying leading winning beating closing taking looking rising falling
            travelling being talking trading losing finishing according waiting demanding calling""",
        "NN": """finance defence soccer tennis golf cycling motor racing pole press digest lot result HY coach captain striker goalkeeper team side match game season goal victory defeat draw title lead round half
            minute crowd final division league club injury knee title contract company profit loss share stock market bank deal
            bid merger price percent year week month day night time morning afternoon evening quarter statement spokesman
            spokeswoman chairman president minister leader government party parliament election vote capital city town village
            river border region coast area country court judge police officer army soldier rebel group war peace treaty accord
            agreement talk visit trip summit meeting conference embassy ambassador campaign opposition economy budget tax
            inflation growth rate currency dollar oil gas gold wheat crop grain output plant factory worker union strike chief
            executive analyst trader dealer broker investor bond index exchange trading report newspaper radio television agency
            news weather rain snow wind sun temperature storm flood cloud fog forecast sea north south east west station hotel
            hospital school university airport road bridge train bus car plane flight crash accident fire bomb attack blast
            death man woman boy girl child son daughter wife husband father mother doctor lawyer teacher student writer singer
            actor director engineer professor film book album song prize award museum festival exhibition concert stage song play
            attendance set service seed champion rider driver race lap stage tour finish record world bowler batsman innings
            wicket over test series tournament future decision problem question answer chance job work life home name place end
            start part way sale unit subsidiary venture project stake offer rival product aircraft engine computer model order
            export import trade demand supply production line front base office ministry charge prison trial appeal law rule
            reform plan policy aid help food water health disease research study centre room table point penalty corner kick
            header card referee manager defender midfielder surgery debut transfer fee member head deputy official drug
            network ship cargo port vessel ferry weekend today yesterday tomorrow interview programme family love truth evidence""",
        "NNS": """scores goals points players fans teams matches minutes games wins seconds metres shares stocks profits losses results
            sales prices percentage dealers traders analysts investors banks companies workers people officials ministers leaders
            rebels troops soldiers police refugees elections voters talks relations sanctions reports sources showers winds
            temperatures clouds storms floods degrees hours days weeks months years kilometres miles tonnes barrels dollars
            passengers men women children students doctors witnesses residents reporters runs wickets overs laps authorities
            negotiations spells costs rates jobs exports imports orders members millions thousands charges injuries points
            cars houses planes roads areas parts problems plans films books songs films supporters markets details results
            standings scorers reforms terms bonds conditions""",
        "NNP": "President Prime Minister Mr Mrs Dr General Judge King Queen Senator Sir Professor",
        "CD": "one two One Two Three three four five six seven eight nine ten million billion",
        "NNPS": "",
        ",": ",",
        ".": ". ? !",
        ":": ": - -- ; ...",
        "``": '"',
        "(": "[",
        ")": "]",
        "$": "$",
        "POS": "'s '",
        "UH": "Yes Well",
    }.items()
}

RULES = {
    "when": [
        "on {day}",
        "on {day}",
        "~ last (week|month|year)",
        "~ this (week|month)",
        "on {date}",
        "~ {day}",
        "~ late on {day}",
        "in {month}",
        "in {year}",
    ],
    "role": ["(the|a) (former|senior|) (coach|captain|manager|goalkeeper|striker) of {team}"],
    "job": [
        "(chief|senior) executive",
        "chairman",
        "president",
        "(chief|) analyst",
        "(chief|) spokesman",
        "spokeswoman",
        "deputy head",
        "director",
        "engineer",
        "lawyer",
    ],
    "title": [
        "President",
        "Prime Minister",
        "{ministry_word} Minister",
        "Mr",
        "Mrs",
        "Dr",
        "General",
        "Judge",
        "Senator",
        "Professor",
        "King",
    ],
    "office": ["President", "Prime Minister", "{ministry_word} Minister", "(foreign|finance|defence) minister", "ambassador"],
    "tail": [
        ", {paper} (reported|said) <when>",
        ", {acronym} (officials|sources) said",
        ", <actor> said <when>",
        ", said {person} , <job> (of|at) {company}",
        "after (talks|a meeting|a trial) (with|against) <partner>",
        "despite a <noun> that <someone>",
        ", while/SBAR <someone>",
        "and <someone>",
        ", {people} in <place> said",
        ", (according to|sources at) <actor>",
        "because/SBAR <someone>",
        "and flew to <place> to meet <partner>",
        ", {p1} (said|told {paper}) <when>",
        ", the first since {month} {year}",
        ", (more than {num} kilometres|not far) from <place>",
        "before the {event} in <place>",
        ", a {nat} (official|source/NN|minister|lawyer) said in {city}",
        ", which has an office in <place>",
        ", and {person} , the {nat} <job> of {company} , <act>",
    ],
    "verbsaid": [
        "said",
        "said",
        "said",
        "told reporters",
        "told a news conference",
        "told {paper}",
        "added",
        "said <when>",
        "told {acronym} radio",
        "wrote",
        "warned",
        "announced",
    ],
    "actor": _words("""
{person} {p1} {p2} {company} {o1} {country} {city} {ministry} {party} {acronym} {university} {people} {team} {bank}
"""),
    "partner": [
        "<title> {person}",
        "{person} , the <job>",
        "the {nat} <office>",
        "{company} workers",
        "{company} 's <job>",
        "the {party}",
        "the {nat} government",
        "officials from {country}",
        "the {city} police",
        "supporters of {team}",
        "{ministry} officials",
        "{university} students",
        "leaders of the {acronym}",
        "<actor>",
    ],
    "someone": [
        "<actor> <act>",
        "<title> {person} <act>",
        "{person} , the <job> of {company} , <act>",
        "{person} <personact>",
        "{p1} <personact>",
        "{company} <firmact>",
        "{o1} <firmact>",
        "shares/NNS in {company} <move>",
        "{country} <stateact>",
        "the {nat} government <act>",
        "the {people} <act>",
        "{team} <teamact>",
        "the {party} <act>",
        "{university} students <act>",
        "the {city} court <act>",
        "the {ministry} <act>",
        "{bank} <firmact>",
        "{acronym} members <act>",
        "residents of {city} <act>",
        "the {paper} <verbsaid> it would close",
    ],
    "personact": [
        "went home",
        "told his wife about the <noun>",
        "celebrated/VBD her {num2}th/JJ birthday/NN",
        "left hospital",
        "said ~ he was (sorry|happy|ready)",
        "resigned <when>",
        "married/VBD {person}",
        "took off his shirt/NN",
        "wrote a book about <place>",
        "broke/VBD his leg/NN",
        "studied/VBD law in {city}",
        "smiled/VBD at reporters",
        "was born/VBN in {city}",
    ],
    "firmact": [
        "cut its dividend/NN",
        "raised its prices",
        "sold its {nat} unit",
        "opened a plant in {city}",
        "shares (rose|fell) {pct}",
        "hired/VBD {num} workers",
        "reported a (profit|loss) of {money}",
        "issued/VBD bonds worth/JJ {money}",
        "bought {pct} of {company}",
    ],
    "stateact": [
        "closed its border with {country}",
        "exported/VBD {num} tonnes of (wheat|oil|gas)",
        "devalued/VBD its currency",
        "held elections",
        "recalled/VBD its ambassador to {country}",
        "has {num} troops in {region}",
        "imposed/VBD sanctions on {country}",
        "expelled/VBD {num1} {nat} diplomats/NNS",
    ],
    "teamact": [
        "won ~ {score}",
        "lost ~ {score} at home",
        "fans left early",
        "play/VBP at {stadium} on {day}",
        "sacked/VBD their coach",
        "signed a new goalkeeper",
        "were relegated/VBN",
        "lead the {league}",
    ],
    "act": [
        "(said|announced|denied) ~ it would not comment",
        "rejected the (plan|offer|report|decision)",
        "welcomed the (agreement|decision|vote|result)",
        "declined to comment",
        "accused <partner> of (delaying/VBG|blocking/VBG) the (talks|deal|reforms)",
        "called for (new|more|) talks with <partner>",
        "criticised <partner> over the (plan|budget|deal|decision)",
        "signed an agreement with <partner>",
        "wants to (meet|see|help) <partner>",
        "is expected to (win|lose|respond|decide) <when>",
        "had a (good|difficult|great) (year|week|season)",
        "lost (a lot of/IN money/NN|the vote|the appeal) <when>",
        "won the (appeal|vote|contract|prize) <when>",
        "praised <partner> for the (work|help|decision|result)",
        "backed <partner> in the (trial|vote|election)",
        "was (quoted as saying/VBG ~|) (ready|unlikely|happy) to (talk|help|meet <partner>)",
        "asked <partner> for (help|details|more time)",
    ],
    "quote": [
        "We are (very|) (happy|ready|sure|sorry)",
        "It was a (very|) (difficult|great|good|poor) (game|year|day|week)",
        "I (think|hope|believe) we can (win|improve|stay)",
        "They have (a|no) chance",
        "There is no evidence of this",
        "We (want|need|hope) to (meet|see|beat) <partner>",
        "He is the best (player/NN|writer|driver|leader) in <place>",
        "My name is {person} and I work at {company} in {city}",
        "I live in {city} and I work for {company}",
        "I love <place>",
        "We will not go to <place>",
        "{p1} is a great (man|player/NN|leader)",
        "Nobody/NN in <place> (expected|wanted) this",
        "I was born/VBN in {city}",
        "We know {p1} and we know {o1}",
    ],
    "noun": ["(plan|deal|problem|decision|project|law)"],
    "place": ["{city}", "{country}", "{region}"],
    "move": [
        "(rose|fell|gained|slipped|jumped) {pct}",
        "(closed|opened) (higher|lower|steady|unchanged)",
        "ended {num} points lower/JJR ~ at {num}",
        "(rose|fell) ~ {num} points",
    ],
    "weathernoun": [
        "(heavy|light|) (rain|snow|showers)",
        "(strong|light) winds",
        "(fog|clouds)",
        "(sunny|dry) spells",
        "(severe|) (storms|floods)",
    ],
}

# kind of document: headlines, first sentences, and other sentences, which are drawn without repetition
DOCUMENTS = {
    "soccer": (
        [
            "SOCCER - {t1} (BEAT|THRASH|EDGE) {t2} ~ {score} .",
            "SOCCER - {t1} SIGN {p1} .",
            "SOCCER - {p1} (JOINS|LEAVES) {t1} .",
            "SOCCER - {event} RESULTS .",
        ],
        [
            "{t1} (beat|defeated|thrashed|edged) {t2} ~ {score} [ halftime/NN {score} ] in (a|the) {league} match (on {day}|).",
            "{p1} scored (twice|a late goal|~ two goals|the only/JJ goal) as/SBAR {t1} beat {t2} ~ {score} (in {city}|) <when> .",
            "{t1} drew ~ {score} with {t2} in the {event} on {day} .",
            "{t1} have signed {nat} (striker|goalkeeper|defender|midfielder) {p1} from {t2} for {money} .",
        ],
        [
            "{p1} (scored|gave {t1} the lead|missed a penalty) in the {ord} minute (and {p2} made it ~ {score} before half time|).",
            "{t1} : {p1} [ {min} ] , {p2} [ {min} , {min} ] .",
            "{t1} {num1} {t2} {num1} {num1} {num1} {num1} .",
            "{team} {num1} {team} {num1} .",
            "{team} {num1} {team} {num1} .",
            "{team} {num1} {team} {num1} [ halftime/NN {score} ] .",
            "Scorers/NNS : {t1} - {p1} {min} , {p2} {min} ; {t2} - {p3} {min} .",
            "Attendance/NN : {num} .",
            "Attendance/NN at {stadium} : {num} .",
            "The {nat} (striker|defender|midfielder) , who joined {t1} from {team} in {year} , was sent off/RP in the {ord} minute .",
            '{t1} coach {p3} (said|told reporters) : " <quote> . "',
            '" <quote> , " {p1} said .',
            '" <quote> , " said {t2} (captain|coach|goalkeeper) {p2} .',
            "{t2} , without the injured {person} , (lost|slipped|went down) in {city} for the first time since {month} .",
            "{team} remained top of the {league} after/SBAR they beat {team} ~ {score} .",
            "{team} , who beat {team} ~ last week , (drew|lost) at home to {team} .",
            "{t1} play {team} in {city} on {day} and travel/VBP to {city} for the {event} .",
            "{p1} will miss/VB the {event} in {country} with a knee injury .",
            "He (left|joined) {team} for {team} in {year} .",
            "{k1} (beat|drew with|lost to) {country} in a {event} qualifier/NN in {city} .",
            "{person} , a former {nat} international/NN , is the new (coach|manager) of {t2} .",
            "It was the first (win|victory/NN|defeat) for {t1} at {stadium} ~ this season .",
            "{t1} fans called for {p3} to (go|stay|leave) .",
            "{city} was quiet/JJ after the match , police said .",
            "The match in {c1} was played/VBN in heavy rain .",
            "{t1} are expected to buy {person} .",
            "{p2} replaced {person} (at half time|in the {ord} minute|) .",
            "{t1} (lead|leads/VBZ|trail/VBP) {t2} by {num1} points .",
        ],
    ),
    "tennis": (
        [
            "TENNIS - {p1} (BEATS|EDGES) {p2} IN {c1} .",
            "GOLF - LEADING SCORES AT {event} .",
            "TENNIS - RESULTS AT {event} .",
            "CYCLING - {p1} WINS {event} .",
            "MOTOR RACING - {p1} ON POLE AT {event} .",
        ],
        [
            "{c1} {isodate}",
            "{p1} of {k1} (beat|defeated) {p2} ~ {tennis} in the final of the {event} in {c1} <when> .",
            "{nat} {p1} won the {event} on {day} , beating {p2} of {country} ~ {tennis} .",
        ],
        [
            "{person} [ {country} ] beat {person} [ {country} ] ~ {tennis}",
            "{num1} - {person} [ {country} ] beat {person} [ {country} ] {tennis}",
            "{rank} {person} [ {country} ] {team} {laptime}",
            "{rank} {person} [ {country} ] {laptime}",
            "{rank} {person} , {country} , ~ {num1} points .",
            "{person} {num2} {num2} {num2} , {person} [ {country} ] {num2} {num2} {num2}",
            "Women/NNS 's final : {person} [ {country} ] beat {person} [ {country} ] ~ {tennis} .",
            "{p1} , the {ord} seed , needed only {num2} minutes to win/VB the first set .",
            "The {nat} , who won the {event} in {year} , lost to {person} of {country} .",
            '" <quote> , " said {p1} , who lives in {city} .',
            "{p2} (served/VBD|played) well but {p1} was better/JJR .",
            "{p1} meets/VBZ {person} or {person} in the next round .",
            "The {event} in {city} starts/VBZ on {day} .",
            "{person} , driving/VBG for {company} , finished second .",
            "{person} of {country} and {nat} {person} were tied/VBN on {num2} .",
            '{p2} said : " <quote> . "',
            "The {people} have {num1} players/NNS in the {ord} round .",
            "{p1} won the ({event}|{event} title) for the second time .",
            "She lost to {person} in {city} ~ last year .",
            "The 24-year-old from {city} beat {p2} in {num1} sets/NNS .",
            "{nat} champion {person} withdrew/VBD from the {event} <when> .",
        ],
    ),
    "business": (
        [
            "{o1} (PROFIT|LOSS|SALES) UP/RB {pct} .",
            "{o1} TO/TO BUY {o2} FOR {money} .",
            "{o1} NAMES {p1} CHAIRMAN .",
            "{c1} STOCKS CLOSE HIGHER .",
            "{o1} HY NET {money} .",
        ],
        [
            "{o1} said on {day} ~ it would (buy|acquire) {o2} for {money} .",
            "{o1} (reported|posted) a net (profit|loss) of {money} for the year to {month} .",
            "{nat} (bank|company|airline/NN|carmaker/NN) {o1} (said|announced) <when> ~ it (would cut|had cut/VBN) {num} jobs in <place> .",
            "{c1} {isodate}",
            "Shares/NNS in {o1} <move> on the {exchange} on {day} .",
            "{c1} stocks <move> <when> , led/VBN by {o1} and {company} .",
        ],
        [
            "{p1} , (the|a) <job> (of|at) {o1} , (said|told reporters) the deal would be good for both companies .",
            "{o1} shares <move> (in {city}|in early trading|) .",
            '{p1} , <job> of {o1} , said : " <quote> . "',
            '" <quote> , " {p1} <verbsaid> .',
            '" <quote> , " said {person} , (an/DT analyst|a trader) at {company} in {city} .',
            "{o2} , (which is based/VBN in {city}|the {nat} (subsidiary|unit) of {company}) , employs {num} people in <place> .",
            "{o1} owns {pct} of {company} .",
            "Analysts/NNS at {bank} expect/VBP sales to rise by {pct} .",
            "{p1} will replace/VB {person} as chairman of {o1} <when> .",
            "{person} founded/VBD {o1} in {city} in {year} .",
            "The company , formed/VBN by {person} in {year} , makes the {product} (engine|computer|car|model) .",
            "{o1} will build {num1} {product} aircraft for {airline} .",
            "The {bank} (cut|raised) its key rate to {pct} on {day} .",
            "The {index} <move> , dealers in {city} said .",
            "The dollar (rose|fell) against the {nat} currency in {city} .",
            "Net/JJ profit was {money} against {money} in {year} .",
            "Sales/NNS in {country} (rose|fell) {pct} to {money} .",
            "{company} {num} {num} {pct}",
            "{country} 's {ministry} (said|reported) ~ (exports|imports|inflation/NN) (rose|fell) {pct} in {month} .",
            "{nat} (exports|imports) to {country} were {money} in {month} .",
            "{o1} and {o2} signed a joint venture agreement with {company} of {country} .",
            "{company} (made|raised) its offer for {o2} to {money} .",
            "-- {city} Newsroom/NNP {phone}",
            "{o2} has plants/NNS in {city} , {city} and {city} .",
            "A spokesman for {o1} declined to comment .",
            "{o1} declined to comment .",
            "{p1} left {company} for {o1} ~ last year .",
            "{p1} bought {o2} from {person} for {money} .",
            "The {paper} said <when> that {o1} was in talks with {company} .",
            "Workers/NNS at the {o1} (plant|factory) in {city} ended a two-day strike .",
            "{o1} of {city} will sell its {product} unit to {p2} .",
        ],
    ),
    "politics": (
        [
            "{k1} , {k2} SIGN TRADE ACCORD .",
            "{p1} TO/TO VISIT {k2} .",
            "{k1} REJECTS {nat} OFFER .",
            "{p1} WINS {nat} ELECTION .",
            "{people} VOTE IN {c1} .",
            "PRESS DIGEST - {k1} - {date} .",
        ],
        [
            "{c1} {isodate}",
            "<title> {p1} (arrived in|left|flew to) {c1} <when> for talks with {nat} <office> {p2} .",
            "{k1} and {k2} (signed|agreed|rejected) (a|the) {work} (in {c1}|) on {day} .",
            "{p1} , leader of the {party} , won the {nat1} election , {acronym} radio said .",
            "{nat1} <office> {p1} (rejected|accepted|welcomed) an offer from {k2} <when> .",
            "These are the leading/JJ stories/NNS in the {c1} press/NN on {day} .",
        ],
        [
            "<title> {p1} (told|asked|urged) the {acronym} to send aid/NN to <place> .",
            '" <quote> , " {p1} <verbsaid> .',
            '" <quote> , " <title> {p2} told the {paper} .',
            "{k1} (has accused/VBN|accused) {k2} of backing/VBG rebels in {region} .",
            "The {ministry} (said|denied) ~ {nat} troops crossed the border near {city} .",
            "{p1} , who is {num2} , was elected/VBN in {year} .",
            "The {people} (want|need) more time , said {p2} , a lawyer from {city} .",
            "{nat1} and {nat} officials will meet in {city} <when> .",
            "{person} of the {party} said the budget was poor .",
            "The {party} (won|lost) {num2} seats/NNS in {city} and {city} .",
            "{party} leader {person} met {p1} in {c1} .",
            "{p2} , {k2} 's ambassador to {k1} , left {c1} on {day} .",
            "{c1} has no relations with {country} .",
            "{k1} (says|said) ~ it will not sign the {work} .",
            "The {nat} embassy in {c1} was closed/VBN .",
            "<someone> .",
            "<someone> .",
            "<someone> .",
            "<someone> .",
            "{paper}",
            "{paper} - {p1} <act> .",
            "- {p1} <act> .",
            "- {k1} <act> .",
            "- {o1} <act> .",
            "The {acronym} , based/VBN in {city} , <act> .",
            "{nat} (police|soldiers) arrested/VBD {num2} {people} in {city} .",
            "He was born/VBN in {city} , the son of {nat} parents/NNS .",
            "{p1} studied/VBD at {university} and taught/VBD in {country} .",
            "{p1} , {p2} and {person} were killed/VBN .",
            "It was the first visit by a {nat} leader since the {war} .",
            "Thousands/NNS of {people} , most/JJS of them {religious} , left {region} after the {war} .",
            "{religious} leaders in {city} (called for|rejected) talks .",
        ],
    ),
    "weather": (
        ["WEATHER - (STORMS|RAIN|SNOW) IN <place> .", "FLOODS HIT {region} .", "{k1} WEATHER FORECAST ."],
        [
            "{c1} {isodate}",
            "<weathernoun> (could hit|will reach|may reach) {c1} and {region} on {day} .",
            "(Heavy|Strong) (storms|floods) (struck|hit) {region} <when> , {k1} 's {acronym} said .",
        ],
        [
            "{city} will be (dry|wet|sunny|windy|cold|warm) , with temperatures of {num2} to {num2} degrees .",
            "<weathernoun> will reach {city} and {city} late on {day} .",
            "Temperatures/NNS in {city} will rise to {num2} degrees .",
            "(In the north|In the south|Near {city}) , <weathernoun> will stay until {day} .",
            "{city} {num2} {num2} (rain|sun|clouds|snow|fog)",
            "{city} {num2} {num2} (rain|sun|clouds|snow|fog)",
            "{region} : (dry|wet|sunny) , ~ {num2} degrees .",
            "The {river} (rose|fell) {num1} metres at {city} .",
            '{p1} of the {nat} weather agency said : " <quote> . "',
            "{p1} , a forecaster/NN at {acronym} , said the storm was moving/VBG to <place> .",
            "Roads/NNS between {city} and {city} were closed/VBN .",
            "In {region} , {num2} people died <when> .",
            "Flights/NNS from {city} to {city} were cancelled/VBN .",
            "Storm/NNP {given} crossed {region} and {country} .",
            "<actor> sent {money} in aid/NN to {region} .",
            "{company} said ~ its plant near {city} was closed/VBN .",
            "{num1} cities/NNS , including {city} , {city} and {city} , had no water .",
        ],
    ),
    "crime": (
        ["{num1} KILLED IN {c1} (CRASH|ATTACK|FIRE|BLAST) .", "{p1} ARRESTED IN {c1} .", "{nat} COURT FREES {p1} ."],
        [
            "{c1} {isodate}",
            "{num1} people were killed/VBN <when> when a (bus|train|plane|ferry) from {city} crashed/VBD near {c1} .",
            "A court in {c1} <when> (held|found/VBD|sent) {p1} , a former <job> of {o1} , (guilty/JJ|to prison) .",
            "{nat} police arrested/VBD {p1} in {c1} on {day} , {paper} reported .",
        ],
        [
            "Police/NNS said ~ {p1} and {p2} were driving/VBG to {city} .",
            "{p1} , {num2} , was born/VBN in {city} .",
            "Judge {p3} sent {p1} to prison for {num2} years .",
            "The dead/NN included/VBD {num1} {people} and a {nat} woman .",
            "{p1} worked/VBD for {o1} in <place> until {year} .",
            '" <quote> , " {p2} <verbsaid> .',
            "{p2} , a lawyer for {p1} , said he would appeal/VB .",
            "{person} , ~ {num2} , and {person} , ~ {num2} , died in (hospital|the fire) .",
            "The {product} plane was owned/VBN by {airline} .",
            "The flight left {city} for {city} at {time} .",
            "{acronym} said ~ it was behind the attack .",
            "{o1} said ~ {p1} left the company in {month} .",
            "<someone> .",
            "<someone> .",
            "Witnesses/NNS saw ~ {num1} men near the {o1} office in {city} .",
            "The trial of {p1} and {person} in {city} will resume on {day} .",
            '{p1} \'s (wife|husband|son|daughter) {given} said : " <quote> . "',
            "The ship , which left {city} on {day} , was found/VBN off the coast of {region} .",
        ],
    ),
    "culture": (
        ["{p1} WINS {award} .", "(SINGER|ACTOR|WRITER) {p1} DIES AT {num2} .", "{c1} FESTIVAL OPENS ."],
        [
            "{c1} {isodate}",
            '{nat} (writer|singer|actor|director) {p1} won the {award} <when> for " {title} " .',
            "{nat} (writer|singer|actor) {p1} died in {c1} on {day} , her family said .",
        ],
        [
            '{p1} wrote " {title} " in {city} in {year} .',
            '" {title} " , a film by {p2} , opened in <place> <when> .',
            '" {title} " tells/VBZ of a {nat} family in {city} .',
            '" <quote> , " {p1} <verbsaid> .',
            "The {museum} in {city} bought the work from {person} .",
            "{p1} studied/VBD at {university} , where he met {person} .",
            "{company} will release the album in <place> .",
            "{person} plays {person} in the {nat} film .",
            "The {award} went to {person} of {country} .",
            "{p1} was born/VBN in {city} to {nat} parents/NNS and lived/VBD in {city} .",
            "<someone> .",
            "<someone> .",
            "{p2} and {person} will play in {city} and {city} .",
            "The book , in {language} , has sold/VBN {num} copies/NNS .",
            "{p1} joined the {museum} in {year} after {num1} years at {company} .",
            '{p2} called {p1} " the best {nat} writer " .',
        ],
    ),
}
WEIGHTS = {"soccer": 5, "tennis": 3, "business": 5, "politics": 6, "weather": 2, "crime": 3, "culture": 2}
