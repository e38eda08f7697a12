"""Words that tell what a name in prose is: of a person, a place, an organisation, a nationality."""

from __future__ import annotations

from typing import Final

_PARTICLES = """
    van von de da dos del della di el al bin ben ter der den la le du y e of the
"""
#: Words inside names.
PARTICLES: Final = frozenset(_PARTICLES.split())

_ORG_ENDS = """
    inc incorporated corp corporation llc llp ltd limited plc gmbh ag kg ohg ev sa sas sarl srl
    spa bv nv ab oy oyj as aps co company companies group holdings holding bank university
    college institute hospital clinic foundation association technologies technology systems
    solutions partners labs laboratories industries enterprises ministry department agency
    council orchestra airlines motors pharmaceuticals insurance consulting ventures capital
    media school academy museum library society federation committee commission
"""
#: Words that end the name of an organisation.
ORG_ENDS: Final = frozenset(_ORG_ENDS.split())

_ORG_STARTS = """
    university bank ministry department institute
"""
#: Words that begin one.
ORG_STARTS: Final = frozenset(_ORG_STARTS.split())

_BEFORE_PLACE = """
    in from to at near of into around across through leaving visit visiting visited towards
    toward outside inside between via throughout serving within southern northern eastern
    western
"""
#: Words before a place.
BEFORE_PLACE: Final = frozenset(_BEFORE_PLACE.split())

_BEFORE_PERSON = """
    by with named called under said says told asked met wrote signed contact thanks dear hi
    hello mr mrs ms dr prof madam sir uncle aunt king queen president senator judge directed
    producer author singer actor actress
"""
#: Words before a person.
BEFORE_PERSON: Final = frozenset(_BEFORE_PERSON.split())

_NEVER = """
    i a an the this that these those my your his her our their we you he she it they who what
    when where why how is are was were do does did have has had can could will would should may
    must if and or but not no yes please thanks hello hi dear hey sorry good best kind regards
    monday tuesday wednesday thursday friday saturday sunday january february march april june
    july august september october november december english internet bot user account card
    number address phone email name date zip mr mrs ms dr true false none null nan error info
    warning debug index value data series dataframe total mean min max all for from with in on
    at to of by as so than then there here
    sie ihr ihre ihnen wir uns ich bitte und oder nicht ist sind haben der das mit auf fur vous nous
    je il elle les des est sont avec pour merci bonjour usted su sus nosotros hola gracias con para
    lei noi sono grazie voce obrigado het een zijn met voor
"""
#: Not a name of anybody, however it is written.
NEVER: Final = frozenset(_NEVER.split())

_NRP_WORDS = """
    pole poles conservative liberal orthodox polish georgian christian republican democrat finn
    dane swede english indian
"""
#: These are words first, so they count only with a capital inside a sentence.
NRP_WORDS: Final = frozenset(_NRP_WORDS.split())

_NATIONALITIES = """
    afghan albanian algerian american angolan argentine argentinian armenian australian austrian
    azerbaijani bangladeshi belarusian belgian bolivian bosnian brazilian british bulgarian
    cambodian cameroonian canadian chilean chinese colombian congolese croatian cuban cypriot
    czech danish dutch ecuadorian egyptian emirati english eritrean estonian ethiopian finnish
    french georgian german ghanaian greek greenlander guatemalan haitian honduran hungarian
    icelandic indian indonesian iranian iraqi irish israeli italian jamaican japanese jordanian
    kazakh kenyan korean kurdish kuwaiti latvian lebanese liberian libyan lithuanian malaysian
    maltese mexican moldovan mongolian moroccan mozambican namibian nepalese nepali nicaraguan
    nigerian norwegian omani pakistani palestinian panamanian paraguayan persian peruvian
    filipino polish portuguese qatari romanian russian rwandan saudi scottish senegalese serbian
    singaporean slovak slovene slovenian somali spanish sudanese swedish swiss syrian taiwanese
    tanzanian thai tibetan tunisian turkish ugandan ukrainian uruguayan uzbek venezuelan
    vietnamese welsh yemeni zambian zimbabwean englishman englishmen englishwoman frenchman
    frenchmen irishman scotsman welshman dutchman australians americans germans italians
    spaniard spaniards swede swedes dane danes finn finns pole poles turk turks arab arabs asian
    african european hispanic latino latina caucasian christian catholic protestant orthodox
    jewish jew muslim islamic hindu buddhist sikh mormon atheist baptist lutheran anglican sunni
    shia republican democrat communist socialist conservative liberal marxist
"""
#: Nationalities, religions and political groups (Presidio's NRP).
NATIONALITIES: Final = frozenset(_NATIONALITIES.split())

_WELL_KNOWN_PLACES = """
    afghanistan africa albania algeria america amsterdam andorra angola anguilla antarctica
    argentina armenia aruba asia athens australia austria azerbaijan bahamas bahrain bangladesh
    barbados barcelona beijing belarus belgium belize benin berlin bermuda bhutan bolivia boston
    botswana brazil brunei brussels budapest bulgaria burundi cairo california cambodia cameroon
    canada chad chicago chile china colombia comoros congo copenhagen croatia cuba curacao
    cyprus czechia delhi denmark djibouti dominica dubai dublin ecuador egypt england eritrea
    estonia eswatini ethiopia europe eurozone fiji finland florida france gabon gambia geneva
    georgia germany ghana gibraltar greece greenland grenada guadeloupe guam guatemala guernsey
    guinea guyana haiti hamburg helsinki holland honduras hungary iceland india indonesia iran
    iraq ireland israel istanbul italy jamaica japan jersey jordan kazakhstan kenya kiribati
    korea kosovo kuwait kyrgyzstan laos latvia lebanon lesotho liberia libya liechtenstein
    lisbon lithuania london luxembourg madagascar madrid malawi malaysia maldives mali malta
    martinique mauritania mauritius mayotte mexico micronesia milan moldova monaco mongolia
    montenegro montserrat morocco moscow mozambique mumbai munich namibia nauru nepal
    netherlands nicaragua niger nigeria niue norway oman oslo pakistan palau panama paraguay
    paris peru philippines poland portugal prague qatar reunion romania rome russia rwanda samoa
    sark scotland senegal serbia seychelles shanghai singapore slovakia slovenia somalia spain
    stockholm sudan suriname sweden switzerland sydney syria taiwan tajikistan tanzania texas
    thailand togo tokelau tokyo tonga toronto tunisia turkiye turkmenistan tuvalu uganda uk
    ukraine uruguay usa uzbekistan vanuatu venezuela vienna vietnam wales warsaw yemen zambia
    zimbabwe zurich
"""
#: Countries and large cities in one word: a place, also where it is somebody's name.
WELL_KNOWN_PLACES: Final = frozenset(_WELL_KNOWN_PLACES.split())
